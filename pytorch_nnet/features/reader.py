"""Normalised features of a data directory, one utterance at a time."""

from __future__ import annotations

from typing import IO, Iterator, Mapping

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import read_matrix
from ..io.errors import RecipeError
from .cmvn import apply_cmvn

MEANS = {"norm_means": True, "norm_vars": False}


class FeatureReader:
    """A mapping from utterance id to float32 features (T, D), normalised per speaker; iterates in C order.

    Args:
      data: a data directory, or its path.
      cmvn: {"norm_means": bool, "norm_vars": bool}; None reads the features as they are stored.
    Raises:
      RecipeError: no feats.scp, or no cmvn.scp where normalisation is asked for; on reading, a damaged archive or a
        number of frames that differs from utt2num_frames.
    """

    def __init__(self, data, cmvn: Mapping[str, bool] | None = MEANS):
        self.data = data if isinstance(data, DataDir) else DataDir.load(data, need=("feats.scp",))
        self.cmvn = dict(cmvn or {"norm_means": False, "norm_vars": False})
        if unknown := self.cmvn.keys() - MEANS.keys():
            raise RecipeError("unknown normalisation", id=", ".join(sorted(unknown)), expected=", ".join(MEANS))
        if not self.data.feats:
            raise RecipeError("data directory without features", file=self.data.path / "feats.scp",
                              next=f"steps/make_mfcc {self.data.path}, or steps/make_fbank")
        if any(self.cmvn.values()) and not self.data.cmvn:
            raise RecipeError("missing input", file=self.data.path / "cmvn.scp",
                              expected="statistics for every speaker",
                              found="nothing", next=f"steps/compute_cmvn_stats {self.data.path}")
        self._stats: dict[str, np.ndarray] = {}
        self._archives: dict[str, IO[bytes]] = {}

    def keys(self) -> list[str]:
        return self.data.utts

    def __len__(self) -> int:
        return len(self.data.utt2spk)

    def __contains__(self, utt) -> bool:
        return utt in self.data.feats

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields (utterance, features)."""
        for utt in self.data.utt2spk:
            yield utt, self[utt]

    def __getitem__(self, utt: str) -> np.ndarray:
        if utt not in self.data.feats:
            raise RecipeError("no such utterance", file=self.data.path / "feats.scp", id=utt)
        entry = self.data.feats[utt]
        feats = np.asarray(read_matrix(entry, file=self.data.path / "feats.scp", id=utt, opened=self._archives), np.float32)
        known = self.data.num_frames.get(utt, len(feats))
        if feats.ndim != 2 or len(feats) != known:
            raise RecipeError("features and utt2num_frames disagree", file=self.data.path / "utt2num_frames", id=utt,
                              expected=f"{known} frames", found=f"a matrix of shape {feats.shape}",
                              next=f"make the features of {self.data.path} again")
        if not np.isfinite(feats).all():
            raise RecipeError("features are not finite", file=self.data.path / "feats.scp", id=utt, expected="finite numbers",
                              found=f"{np.sum(~np.isfinite(feats))} NaN or infinite values", next=f"make the features of {self.data.path} again")
        if not any(self.cmvn.values()):
            return feats
        return apply_cmvn(feats, self._speaker(self.data.utt2spk[utt]), **self.cmvn)

    def _speaker(self, speaker: str) -> np.ndarray:
        if speaker not in self._stats:
            if speaker not in self.data.cmvn:
                raise RecipeError("no normalisation statistics for a speaker", file=self.data.path / "cmvn.scp",
                                  id=speaker,
                                  next=f"steps/compute_cmvn_stats {self.data.path}")
            stats = read_matrix(self.data.cmvn[speaker], file=self.data.path / "cmvn.scp", id=speaker)
            if not np.isfinite(stats).all():
                raise RecipeError("normalisation statistics are not finite", file=self.data.path / "cmvn.scp", id=speaker,
                                  next=f"steps/compute_cmvn_stats {self.data.path}")
            self._stats[speaker] = stats
        return self._stats[speaker]

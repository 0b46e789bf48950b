"""Per-speaker cepstral mean and variance normalisation in Kaldi's format (transform/cmvn.cc).

Statistics are one float64 matrix (2, D + 1) per speaker: sums and the frame count in row 0, sums of squares in row 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..io.archives import write_ark_scp
from ..io.errors import RecipeError

VARIANCE_FLOOR = 1e-20


def accumulate(stats: np.ndarray | None, feats: np.ndarray) -> np.ndarray:
    """Adds a matrix (T, D) to statistics (2, D + 1); None starts new ones."""
    feats = feats.astype(np.float64)
    if stats is None:
        stats = np.zeros((2, feats.shape[1] + 1))
    stats[0, :-1] += feats.sum(axis=0)
    stats[0, -1] += len(feats)
    stats[1, :-1] += (feats ** 2).sum(axis=0)
    return stats


def apply_cmvn(feats: np.ndarray, stats: np.ndarray, norm_means: bool = True, norm_vars: bool = False) -> np.ndarray:
    """Normalises (T, D) by a speaker's statistics; returns float32. Variances are never normalised without means."""
    if norm_vars and not norm_means:
        raise RecipeError("variances are normalised about the mean", id="norm_means, norm_vars",
                          expected="norm_means true wherever norm_vars is", found="norm_means false, norm_vars true")
    if not norm_means:
        return feats
    if stats.shape != (2, feats.shape[1] + 1) or stats[0, -1] < 1:
        raise RecipeError("statistics do not fit the features",
                          expected=f"(2, {feats.shape[1] + 1}) with frames counted",
                          found=f"{stats.shape}", next="steps/compute_cmvn_stats <data>")
    mean = stats[0, :-1] / stats[0, -1]
    if not norm_vars:
        return feats - mean.astype(np.float32)
    variance = np.maximum(stats[1, :-1] / stats[0, -1] - mean ** 2, VARIANCE_FLOOR)
    return ((feats - mean) / np.sqrt(variance)).astype(np.float32)


def compute_cmvn_stats(reader) -> int:
    """Publishes `data/cmvn_<name>.ark` and cmvn.scp in the reader's data directory; returns the number of speakers.

    Args:
      reader: a FeatureReader of features as they are stored (cmvn=None).
    """
    folder = Path(reader.data.path)

    def speakers():
        for speaker, utts in reader.data.spk2utt.items():
            stats = None
            for utt in utts:
                stats = accumulate(stats, reader[utt])
            yield speaker, stats

    return write_ark_scp(folder / "data" / f"cmvn_{folder.absolute().name}.ark", folder / "cmvn.scp", speakers())

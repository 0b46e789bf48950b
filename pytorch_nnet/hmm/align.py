"""Viterbi alignment of one utterance: transition-ids by frame, from Gaussians or from a matrix of log-likelihoods."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np

from ..io.errors import RecipeError
from ..io.publish import publish
from .model import AcousticModel

ACOUSTIC_SCALE = 0.1
FAILURE_LIMIT = 0.05
RANDOM_PATHS = 50  # draws, to find one short enough for the utterance and to our liking


@dataclass
class Failures:
    """Utterances that could not be aligned, and why; `tried` counts all."""

    reasons: dict[str, str] = field(default_factory=dict)
    tried: int = 0

    def add(self, utt: str, reason: str) -> None:
        self.reasons[utt] = reason
        print(f"WARNING: {utt} not aligned: {reason}", file=sys.stderr)

    def check(self, file) -> None:
        """Raises RecipeError if more than 5 % failed, naming the worst."""
        if len(self.reasons) > FAILURE_LIMIT * self.tried:
            listed = [f"{utt} ({reason})" for utt, reason in list(self.reasons.items())[:10]]
            more = f" and {len(self.reasons) - 10} more" if len(self.reasons) > 10 else ""
            raise RecipeError("too many utterances could not be aligned", file=file, id=", ".join(listed) + more,
                              expected=f"at most {FAILURE_LIMIT:.0%} of {self.tried}", found=len(self.reasons),
                              next="check these transcripts against the audio, or use wider beams (--beam, --retry-beam)")

    def write(self, path) -> None:
        """Publishes '<utterance> <reason>' lines."""
        with publish(path) as file:
            file.writelines(f"{utt} {reason}\n" for utt, reason in sorted(self.reasons.items(), key=lambda item: item[0].encode()))


def read_failures(folder: Path, jobs: int) -> Failures:
    """Collects the jobs' failed.JOB files of a directory."""
    merged = Failures()
    for job in range(1, jobs + 1):
        for line in (folder / f"failed.{job}").read_text().splitlines():
            utt, _, reason = line.partition(" ")
            merged.reasons[utt] = reason
    return merged


@dataclass
class Aligner:
    """Aligns with `beam`, and once more with `retry_beam` where no final state was reached.

    loglike, frames: of all utterances aligned so far; the log-likelihood is the best path's, divided by the acoustic scale.
    """

    model: AcousticModel
    beam: float = 10.0
    retry_beam: float = 40.0
    acoustic_scale: float = ACOUSTIC_SCALE

    def __post_init__(self):
        import kaldi_hmm_gmm as khg

        check_beams(self.beam, self.retry_beam)
        self.loglike, self.frames = 0.0, 0
        self.config = khg.AlignConfig(beam=self.beam, retry_beam=self.retry_beam)

    def with_gaussians(self, utt: str, graph, features: np.ndarray) -> np.ndarray | None:
        """Transition-ids, int32 (T,), or None. graph: with transition probabilities. features: the Gaussians' input, (T, D)."""
        import kaldi_hmm_gmm as khg

        decodable = khg.DecodableAmDiagGmmScaled(am=self.model.am, tm=self.model.transitions, feats=features,
                                                 scale=self.acoustic_scale)
        return self._search(utt, graph, decodable, len(features))

    def with_loglikes(self, utt: str, graph, loglikes: np.ndarray) -> np.ndarray | None:
        """Transition-ids, int32 (T,), or None. loglikes: log-likelihoods (T, pdfs), finite."""
        import kaldi_hmm_gmm as khg

        if loglikes.ndim != 2 or loglikes.shape[1] != self.model.num_pdfs:
            raise RecipeError("log-likelihoods and model disagree", id=utt, expected=f"(frames, {self.model.num_pdfs} pdfs)",
                              found=loglikes.shape, next="use the network trained on this model's alignments")
        if not np.isfinite(loglikes).all():
            raise RecipeError("log-likelihoods are not finite", id=utt, found=f"{np.sum(~np.isfinite(loglikes))} bad values")
        local, ids = localized(graph)
        matrix = np.ascontiguousarray(loglikes[:, self.model.pdf_of[ids]] * self.acoustic_scale, np.float32)
        path = self._search(utt, local, khg.DecodableCtc(matrix), len(matrix))
        return None if path is None else ids[path - 1]

    def _search(self, utt: str, graph, decodable, frames: int) -> np.ndarray | None:
        import kaldi_hmm_gmm as khg

        if frames == 0:
            return None
        result = khg.align_utterance_wrapper(config=self.config, utt=utt, acoustic_scale=self.acoustic_scale, fst=graph,
                                             decodable=decodable, num_done=0, num_error=0, num_retried=0, tot_like=0.0,
                                             frame_count=0)
        path = np.array(result[5], np.int32)
        if len(path) != frames:
            return None
        self.loglike, self.frames = self.loglike + result[3], self.frames + frames
        return path


def check_beams(beam: float, retry_beam: float) -> None:
    """Raises RecipeError unless 0 < beam < retry_beam; retry_beam 0 means no second attempt."""
    if beam <= 0 or 0 != retry_beam <= beam:
        raise RecipeError("beams make no sense", expected="0 < --beam < --retry-beam, or --retry-beam 0 for one attempt",
                          found=f"beam {beam:g}, retry beam {retry_beam:g}")


def localized(graph) -> tuple[object, np.ndarray]:
    """Renumbers a graph's input labels 1, 2, ... and returns (the new graph, int32 array: its label i stood for array[i-1]).

    The decoder then sees a matrix of the utterance's own few transition-ids instead of all the model's.
    """
    import kaldifst

    local = kaldifst.StdVectorFst()
    number: dict[int, int] = {0: 0}
    for _ in range(graph.num_states):
        local.add_state()
    local.start = graph.start
    for state in range(graph.num_states):
        final = graph.final(state).value
        if final != float("inf"):
            local.set_final(state, final)
        for arc in kaldifst.ArcIterator(graph, state):
            label = number.setdefault(arc.ilabel, len(number))
            local.add_arc(state, kaldifst.StdArc(label, arc.olabel, arc.weight.value, arc.nextstate))
    return local, np.array(list(number)[1:], np.int32)


def equal_alignment(utt: str, graph, frames: int, prefer: Callable[[np.ndarray], bool] = lambda path: True) -> np.ndarray | None:
    """A path of exactly `frames` transition-ids with the time spread over its states, or None: the start of flat training.

    Optional silences and pronunciations are drawn at random; the first path that `prefer` likes is taken, else the first one.
    """
    import kaldifst

    # One seed for all would put silence in the same places of every utterance, and flat training would not recover from that. The
    # library's own retries repeat the same draw, so we change the seed.
    first_seed = zlib.crc32(utt.encode()) >> 1
    first: np.ndarray | None = None
    for draw in range(RANDOM_PATHS):
        found, path = kaldifst.equal_align(ifst=graph, length=frames, rand_seed=(first_seed + draw) & 0x7FFFFFFF, num_retries=1)
        labels = np.array(kaldifst.get_linear_symbol_sequence(path)[1], np.int32) if found else np.zeros(0, np.int32)
        if len(labels) == frames > 0:
            if prefer(labels):
                return labels
            first = labels if first is None else first
    return first

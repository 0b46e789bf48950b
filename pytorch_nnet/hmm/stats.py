"""Statistics for the decision tree: for every (left, phone, right, pdf-class) seen, count, sum and sum of squares of its frames.

Kaldi: tree/build-tree-utils.h, acc-tree-stats. Context-independent phones (silences) are counted without their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable

import numpy as np

from ..io.errors import reading
from ..io.publish import publish_path
from .convert import contexts, phone_segments
from .gmm import on_grid, with_squares
from .model import AcousticModel


@dataclass
class TreeStats:
    """events: int32 (n, 4) left, phone, right, pdf-class, sorted; sums: float64 (n, 1 + 2D) count, sum x, sum x squared."""

    events: np.ndarray
    sums: np.ndarray

    def save(self, path) -> None:
        with publish_path(path) as temporary:
            np.savez(temporary, events=self.events, sums=self.sums)

    @classmethod
    def load(cls, path) -> "TreeStats":
        with reading(path, next="call the same command again"), np.load(path) as stored:
            return cls(stored["events"], stored["sums"])


@dataclass
class StatsAccumulator:
    """Adds up statistics speaker by speaker.

    model: the one the alignments were made with. independent: phone ids whose context is ignored.
    """

    model: AcousticModel
    independent: Iterable[int]
    table: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

    def events(self, alignment: np.ndarray, utt: str) -> np.ndarray:
        """(T, 4): the event of every frame of an alignment."""
        segments = phone_segments(alignment, self.model.table, utt)
        windows = contexts(segments.phones)
        alone = np.isin(segments.phones, list(self.independent))
        windows[alone, 0] = windows[alone, 2] = 0
        topology = self.model.table.topology
        hmm_states = self.model.hmm_state[alignment]
        width = max(map(len, topology.entries))
        classes = np.array([[state.pdf_class for state in states] + [-1] * (width - len(states)) for states in topology.entries])
        frames = np.repeat(windows, segments.lengths, axis=0)
        pdf_class = classes[topology.phone_to_entry[frames[:, 1]], hmm_states]
        return np.concatenate([frames, pdf_class[:, None]], axis=1)

    def add_speaker(self, features: np.ndarray, events: np.ndarray) -> None:
        """Adds the frames (T, D) of one speaker with their events (T, 4)."""
        unique, inverse = np.unique(events, axis=0, return_inverse=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        starts = np.searchsorted(inverse.ravel()[order], np.arange(len(unique)))
        sums = on_grid(np.add.reduceat(with_squares(features[order]), starts, axis=0))
        self.merge(TreeStats(unique, sums))

    def merge(self, stats: TreeStats) -> None:
        for event, row in zip(map(tuple, stats.events.tolist()), stats.sums):
            if event in self.table:
                self.table[event] += row
            else:
                self.table[event] = row.copy()

    def result(self) -> TreeStats:
        events = sorted(self.table)
        return TreeStats(np.array(events, np.int32).reshape(-1, 4), np.array([self.table[event] for event in events]))


def merge_files(paths: Iterable[Path], model: AcousticModel) -> TreeStats:
    """The sum of several jobs' statistics."""
    total = StatsAccumulator(model, ())
    for path in paths:
        total.merge(TreeStats.load(path))
    return total.result()

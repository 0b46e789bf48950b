"""The lattice store: what a search takes each training utterance for, frame by frame (docs/formats.md, "Lattice store").

    <store>/meta.json      how the lattices were made, utterances without one; size and SHA-256 of the arrays
            arcs.i64       int64 (num_frames + 1,): first arc of each frame of the frame store, and the number of arcs
            src.u16        uint16 (arcs,): state that an arc leaves, numbered within its frame
            dst.u16        uint16 (arcs,): state that it leads to, numbered within the next frame; 0, the end, from the last frame
            pdf.u16        uint16 (arcs,): the class that it takes the frame for
            graph.f32      float32 (arcs,): log weight in the decoding graph
            reference.u8   uint8 (arcs,): 1 on the paths that are the labels but for the times at which these change
            found.u8       uint8 (num_frames,): 1 where the search itself had the frame's label among its arcs

Every arc is one frame, so scores of any network can be put on it. Frames are those of a frame store, in its order; a frame of an utterance
without a lattice has no arcs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from ..io.errors import RecipeError, reading
from ..io.publish import publish_folder
from .folder import ArrayFile, Store, map_array, read_meta, write_meta
from .store import FrameStore

FORMAT = "pytorch_nnet lattice store 1"
SHARD_FORMAT = "pytorch_nnet lattice shard 1"
MOST_STATES = 1 << 16  # of a frame
MAX_FAILED = 0.05  # of the utterances; above it graph, model and alignment do not belong together
LISTED = 10  # ids shown; all of them are in meta.json
NEXT = "make it again: steps/make_denlats"
ARRAYS = (("arcs.i64", "<i8"), ("src.u16", "<u2"), ("dst.u16", "<u2"), ("pdf.u16", "<u2"), ("graph.f32", "<f4"), ("reference.u8", "|u1"),
          ("found.u8", "|u1"))


@dataclass(frozen=True)
class FrameLattice:
    """Paths through T frames from one start to one end.

    first: (T + 1,), the arcs of frame t are first[t]:first[t + 1]. src, dst, pdf, graph, reference: (A,), as in the store.
    found: (T,), as in the store.
    """

    first: np.ndarray
    src: np.ndarray
    dst: np.ndarray
    pdf: np.ndarray
    graph: np.ndarray
    reference: np.ndarray
    found: np.ndarray

    @property
    def num_frames(self) -> int:
        return len(self.first) - 1

    @property
    def frame(self) -> np.ndarray:
        """(A,) the frame of each arc."""
        return np.repeat(np.arange(self.num_frames), np.diff(self.first))

    @property
    def sizes(self) -> np.ndarray:
        """(T + 1,) states before each frame, and the one end."""
        begin = self.first[:-1]
        return np.maximum(np.append(np.maximum.reduceat(self.src, begin), 0), np.append(0, np.maximum.reduceat(self.dst, begin))) + 1

    def check(self, num_classes: int) -> None:
        """Raises ValueError unless there are ways into every state and out of it, the reference's among them, and every number is one of its kind."""
        for part in (self, self.only(self.reference)):
            if (np.diff(part.first) < 1).any():
                raise ValueError("a frame without arcs, or without the reference's")
        left, entered = (np.maximum.reduceat(column, self.first[:-1]) for column in (self.src, self.dst))
        if left[0] or entered[-1] or (left[1:] != entered[:-1]).any():
            raise ValueError("states that no arc leads to, or leads from")
        if self.pdf.max() >= num_classes or not np.isfinite(self.graph).all():
            raise ValueError("a class beyond the classes, or a weight that is not finite")

    def only(self, kept: np.ndarray) -> "FrameLattice":
        """Without the arcs for which kept (A,) is False; states may then have no ways in or out."""
        first = np.append(0, np.cumsum(kept))[self.first]
        return FrameLattice(first, self.src[kept], self.dst[kept], self.pdf[kept], self.graph[kept], self.reference[kept], self.found)


def join_arcs(frame, src, dst, pdf, graph, labels: np.ndarray, found: np.ndarray) -> FrameLattice:
    """A lattice from arcs between states of any numbering, equal numbers in one frame being one state.

    Arcs that differ in nothing but their weight become one with the sum of their weights (words differ only so). All arcs of the last
    frame lead to the end, whatever their `dst`. labels: (T,) classes whose paths are the reference.
    Raises:
      ValueError: a state without a way on, or one that is not reached; too many states in a frame; no path that is the reference.
    """
    frame, src, dst = (np.asarray(column, np.int64) for column in (frame, src, dst))
    dst = np.where(frame == len(labels) - 1, 0, dst)
    size = int(max(src.max(), dst.max())) + 1
    states, origin = np.unique(frame * size + src, return_inverse=True)
    targets = np.append((frame + 1) * size + dst, src[frame == 0][:1])
    ends = np.append(states, len(labels) * size)
    if not np.array_equal(np.unique(targets), ends):
        raise ValueError("a lattice with a state without a way on, or one that is not reached")
    begin = np.searchsorted(ends, np.arange(len(labels) + 1) * size)
    src, dst = origin - begin[frame], np.searchsorted(ends, targets[:-1]) - begin[frame + 1]
    if max(src.max(), dst.max()) >= MOST_STATES:
        raise ValueError(f"more than {MOST_STATES} states in a frame")
    order = np.lexsort((pdf, dst, src, frame))
    frame, src, dst, pdf, graph = (np.asarray(column)[order] for column in (frame, src, dst, pdf, graph))
    new = np.append(True, (np.diff(frame) != 0) | (np.diff(src) != 0) | (np.diff(dst) != 0) | (np.diff(pdf) != 0))
    graph = np.logaddexp.reduceat(graph.astype(np.float64), np.flatnonzero(new)).astype(np.float32).astype(np.float64)  # as the store has it
    frame, src, dst, pdf = frame[new], src[new], dst[new], pdf[new]
    first = np.searchsorted(frame, np.arange(len(labels) + 1))
    reference = same_but_for_times(first, src, dst, pdf, labels)
    if not reference.any():
        raise ValueError("no path of the graph is the alignment")
    return FrameLattice(first, src, dst, pdf, graph, reference, np.asarray(found, bool))


def same_but_for_times(first: np.ndarray, src: np.ndarray, dst: np.ndarray, pdf: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(A,) bool: arcs on paths whose classes are the labels (T,), each run of equal ones as long as it may be."""
    runs = labels[np.append(True, np.diff(labels) != 0)]
    parts = [slice(*pair) for pair in zip(first[:-1].tolist(), first[1:].tolist())]
    sizes = [1, *(int(dst[part].max()) + 1 for part in parts)]
    fits = [pdf[part, None] == runs for part in parts]  # (arcs, runs): in which runs the arc may be
    # Into which states, in which run, some way leads from the start; run -1, the last column, is that of the start alone.
    reached = [np.zeros((1, len(runs) + 1), bool)]
    reached[0][0, -1] = True
    for part, fit, size in zip(parts, fits, sizes[1:]):
        arcs, places = np.nonzero(fit & entered(reached[-1][src[part]]))
        reached.append(np.zeros((size, len(runs) + 1), bool))
        reached[-1][dst[part][arcs], places] = True
    result = np.zeros(len(pdf), bool)
    leads = np.zeros((1, len(runs)), bool)  # from which states, in which run, some way leads to the end
    leads[0, -1] = True
    for part, fit, before, size in zip(parts[::-1], fits[::-1], reached[-2::-1], sizes[-2::-1]):
        arcs, places = np.nonzero(fit & leads[dst[part]] & entered(before[src[part]]))  # the arc in this run, on the way from start to end
        result[part][arcs] = True
        leads = np.zeros((size, len(runs) + 1), bool)
        leads[src[part][arcs], places] = leads[src[part][arcs], places - 1] = True
        leads = leads[:, :-1]
    return result


def entered(reached: np.ndarray) -> np.ndarray:
    """(A, runs + 1) -> (A, runs): in which runs an arc may be by where its way was before: that run, or the one before it."""
    return reached[:, :-1] | np.roll(reached, 1, 1)[:, :-1]


class ShardWriter:
    """Writes the lattices of consecutive utterances into `folder` (a temporary one, published by the caller)."""

    def __init__(self, folder):
        self.folder, self.failed, self.retried = Path(folder), dict[str, str](), 0
        self.arrays = [ArrayFile(self.folder, *pair) for pair in ARRAYS]

    def add(self, lattice: FrameLattice) -> None:
        columns = (np.diff(lattice.first), lattice.src, lattice.dst, lattice.pdf, lattice.graph, lattice.reference, lattice.found)
        for array, values in zip(self.arrays, columns, strict=True):
            array.append(values)

    def add_none(self, utt: str, frames: int, reason: str) -> None:
        """An utterance without a lattice."""
        self.failed[utt] = reason
        nothing = np.zeros(0)
        for array, values in zip(self.arrays, (np.zeros(frames), *5 * [nothing], np.zeros(frames)), strict=True):
            array.append(values)

    def close(self) -> None:
        write_meta(self.folder, {"format": SHARD_FORMAT, "failed": self.failed, "retried": self.retried,
                                 "arrays": {array.name: array.close() for array in self.arrays}})


def merge_shards(shards: Sequence, path, store: FrameStore, facts: dict[str, Any]) -> "LatticeStore":
    """Publishes the shards, in order, as one store. The result does not depend on how many there are.

    Args:
      facts: how the lattices were made: acwt, prior_scale, model, silence_pdfs and what else is worth keeping.
    Raises:
      RecipeError: the shards do not hold every utterance of the frame store; too many are without a lattice.
    """
    metas = [read_meta(shard, SHARD_FORMAT, NEXT) for shard in shards]
    failed = {utt: reason for meta in metas for utt, reason in meta["failed"].items()}
    if len(failed) > MAX_FAILED * store.num_utts:
        utt, reason = next(iter(failed.items()))
        raise RecipeError("too many utterances without a lattice", file=path, id=utt, expected=f"at most {MAX_FAILED:.0%} of {store.num_utts}",
                          found=f"{len(failed)}; the first: {reason}",
                          next="check that graph, model and frame store have one tree, and that the graph has every word of the transcripts")
    with publish_folder(path) as folder:
        arrays = {name: ArrayFile(folder, name, dtype) for name, dtype in ARRAYS}
        arrays["arcs.i64"].append(np.zeros(1))
        arcs, frames = 0, 0
        for shard, meta in zip(shards, metas):
            for name, array in arrays.items():
                values = map_array(shard, meta, name, NEXT)
                if name == "arcs.i64":
                    values = arcs + np.cumsum(values)
                    arcs, frames = int(values[-1]), frames + len(values)
                array.append(values)
        if frames != store.num_frames:
            raise RecipeError("lattices do not cover the frame store", file=path, expected=f"{store.num_frames} frames", found=frames, next=NEXT)
        write_meta(folder, {"format": FORMAT, "num_frames": frames, "num_utts": store.num_utts, "num_classes": store.num_classes, "num_arcs": arcs, **facts,
                            "failed": failed, "frame_store": store.identity, "label_map": store.label_map,
                            "arrays": {name: array.close() for name, array in arrays.items()}})
    return LatticeStore.open(path, check_hashes=False)


class LatticeStore(Store):
    """An opened store.

    acwt, prior_scale: how log p(pdf | x) - prior_scale log p(pdf) was scaled in the search. silence_pdfs: the classes of silence and noises.
    failed: {utterance: why it has no lattice}.
    """

    FORMAT, NEXT = FORMAT, NEXT

    def __init__(self, path, meta: dict[str, Any]):
        super().__init__(path, meta)
        self.num_frames, self.num_utts, self.num_classes = (int(meta[name]) for name in ("num_frames", "num_utts", "num_classes"))
        self.acwt, self.prior_scale = float(meta["acwt"]), float(meta["prior_scale"])
        self.silence_pdfs: list[int] = meta["silence_pdfs"]
        self.failed: dict[str, str] = meta["failed"]
        self.arcs, *self.columns, self.found = (self.map(name) for name, _ in ARRAYS)
        sizes = (len(self.arcs), *map(len, self.columns), len(self.found))
        if sizes != (self.num_frames + 1, *5 * [int(self.arcs[-1])], self.num_frames):
            raise RecipeError("lattice store disagrees with its own meta.json", file=path, expected=f"{self.num_frames} frames",
                              found=f"arrays of {sizes}", next=NEXT)

    def check_matches(self, store: FrameStore) -> None:
        """Raises RecipeError unless the lattices are those of exactly this frame store."""
        if (self.meta["frame_store"], self.num_frames) != (store.identity, store.num_frames):
            raise RecipeError("lattices belong to another frame store", file=self.path,
                              expected=f"{store.path}: {store.num_frames} frames, identity {store.identity[:12]}",
                              found=f"{self.num_frames} frames, identity {self.meta['frame_store'][:12]}",
                              next="make lattices of this store (steps/make_denlats)")

    def lattice(self, frames: slice) -> FrameLattice | None:
        """The lattice of the utterance that has these frames; None where it has none.

        Raises RecipeError for one that contradicts itself.
        """
        first = np.asarray(self.arcs[frames.start:frames.stop + 1])
        if first[0] == first[-1]:
            return None
        src, dst, pdf, graph, reference = (column[first[0]:first[-1]] for column in self.columns)
        lattice = FrameLattice(first - first[0], src.astype(np.int64), dst.astype(np.int64), pdf.astype(np.int64), graph.astype(np.float64),
                               reference.astype(bool), self.found[frames].astype(bool))
        with reading(self.path, "a lattice that contradicts itself", id=f"frame {frames.start}", next=NEXT):
            lattice.check(self.num_classes)
        return lattice

    def summary(self) -> str:
        """For a log: sizes, and what is missing."""
        frames = max(1, int(np.count_nonzero(np.diff(self.arcs))))
        lost = 1 - float(np.count_nonzero(self.found)) / frames
        made = self.num_utts - len(self.failed)
        lines = [f"{self.path}: lattices of {made} of {self.num_utts} utterances, {int(self.arcs[-1]) / frames:.1f} arcs a frame",
                 f"{100 * lost:.2f} % of their frames have a label that the search itself did not find"]
        if self.failed:
            shown = list(self.failed)
            lines.append(f"without a lattice: {' '.join(shown[:LISTED])}{' ...' if len(shown) > LISTED else ''}; the first: {self.failed[shown[0]]}")
        return "\n".join(lines)

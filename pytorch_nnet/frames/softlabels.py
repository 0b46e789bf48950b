"""The soft-label store: a teacher's most probable classes for every frame (docs/formats.md, "Soft-label store").

    <store>/meta.json     teachers and their hashes, C, mass cut, mass kept, coverage; size and SHA-256 of the arrays
            counts.u8     uint8 (num_frames,): classes kept for each frame, at most C
            classes.u16   uint16 (items,): class ids, frames end to end, within a frame by falling probability
            probs.f16     float16 (items,): their probabilities, not renormalised
            offsets.i64   int64 (ceil(num_frames / 64) + 1,): first item of every 64th frame, and the number of items

Frames are those of a frame store, in its order. A frame keeps its most probable classes until they cover the mass cut,
at most C (paper, section 5). Sorted by probability, the store of C classes holds that of a smaller C as prefixes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .folder import ArrayFile, Store, map_array, read_meta, write_meta
from .store import MAX_CLASSES, FeatureStore, FrameStore

FORMAT = "pytorch_nnet soft-label store 1"
SHARD_FORMAT = "pytorch_nnet soft-label shard 1"
BLOCK = 64  # frames between stored offsets: 1/8 byte a frame instead of 8
TABLE = (1, 3, 10, 30, 90)  # the C of the paper's Table 2
MOST = 255  # classes a frame: counts are bytes
NEXT = "make it again: steps/dump_posteriors"
COPY_ITEMS = 1 << 22


class SparseLabels(NamedTuple):
    """Soft labels of a batch, row by row: probability `probs[n]` of class `classes[n]` for example `rows[n]`."""

    rows: Tensor  # (N,) int64
    classes: Tensor  # (N,) int64
    probs: Tensor  # (N,) float32


def top_classes(posteriors: Tensor, most: int, mass: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keeps each frame's most probable classes until their sum reaches `mass`, at least one, at most `most`.

    Args:
      posteriors: (T, K).
    Returns:
      counts (T,) uint8, classes (items,) uint16, probabilities (items,) float16.
    """
    check_top_c(most, posteriors.shape[1])
    probs, classes = posteriors.topk(min(most, posteriors.shape[1]))
    before = probs.double().cumsum(1) - probs
    keep = before < mass
    keep[:, 0] = True
    return (keep.sum(1).numpy().astype(np.uint8), classes[keep].numpy().astype(np.uint16),
            probs[keep].numpy().astype(np.float16))


def coverage(counts: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(2, 6) float64 sums over the frames: mass covered and classes kept, for each C of TABLE and for no limit."""
    ends = np.cumsum(counts, dtype=np.int64)
    rank = np.arange(len(probs)) - np.repeat(ends - counts, counts)
    kept = [rank < most for most in (*TABLE, MOST)]
    return np.array([[float(probs[k].sum(dtype=np.float64)) for k in kept], [float(k.sum()) for k in kept]])


class ShardWriter:
    """Writes the soft labels of consecutive utterances into `folder` (a temporary one, published by the caller)."""

    def __init__(self, folder, facts: dict[str, Any]):
        self.folder, self.facts = Path(folder), facts
        self.arrays = [ArrayFile(self.folder, *pair) for pair in (
            ("counts.u8", "|u1"), ("classes.u16", "<u2"), ("probs.f16", "<f2"), ("sums.f64", "<f8"))]

    def add(self, posteriors: Tensor) -> None:
        """Appends one utterance: posteriors (T, K)."""
        self.add_kept(*top_classes(posteriors, self.facts["max_classes"], self.facts["mass_cut"]))

    def add_kept(self, counts: np.ndarray, classes: np.ndarray, probs: np.ndarray) -> None:
        """Appends one utterance: what `top_classes` returns."""
        for array, values in zip(self.arrays, (counts, classes, probs, coverage(counts, probs)), strict=True):
            array.append(values)

    def close(self) -> None:
        write_meta(self.folder, {"format": SHARD_FORMAT, "facts": self.facts,
                                 "arrays": {array.name: array.close() for array in self.arrays}})


def shard_is_done(folder, facts: dict[str, Any]) -> bool:
    """True if `folder` is a published shard made from the same facts."""
    return Path(folder, "meta.json").exists() and read_meta(folder, SHARD_FORMAT, NEXT)["facts"] == facts


def merge_shards(shards: Sequence, path, store: FrameStore, *, teachers: list[dict], max_classes: int,
                 mass_cut: float) -> "SoftLabelStore":
    """Publishes the shards, in order, as one store. The result does not depend on how many there are.

    Args:
      teachers: [{"name":, "sha256":, "weight":}], recorded in meta.json.
    Raises:
      RecipeError: the shards do not hold one entry for every frame of `store`.
    """
    with publish_folder(path) as folder:
        arrays = {name: ArrayFile(folder, name, dtype) for name, dtype in (
            ("counts.u8", "|u1"), ("classes.u16", "<u2"), ("probs.f16", "<f2"), ("offsets.i64", "<i8"))}
        counts, sums = [], []
        for shard in shards:
            meta = read_meta(shard, SHARD_FORMAT, NEXT)
            for name in ("counts.u8", "classes.u16", "probs.f16"):
                values = map_array(shard, meta, name, NEXT)
                for start in range(0, len(values), COPY_ITEMS):
                    arrays[name].append(values[start:start + COPY_ITEMS])
            counts.append(np.array(map_array(shard, meta, "counts.u8", NEXT)))
            sums.append(np.array(map_array(shard, meta, "sums.f64", NEXT)).reshape(-1, 2, len(TABLE) + 1))
        all_counts = np.concatenate(counts)
        if len(all_counts) != store.num_frames:
            raise RecipeError("soft labels do not cover the frame store", file=path,
                              expected=f"{store.num_frames} frames", found=len(all_counts), next=NEXT)
        arrays["offsets.i64"].append(block_offsets(all_counts))
        # fsum is exact, so the table is the same however the utterances were shared out.
        totals = [[math.fsum(row) / store.num_frames for row in np.concatenate(sums)[:, i].T] for i in range(2)]
        rows = [{"C": C, "mass": mass, "classes": kept} for C, mass, kept in zip(TABLE, *totals) if C <= max_classes]
        write_meta(folder, {
            "format": FORMAT, "num_frames": store.num_frames, "num_classes": store.num_classes,
            "max_classes": max_classes,
            "mass_cut": mass_cut, "mass_kept": totals[0][-1], "classes_kept": totals[1][-1], "coverage": rows,
            "teachers": teachers, "frame_store": store.identity, "label_map": store.label_map,
            "arrays": {name: array.close() for name, array in arrays.items()}})
    return SoftLabelStore.open(path, check_hashes=False)


def block_offsets(counts: np.ndarray) -> np.ndarray:
    """int64 first item of every 64th frame, and the number of items."""
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return np.concatenate([ends[:-1:BLOCK], ends[-1:]])


class SoftLabelStore(Store):
    """An opened store. max_classes: the C it was made with."""

    FORMAT, NEXT = FORMAT, NEXT

    def __init__(self, path, meta: dict[str, Any]):
        super().__init__(path, meta)
        self.num_frames, self.num_classes = int(meta["num_frames"]), int(meta["num_classes"])
        self.max_classes, self.frame_store = int(meta["max_classes"]), str(meta["frame_store"])
        self.counts, self.classes, self.probs, offsets = (self.map(name) for name in ("counts.u8", "classes.u16", "probs.f16", "offsets.i64"))
        self.offsets = np.array(offsets)
        sizes = (len(self.counts), len(self.classes), len(self.probs))
        if sizes != (self.num_frames, self.offsets[-1], self.offsets[-1]):
            raise RecipeError("soft-label store disagrees with its own meta.json", file=path,
                              expected=f"{self.num_frames} frames, {self.offsets[-1]} items",
                              found="{} counts, {} classes, {} probabilities".format(*sizes), next=NEXT)

    def check_matches(self, store: FeatureStore) -> None:
        """Raises RecipeError unless the soft labels were dumped from exactly this frame store."""
        if (self.frame_store, self.num_frames) != (store.identity, store.num_frames):
            raise RecipeError("soft labels belong to another frame store", file=self.path,
                              expected=f"{store.path}: {store.num_frames} frames, identity {store.identity[:12]}",
                              found=f"{self.num_frames} frames, identity {self.frame_store[:12]}",
                              next="dump the teacher's posteriors on this store (steps/dump_posteriors)")

    def gather(self, frames: np.ndarray, most: int | None = None) -> SparseLabels:
        """Soft labels of the frames (B,) int64, at most `most` classes each (default: all that were kept)."""
        frames = np.asarray(frames, np.int64)
        block, within = np.divmod(frames, BLOCK)
        # Items between the block's first frame and ours: at most 63 counts to add.
        neighbours = np.minimum(block[:, None] * BLOCK + np.arange(BLOCK), self.num_frames - 1)
        counts = self.counts[neighbours].astype(np.int64)
        first = self.offsets[block] + np.where(np.arange(BLOCK) < within[:, None], counts, 0).sum(1)
        kept = counts[np.arange(len(frames)), within]
        kept = kept if most is None else np.minimum(kept, most)
        rows = np.repeat(np.arange(len(frames)), kept)
        items = np.arange(len(rows)) + np.repeat(first - (np.cumsum(kept) - kept), kept)
        return SparseLabels(torch.from_numpy(rows), torch.from_numpy(self.classes[items].astype(np.int64)),
                            torch.from_numpy(self.probs[items].astype(np.float32)))


def check_top_c(most: int, num_classes: int) -> None:
    """Raises RecipeError unless counts fit in a byte and class ids in 16 bits."""
    if not 1 <= most <= MOST or num_classes > MAX_CLASSES:
        raise RecipeError("impossible number of classes to keep", expected=f"1 to {MOST} of at most {MAX_CLASSES}",
                          found=f"{most} of {num_classes}")

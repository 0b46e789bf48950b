"""The frame store: every feature row and pdf label of a set, mapped into memory (docs/formats.md, "Frame store").

    <store>/meta.json     facts about the set; size and SHA-256 of each array
            features.f16  float16 (rows, 31): 20 zero rows, utterance 0, 20 zero rows, utterance 1, ..., 20 zero rows
            labels.u16    uint16 (num_frames,): pdf-ids, utterances end to end, without padding
            offsets.i64   int64 (num_utts + 1,): first frame of each utterance in labels.u16, and num_frames
            utts.txt      utterance ids in C order, one a line

Frame f of utterance u (both from 0, f counted over the whole set) is row f + 20 (u + 1). Its window of 41 frames starts
20 rows earlier, and the zeros between utterances are the zeros that the paper pads with (section 5), so any
window is one contiguous slice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Iterator

import numpy as np

from ..io.errors import RecipeError
from ..io.ids import check_id
from ..io.publish import publish_folder
from .folder import ArrayFile, Store, write_meta

FORMAT = "pytorch_nnet frame store 1"
DIM = 31  # mel channels
CONTEXT = 20  # frames on each side of the middle one
WINDOW = 2 * CONTEXT + 1
MAX_CLASSES = 1 << 16
NEXT = "make it again: steps/make_frame_store"


class FeatureStore(Store):
    """What stores of labels and of tokens (frames.ctc_store) share: the features of whole utterances.

    features: (rows, dim) float16. offsets: (num_utts + 1,) int64. utts: ids in C order.
    num_frames, num_utts, num_classes, dim: counts.
    cmvn: {"norm_means": bool, "norm_vars": bool}, as the features were normalised.
    extractor: how they were made (feature_config.yaml of the data directory); empty where that is not known.
    label_map: hash of what the classes mean; equal for stores and networks that share a tree.
    """

    def __init__(self, path, meta: dict[str, Any]):
        super().__init__(path, meta)
        self.num_frames, self.num_utts = int(meta["num_frames"]), int(meta["num_utts"])
        self.num_classes, self.dim = int(meta["num_classes"]), int(meta["dim"])
        self.cmvn: dict[str, bool] = meta["cmvn"]
        self.extractor: dict[str, Any] = meta.get("extractor", {})
        self.label_map: str = meta["label_map"]
        if not 0 < self.num_classes <= MAX_CLASSES:
            raise RecipeError("store with an impossible number of classes", file=self.path / "meta.json", expected=f"1 to {MAX_CLASSES}",
                              found=self.num_classes, next=self.NEXT)
        self.features = self.map("features.f16").reshape(-1, self.dim)
        self.offsets = np.array(self.map("offsets.i64"))
        self.utts = bytes(self.map("utts.txt")).decode("utf-8").removesuffix("\n").split("\n")
        self.map_labels()
        for what, expected, found in self.counts():
            if expected != found:
                raise RecipeError(f"store disagrees with its own meta.json: {what}", file=self.path, expected=expected,
                                  found=found, next=self.NEXT)

    def map_labels(self) -> None:
        """Maps what is learnt of the utterances."""
        raise NotImplementedError

    def counts(self) -> list[tuple[str, int, int]]:
        """(what, expected, found): numbers of which two have to agree."""
        return [("rows of features", self.num_frames + CONTEXT * (self.num_utts + 1), len(self.features)),
                ("offsets", self.num_utts + 1, len(self.offsets)), ("utterance ids", self.num_utts, len(self.utts)),
                ("last offset", self.num_frames, int(self.offsets[-1])), ("context", CONTEXT, self.meta["context"])]

    def utt_labels(self, index: int) -> np.ndarray:
        """uint16: what is learnt of one utterance."""
        raise NotImplementedError

    def label_counts(self) -> np.ndarray:
        """(num_classes,) int64: how often each class is a label. Raises RecipeError for a label that is no class."""
        raise NotImplementedError

    def counted(self, labels: np.ndarray, name: str) -> np.ndarray:
        counts = np.bincount(labels, minlength=self.num_classes)
        if len(counts) > self.num_classes:
            raise RecipeError("label outside the classes", file=self.path / name, expected=f"0 to {self.num_classes - 1}",
                              found=len(counts) - 1, next=self.NEXT)
        return counts

    def utt_slice(self, index: int) -> slice:
        """Frames of utterance `index` among all frames."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def padded(self, index: int) -> np.ndarray:
        """(T + 40, dim) float16 view: utterance `index` with 20 zero rows at each end."""
        start = int(self.offsets[index]) + CONTEXT * index
        return self.features[start:int(self.offsets[index + 1]) + CONTEXT * (index + 2)]

    def utterances(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields (index, features (T, dim) float32, labels int64) of the utterances, all by default."""
        for index in range(self.num_utts) if indices is None else indices:
            yield index, self.padded(index)[CONTEXT:-CONTEXT].astype(np.float32), self.utt_labels(index).astype(np.int64)


class FrameStore(FeatureStore):
    """A store of pdf labels. labels: (num_frames,) uint16."""

    FORMAT, NEXT = FORMAT, NEXT

    def map_labels(self) -> None:
        self.labels = self.map("labels.u16")

    def counts(self) -> list[tuple[str, int, int]]:
        return [*super().counts(), ("labels", self.num_frames, len(self.labels))]

    def utt_labels(self, index: int) -> np.ndarray:
        """(T,): the pdf of each frame."""
        return self.labels[self.utt_slice(index)]

    def label_counts(self) -> np.ndarray:
        return self.counted(self.labels, "labels.u16")

    def windows(self, frames: np.ndarray) -> np.ndarray:
        """(n, 41, dim) float32 windows around the given frames (n,)."""
        frames = np.asarray(frames, np.int64)
        starts = frames + CONTEXT * np.searchsorted(self.offsets, frames, side="right") - CONTEXT
        return self.features[starts[:, None] + np.arange(WINDOW)].astype(np.float32)


def write_frame_store(path, utterances: Iterable[tuple[str, np.ndarray, np.ndarray]], *, num_classes: int,
                      label_map: str, cmvn: dict[str, bool], dim: int = DIM, extractor: dict[str, Any] | None = None) -> FrameStore:
    """Publishes a store in one pass.

    Args:
      utterances: (id, features (T, dim) float, pdf labels (T,)) in C order of ids.
      num_classes: number of pdfs; label_map: hash of what they mean; cmvn: how the features were normalised; extractor: how they
        were made.
    Raises:
      RecipeError: ids out of order, another number of labels than frames, a label beyond num_classes, a value float16
        cannot hold, no utterance at all.
    """
    if not 0 < num_classes <= MAX_CLASSES:
        raise RecipeError("labels are stored in 16 bits", file=path, expected=f"1 to {MAX_CLASSES} classes",
                          found=num_classes)
    with publish_folder(path) as folder:
        writer, labels = FeatureWriter(folder, path, dim), ArrayFile(folder, "labels.u16", "<u2")
        for utt, rows, pdfs in utterances:
            writer.append(utt, rows)
            if len(rows) != len(pdfs):
                raise RecipeError("another number of labels than frames", file=path, id=utt, expected=f"{len(rows)} labels",
                                  found=len(pdfs))
            check_classes(path, utt, pdfs, num_classes)
            labels.append(pdfs)
        writer.close(FORMAT, [labels], {"num_classes": num_classes, "cmvn": cmvn, "extractor": extractor or {}, "label_map": label_map})
    return FrameStore.open(path, check_hashes=False)


class FeatureWriter:
    """Writes the arrays of features, offsets and ids that every store has, and its meta.json.

    Args:
      folder: to write to. path: what errors name.
    """

    def __init__(self, folder: Path, path, dim: int):
        self.folder, self.path, self.dim = folder, path, dim
        self.features, self.offsets, self.names = (ArrayFile(folder, *pair) for pair in (
            ("features.f16", "<f2"), ("offsets.i64", "<i8"), ("utts.txt", "|u1")))
        self.gap = np.zeros((CONTEXT, dim), np.float16)
        self.features.append(self.gap)
        self.frames, self.utts, self.previous = 0, 0, ""

    def append(self, utt: str, rows: np.ndarray) -> None:
        """rows: (T, dim) float. Raises RecipeError as `write_frame_store` does."""
        if self.utts and utt.encode() <= self.previous.encode():
            raise RecipeError("utterances not in C order", file=self.path, id=utt, expected=f"an id after '{self.previous}'",
                              found=utt)
        check_id(utt, file=self.path)
        if rows.ndim != 2 or rows.shape[1] != self.dim or not len(rows):
            raise RecipeError("features of the wrong shape", file=self.path, id=utt, expected=f"(frames, {self.dim})",
                              found=rows.shape)
        limit = float(np.finfo(np.float16).max)
        if not np.abs(rows).max() <= limit:  # also true of NaN
            raise RecipeError("feature value that float16 cannot hold", file=self.path, id=utt,
                              expected=f"finite, at most {limit:.0f}",
                              found=float(np.abs(rows).max()),
                              next="look at the audio; make the features again (steps/make_fbank)")
        self.features.append(rows)
        self.features.append(self.gap)
        self.offsets.append(np.array([self.frames]))
        self.names.append(np.frombuffer((utt + "\n").encode(), np.uint8))
        self.frames, self.utts, self.previous = self.frames + len(rows), self.utts + 1, utt

    def close(self, format: str, arrays: Iterable[ArrayFile], facts: dict[str, Any]) -> None:
        """Writes meta.json. arrays: the others of the store; facts: num_classes, cmvn, extractor, label_map, and whatever it has besides."""
        self.offsets.append(np.array([self.frames]))
        if not self.frames:
            raise RecipeError("no frame to store", file=self.path, expected="at least one utterance", found="none")
        write_meta(self.folder, {
            "format": format, "num_frames": self.frames, "num_utts": self.utts, "dim": self.dim, "context": CONTEXT, **facts,
            "arrays": {array.name: array.close() for array in (self.features, *arrays, self.offsets, self.names)}})


def check_classes(path, utt: str, classes: np.ndarray, num_classes: int) -> None:
    """Raises RecipeError for a class that there is not."""
    if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
        raise RecipeError("label outside the classes", file=path, id=utt, expected=f"0 to {num_classes - 1}",
                          found=f"{classes.min()} to {classes.max()}")

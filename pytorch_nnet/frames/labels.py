"""From alignments to labels: joins features and transition-ids into a frame store and into the Lhotse manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Collection, Iterable, Iterator, Mapping

import numpy as np

from ..corpus.maintain import CUTS, FEATURE_CONFIG
from ..io.archives import read_alignments
from ..io.errors import RecipeError, reading, require_file
from ..io.options import load_config
from ..io.publish import publish, publish_path
from .store import FrameStore, write_frame_store

MAX_MISSING = 0.05  # of the utterances; above it something broke in the alignment
LISTED = 10  # ids shown for what was dropped; all of them go to the log file
FRAME_SHIFT = 0.01  # seconds
FIELD = "pdf_labels"


def label_map_hash(tree: bytes, pdf_of: np.ndarray) -> str:
    """Identifies what the classes mean: the tree's file and the pdf of each transition-id, not the Gaussians."""
    digest = hashlib.sha256(tree)
    digest.update(np.ascontiguousarray(pdf_of, "<i4").tobytes())
    return digest.hexdigest()


def pdf_labels(alignments: Mapping[str, np.ndarray], pdf_of: np.ndarray, file) -> dict[str, np.ndarray]:
    """Maps transition-ids to uint16 pdf-ids."""
    labels = {}
    for utt, ids in alignments.items():
        if len(ids) and (ids.min() < 1 or ids.max() >= len(pdf_of)):
            raise RecipeError("transition-id unknown to the model", file=file, id=utt,
                              expected=f"1 to {len(pdf_of) - 1}",
                              found=f"{ids.min()} to {ids.max()}", next="align again with the model in this directory")
        labels[utt] = pdf_of[ids].astype(np.uint16)
    return labels


def make_frame_store(data, ali_dir, store, *, norm_means: bool, norm_vars: bool, dropped_list=None) -> FrameStore:
    """Builds `store` from a filterbank data directory and its alignment; writes `data`/cuts_labels.jsonl.gz too.

    Utterances without an alignment are counted, listed on stderr and in `dropped_list`, and may be 5 % of all at most.

    Raises:
      RecipeError: too many utterances without alignment, or an alignment of another length than the features.
    """
    from ..features.reader import FeatureReader
    from ..hmm.model import AcousticModel

    model = AcousticModel.load(ali_dir)
    labels = pdf_labels(read_alignments(ali_dir), model.pdf_of, ali_dir)
    label_map = label_map_hash(Path(ali_dir, "tree").read_bytes(), model.pdf_of)
    cmvn = {"norm_means": norm_means, "norm_vars": norm_vars}
    reader = FeatureReader(data, cmvn)
    result = write_frame_store(store, join(reader, labels, data, ali_dir, dropped_list), num_classes=model.num_pdfs,
                               label_map=label_map, cmvn=cmvn, extractor=read_extractor(data))
    if Path(data, CUTS).exists():
        publish_labels(data, {utt: labels[utt] for utt in result.utts})
    return result


def read_extractor(data) -> dict:
    """What steps/make_fbank says of the features in a data directory; empty for features from elsewhere."""
    path = Path(data, FEATURE_CONFIG)
    return load_config(path) if path.exists() else {}


def join(features: Iterable[tuple[str, np.ndarray]], labels: Mapping[str, np.ndarray], data, ali_dir,
         dropped_list=None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs features with labels by utterance, asserting frame counts; reports what has no alignment at the end."""
    for utt, rows in aligned(features, labels, data, ali_dir, dropped_list):
        check_lengths(utt, len(rows), len(labels[utt]), data, ali_dir)
        yield utt, rows, labels[utt]


def aligned(features: Iterable[tuple[str, np.ndarray]], alignments: Collection[str], data, ali_dir,
            dropped_list=None) -> Iterator[tuple[str, np.ndarray]]:
    """The features of utterances that have an alignment; the others are counted and listed at the end.

    Raises:
      RecipeError: more than MAX_MISSING of them are without one.
    """
    total, missing = 0, []
    for utt, rows in features:
        total += 1
        if utt in alignments:
            yield utt, rows
        else:
            missing.append(utt)
    if dropped_list:
        with publish(dropped_list) as file:
            file.writelines(f"{utt} no alignment\n" for utt in missing)
    if missing:
        shown = " ".join(missing[:LISTED]) + (" ..." if len(missing) > LISTED else "")
        print(f"{len(missing)} of {total} utterances of {data} have no alignment in {ali_dir}, left out: {shown}",
              file=sys.stderr, flush=True)
    if len(missing) > MAX_MISSING * total:
        raise RecipeError("too many utterances without an alignment", file=ali_dir, id=missing[0],
                          expected=f"at most {100 * MAX_MISSING:.0f} % of {total}", found=len(missing),
                          next="look at the alignment's log; was it made from this data directory?")


def check_lengths(utt: str, frames: int, labels: int, data, ali_dir) -> None:
    """Raises RecipeError unless features and alignment of an utterance have the same number of frames."""
    if frames == labels:
        return
    hint = "make features and alignments from the same segments"
    if abs(frames - labels) == 2:
        hint = "a difference of two is the mark of snip_edges=false on one side: make both with snip_edges=true"
    raise RecipeError("alignment and features differ in length", file=ali_dir, id=utt,
                      expected=f"{frames} frames as in {data}", found=labels, next=hint)


def publish_labels(data, labels: Mapping[str, np.ndarray]) -> None:
    """Publishes `data`/cuts_labels.jsonl.gz: its cuts with the labels attached as the TemporalArray `pdf_labels`.

    The arrays lie in one lossless HDF5 file, `data`/pdf_labels.h5. Cuts without labels are left out.
    """
    from lhotse import CutSet
    from lhotse.array import Array, TemporalArray
    from lhotse.features.io import NumpyHdf5Writer

    data = Path(data)
    storage = (data / "pdf_labels.h5").absolute()
    def cuts():
        path = require_file(data / CUTS, next=f"steps/make_fbank {data}")
        with reading(path, "cut manifest is damaged", next=f"steps/make_fbank {data}"):
            yield from CutSet.from_file(path)

    lines = []
    with publish_path(storage) as temporary, NumpyHdf5Writer(temporary) as writer:
        for cut in cuts():
            if cut.id not in labels:
                continue
            values = labels[cut.id]
            writer.write(cut.id, values)
            array = Array(storage_type=writer.name, storage_path=str(storage), storage_key=cut.id,
                          shape=list(values.shape))
            temporal = TemporalArray(array=array, temporal_dim=0, frame_shift=FRAME_SHIFT, start=cut.start)
            lines.append(cut.with_custom(FIELD, temporal).to_dict())
    missing = sorted(labels.keys() - {line["id"] for line in lines}, key=str.encode)
    if missing:
        raise RecipeError("labelled utterances without a cut", file=data / CUTS, id=missing[0],
                          expected=f"{len(labels)} utterances", found=f"{len(missing)} missing",
                          next=f"steps/make_fbank {data}")
    with publish(data / "cuts_labels.jsonl.gz", "wb") as file, \
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.writelines(json.dumps(line).encode() + b"\n" for line in lines)

"""Soft-label stores from and to Kaldi's archives of posteriors: teachers and students may be another toolkit's.

Kaldi takes such archives as labels: nnet1's `nnet-train-frmshuff`, nnet3's sparse targets.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Iterator

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.kaldi_posterior import Posterior, posterior_to_bytes, read_posteriors
from ..io.publish import publish_folder, scratch_folder
from .softlabels import ShardWriter, SoftLabelStore, check_top_c, merge_shards
from .store import FrameStore

SLACK = 0.01  # sums of float16 probabilities exceed one by less
NEXT = "make the archives of just the frame store's utterances, by the teacher that has its classes"


def write_post(soft: SoftLabelStore, store: FrameStore, folder, *, jobs: int = 1, binary: bool = True) -> None:
    """Publishes post.1.gz .. post.<jobs>.gz and num_jobs, as Kaldi's own scripts split them; utterances in C order."""
    soft.check_matches(store)
    if not 1 <= jobs <= store.num_utts:
        raise RecipeError("impossible number of archives", id="nj", expected=f"1 to {store.num_utts}, the utterances", found=jobs)
    with publish_folder(folder) as temporary:
        (temporary / "num_jobs").write_text(f"{jobs}\n")
        for job, part in enumerate(np.array_split(np.arange(store.num_utts), jobs), 1):
            with open(temporary / f"post.{job}.gz", "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as archive:
                for index in part:
                    where = store.utt_slice(index)
                    rows, classes, probs = (tensor.numpy() for tensor in soft.gather(np.arange(where.start, where.stop)))
                    counts = np.bincount(rows, minlength=where.stop - where.start)
                    archive.write(posterior_to_bytes(store.utts[index], Posterior(counts, classes, probs), binary=binary))


def read_post(folder, store: FrameStore, out, *, top_c: int = 90) -> SoftLabelStore:
    """Publishes `out`, the soft-label store of the archives that `write_post` or a Kaldi script left in `folder`.

    Args:
      top_c: classes kept of each frame, at most, the most probable ones.
    Raises:
      RecipeError: other utterances than the store's, or in another order; another number of frames; what `kept` refuses.
    """
    check_top_c(top_c, store.num_classes)
    digest = hashlib.sha256()
    with scratch_folder(Path(out).absolute().parent, "post") as shard:
        writer = ShardWriter(shard, {"max_classes": top_c, "mass_cut": 1.0})
        entries = _entries(Path(folder), digest)
        for index, utt in enumerate(store.utts):
            path, found, posterior = next(entries, (folder, "the end of the archives", None))
            if found != utt or posterior is None:
                raise RecipeError("posteriors of other utterances than the labels", file=path, id=utt,
                                  expected=f"utterance {index + 1} of {store.path}", found=found, next=NEXT)
            where = store.utt_slice(index)
            if len(posterior.counts) != where.stop - where.start:
                raise RecipeError("another number of posteriors than frames", file=path, id=utt, found=len(posterior.counts),
                                  expected=f"{where.stop - where.start} frames as in {store.path}", next=NEXT)
            writer.add_kept(*kept(posterior, store.num_classes, top_c, file=path, utt=utt))
        for path, found, _ in entries:
            raise RecipeError("posteriors of other utterances than the labels", file=path, id=found, found="one more",
                              expected=f"the {store.num_utts} utterances of {store.path}", next=NEXT)
        writer.close()
        teacher = {"name": f"{Path(folder).name}/post.*.gz", "sha256": digest.hexdigest(), "weight": 1.0}
        return merge_shards([shard], out, store, teachers=[teacher], max_classes=top_c, mass_cut=1.0)


def _entries(folder: Path, digest) -> Iterator[tuple[Path, str, Posterior]]:
    """(archive, utterance, posterior) of post.1.gz, post.2.gz, ...; the bytes go into `digest`."""
    count = Path(require_file(folder / "num_jobs", next="write into it how many post.JOB.gz there are")).read_text().strip()
    if not count.isdigit():
        raise RecipeError("bad number of jobs", file=folder / "num_jobs", expected="a number", found=repr(count))
    for job in range(1, int(count) + 1):
        path = Path(require_file(folder / f"post.{job}.gz"))
        digest.update(path.read_bytes())
        for utt, posterior in read_posteriors(path):
            yield path, utt, posterior


def kept(posterior: Posterior, num_classes: int, top_c: int, *, file, utt: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `top_c` most probable classes of each frame, by falling probability, as `softlabels.top_classes` returns them.

    Raises:
      RecipeError: a frame without a class, a class beyond the network's, a class twice, weights that are no probabilities.
    """
    counts, ids, weights = posterior
    frames = np.repeat(np.arange(len(counts)), counts)
    sums = np.bincount(frames, weights, len(counts))
    order = np.lexsort((-weights, frames))
    pairs = np.unique(frames * np.int64(num_classes) + ids)
    for what, bad, expected, found in (
            ("frame without a posterior", counts == 0, "a class at least", "none"),
            ("class beyond the network's", (ids < 0) | (ids >= num_classes), f"0 to {num_classes - 1}", "others"),
            ("one class twice in a frame", [len(pairs) < len(ids)], "different classes", "a repetition"),
            ("weights that are no probabilities", ~((weights >= 0) & (weights <= 1 + SLACK)), "0 to 1", "others"),
            ("weights that are no probabilities", sums > 1 + SLACK, "sums of at most 1", f"{sums.max(initial=0):.3f}")):
        if np.any(bad):
            raise RecipeError(what, file=file, id=utt, expected=expected, found=found, next=NEXT)
    rank = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[rank < top_c]
    return (np.minimum(counts, top_c).astype(np.uint8), ids[order].astype(np.uint16),
            np.minimum(weights[order], 1).astype(np.float16))

"""Dumps a teacher's most probable classes for every frame of a store, in parallel shards of whole utterances."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..frames.softlabels import ShardWriter, SoftLabelStore, check_top_c, merge_shards, shard_is_done
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.launcher import python_module, run_jobs
from ..io.main import run_main
from ..io.progress import Progress
from ..io.publish import publish_folder
from ..models import load_model
from .evaluate import check_same_labels


def shard_range(store: FrameStore, job: int, jobs: int) -> range:
    """Utterances of job 1..jobs: consecutive, about equal numbers of frames."""
    bounds = np.searchsorted(store.offsets[:-1], np.arange(jobs + 1) * (store.num_frames / jobs))
    return range(int(bounds[job - 1]), int(bounds[job]))


def dump_posteriors(model_dir, store_dir, out, *, nj: int, cmd: str, top_c: int, mass: float,
                    device: str = "cpu") -> SoftLabelStore:
    """Publishes `out`, the soft-label store of the model on the frame store. The result does not depend on `nj`.

    Finished shards of an interrupted dump are kept under `out`.shards, beside their log/, and used again.
    """
    store, model = FrameStore.open(store_dir), load_model(model_dir)
    check_same_labels(model, store)
    check_top_c(top_c, store.num_classes)
    if not 1 <= nj <= store.num_utts:
        raise RecipeError("impossible number of jobs", id="nj", expected=f"1 to {store.num_utts}, the utterances",
                          found=nj)
    if not 0 < mass <= 1:
        raise RecipeError("impossible mass cut", id="mass", expected="above 0, at most 1", found=mass)
    out = Path(out)
    work = out.with_name(out.name + ".shards")
    run_jobs(cmd, nj, str(work / "log" / "dump.JOB.log"), python_module(
        "pytorch_nnet.training.dump", "JOB", nj, model_dir, store_dir, work, top_c, repr(mass), device))
    teachers = [{"name": network.path.name, "sha256": network.sha256, "weight": weight}
                for network, weight in model.members]
    result = merge_shards([work / f"shard.{job}" for job in range(1, nj + 1)], out, store, teachers=teachers,
                          max_classes=top_c, mass_cut=mass)
    shutil.rmtree(work)
    return result


def dump_shard(job: int, jobs: int, model_dir, store_dir, work, top_c: int, mass: float, device: str) -> None:
    """Publishes `work`/shard.<job>, unless a shard of the same facts is already there."""
    torch.set_num_threads(1)
    store, model = FrameStore.open(store_dir, check_hashes=False), load_model(model_dir, device)  # dump_posteriors has checked
    utts = shard_range(store, job, jobs)
    facts: dict[str, Any] = {"first_utt": utts.start, "end_utt": utts.stop, "max_classes": top_c, "mass_cut": mass,
                             "frame_store": store.identity, "model": model.sha256}
    folder = Path(work) / f"shard.{job}"
    if shard_is_done(folder, facts):
        print(f"{folder} is already there", file=sys.stderr)
        return
    frames = int(store.offsets[utts.stop] - store.offsets[utts.start])
    with publish_folder(folder) as temporary, Progress(f"dump {model.path.name}", frames, "frames") as progress:
        writer = ShardWriter(temporary, facts)
        for _, features, labels in store.utterances(utts):
            writer.add(torch.from_numpy(model.posteriors(features)))
            progress.add(len(labels))
        writer.close()


def main(argv: list[str]) -> None:
    job, jobs, model_dir, store_dir, work, top_c, mass, device = argv
    dump_shard(int(job), int(jobs), model_dir, store_dir, work, int(top_c), float(mass), device)


if __name__ == "__main__":
    run_main(main)

"""Lattices of a whole frame store for sequence training: one `forward_frames | k2_denlats` pipe a job, then one store."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..frames.labels import label_map_hash
from ..frames.lattices import LatticeStore, merge_shards
from ..frames.store import FrameStore
from ..hmm.model import AcousticModel
from ..io.errors import RecipeError, require_file
from ..io.launcher import DEFAULT_CMD, python_module, run_jobs
from ..io.options import option
from ..io.resume import note_work, same_work, work
from ..lang.lang_dir import LangDir
from ..models import load_model
from ..training.evaluate import check_same_labels
from .decode import k2_python, unless_done
from .search import SearchOptions


@dataclass
class DenlatOptions(SearchOptions):
    nj: int = option(4, "number of jobs; the result does not depend on it")
    cmd: str = option(DEFAULT_CMD, "launcher of the jobs")
    prior_scale: float = option(1.0, "exponent of the priors the posteriors are divided by, here and in the training with these lattices")
    device: str = option("cpu", "cpu or cuda; the search is always on the CPU")


def silence_pdfs(lang: LangDir, model: AcousticModel) -> list[int]:
    """Classes that only phones of phones/silence.int have."""
    quiet = np.isin(model.phone_of[1:], lang.silence_phones)
    return np.setdiff1d(model.pdf_of[1:][quiet], model.pdf_of[1:][~quiet]).tolist()


def make_denlats(lang_dir, gmm_dir, graph_dir, store_dir, model_dir, out, options: DenlatOptions) -> LatticeStore:
    """Publishes `out`, the lattice store of a network on a frame store.

    Args:
      lang_dir, gmm_dir: say which classes are silence. graph_dir: of steps/mkgraph, with a weak grammar.
    Raises:
      RecipeError: inputs of different trees, a failed job, more than 5 % of the utterances without a lattice.
    """
    options.check()
    graph_dir, out = Path(graph_dir), Path(out)
    graph = require_file(graph_dir / "graph.npz", next="make the graph first (steps/mkgraph)")
    store, model, gmm = FrameStore.open(store_dir), load_model(model_dir), AcousticModel.load(gmm_dir)
    check_same_labels(model, store)
    label_map = label_map_hash(Path(gmm_dir, "tree").read_bytes(), gmm.pdf_of)
    if label_map != store.label_map:
        raise RecipeError("the labels of the frame store are another tree's", file=store.path, expected=f"those of {gmm_dir}, {label_map[:12]}",
                          found=store.label_map[:12], next="name the directory whose alignment the store was made from")
    if not 1 <= options.nj <= store.num_utts:
        raise RecipeError("impossible number of jobs", id="nj", expected=f"1 to {store.num_utts}, the utterances", found=options.nj)
    shards = out.with_name(out.name + ".shards")
    doing = work(options, [graph, Path(store_dir), Path(model_dir)])
    if not same_work(shards, doing):
        shutil.rmtree(shards, ignore_errors=True)
        note_work(shards, doing)
    forward = python_module("pytorch_nnet.decoding.forward_frames", "--prior-scale", options.prior_scale, "--device", options.device, "--job", "JOB",
                            "--nj", options.nj, model_dir, store_dir)
    search = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in SearchOptions.__dataclass_fields__]
    searcher = [k2_python(), "-m", "pytorch_nnet.decoding.k2_denlats", *search, str(graph_dir), str(store_dir), str(shards / "shard.JOB")]
    last = [shards / "shard.JOB" / "meta.json"]
    run_jobs(options.cmd, options.nj, str(shards / "log" / "denlats.JOB.log"),
             ["bash", "-c", f"set -o pipefail; {unless_done(last)} || {shlex.join(forward)} | {shlex.join(searcher)}"])
    with open(graph, "rb") as file:
        graph_hash = hashlib.file_digest(file, "sha256").hexdigest()
    networks = [{"name": network.path.name, "sha256": network.sha256, "weight": weight} for network, weight in model.members]
    result = merge_shards([shards / f"shard.{job}" for job in range(1, options.nj + 1)], out, store, {
        **{name: getattr(options, name) for name in ("prior_scale", *SearchOptions.__dataclass_fields__)}, "graph": graph_hash, "networks": networks,
        "silence_pdfs": silence_pdfs(LangDir(lang_dir), gmm)})
    shutil.rmtree(shards)
    return result

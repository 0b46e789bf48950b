"""Decoding a data directory: one `forward | decoder` pipe a job, then a check that every utterance is accounted for."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Sequence

import yaml

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, require_file
from ..io.launcher import DEFAULT_CMD, ROOT, python_module, run_jobs
from ..io.options import build, load_config, option
from ..io.publish import publish
from ..io.resume import note_work, same_work, work
from ..lang.lang_dir import read_symbols
from ..models.facts import subsampling_of, units_of
from .forward import PRIOR_HELP
from .lattice import LatticeReader
from .prefix_decode import PrefixOptions
from .search import SearchOptions

MAX_FAILED = 0.05  # of the utterances: more means that something is broken, not that some utterances are hard


@dataclass
class PriorOptions:
    prior_scale: float | None = option(None, PRIOR_HELP)


@dataclass
class ScaledSearchOptions(PriorOptions, SearchOptions):
    """What decides, beside model and graph, which paths a search finds; the directory of a decoding holds it as search.yaml."""


@dataclass
class CommonOptions(PriorOptions):
    """What every way of decoding a data directory takes."""

    nj: int = option(4, "number of jobs; never inside a speaker")
    cmd: str = option(DEFAULT_CMD, "launcher of the jobs")
    model: str | None = option(None, "directory of the acoustic model; default: the parent of <decode-dir>")
    device: str = option("cpu", "networks: cpu or cuda; the search is always on the CPU")
    skip_scoring: bool = option(False, "do not call steps/score")


@dataclass
class PassOptions(CommonOptions, ScaledSearchOptions):
    """What searching a graph for its best paths takes."""

    SEARCH = SearchOptions  # what the decoder process takes of them
    decoder: str = option("k2", "k2, or kaldi (LatticeFasterDecoder, best path only, needs no k2)")

    def check(self) -> None:
        super().check()
        if self.decoder not in ("k2", "kaldi"):
            raise RecipeError("bad value for an option", id="decoder", expected="k2 or kaldi", found=self.decoder)


@dataclass
class DecodeOptions(PassOptions):
    transform_dir: str = option("", "GMMs: directory of trans.JOB, to adapt the features to speakers")


@dataclass
class DecodePrefixOptions(CommonOptions, PrefixOptions):
    """What summing over the paths of CTC takes."""

    SEARCH = PrefixOptions
    decoder = "prefix"
    transform_dir = ""


GRAPH_OF = {"k2": "graph.npz", "kaldi": "HCLG.fst", "prefix": "LG.fst"}  # by decoder


def k2_python() -> str:
    """The Python that has k2: $K2_PYTHON, else .venv-k2. Raises RecipeError, naming the ways out, if it is not
    there."""
    python = os.environ.get("K2_PYTHON") or str(ROOT / ".venv-k2" / "bin" / "python")
    if not os.access(python, os.X_OK):
        raise RecipeError(
            "no Python with k2",
            file=python,
            expected="the k2 environment (Python 3.10), or K2_PYTHON naming one",
            found="nothing that runs",
            next="install Python 3.10 and call utils/setup_env.sh; or point K2_PYTHON at a Python that has k2 and "
            "numpy; or decode without k2: --decoder kaldi",
        )
    return python


def decode_data(graph_dir, data_dir, decode_dirs: Sequence, options: DecodeOptions | DecodePrefixOptions) -> None:
    """Fills each of `decode_dirs` with lat.JOB.npz, failed.txt, log/, of a search in a graph search.yaml and, last of all, num_jobs.

    Several directories are several systems, decoded by the same processes: the graph is loaded once, and networks that
    ensembles share are computed once. The log of all is the first one's; the others link to it.
    Jobs that a killed decoding of the same work had finished are not done again.

    Raises:
      RecipeError: a missing input, a failed job, an utterance unaccounted for, more than 5 % without a path.
    """
    options.check()
    graph_dir, outs = Path(graph_dir), [Path(out) for out in decode_dirs]
    if options.model and len(outs) > 1:
        raise RecipeError("--model names one system", expected="one <decode-dir>", found=len(outs),
                          next="leave --model out: the acoustic model is the directory above each <decode-dir>")
    models = [options.model or out.absolute().parent for out in outs]
    subsampling = one_subsampling(models)
    require_file(graph_dir / GRAPH_OF[options.decoder], next="make the graph first (steps/mkgraph)")
    check_units(graph_dir, models)
    data = DataDir.load(data_dir, need=("feats.scp",))
    options.nj = data.at_most(options.nj)
    parts = data.split(options.nj)
    log = outs[0] / "log"
    inputs = [graph_dir, *models, *filter(Path.exists, (data.path / name for name in ("feats.scp", "utt2spk", "cmvn.scp")))]
    facts = work(options, [*inputs, options.transform_dir] if options.transform_dir else inputs, systems=list(map(str, outs)))
    for out in outs:
        out.mkdir(parents=True, exist_ok=True)
        stale = [] if same_work(out, facts) else [*out.glob("lat.*.npz"), *out.glob("failed.*.txt"), *out.glob("partial.*.txt")]
        for old in [out / "num_jobs", out / "failed.txt", out / "partial.txt", *stale]:
            old.unlink(missing_ok=True)
        note_work(out, facts)
        if out != outs[0]:
            link_log(out / "log", log)
    log.mkdir(exist_ok=True)

    prior_scale = [] if options.prior_scale is None else ["--prior-scale", options.prior_scale]
    forward = python_module("pytorch_nnet.decoding.forward", *prior_scale, "--device", options.device,
                            f"--transform-dir={options.transform_dir}", "--job", "JOB", "--nj", options.nj,
                            *models, data_dir, "ark:-")
    python = k2_python() if options.decoder == "k2" else sys.executable
    search = [f"--{field.name.replace('_', '-')}={getattr(options, field.name)}" for field in fields(options.SEARCH)]
    decoder = [python, "-m", f"pytorch_nnet.decoding.{options.decoder}_decode", *search, f"--subsampling={subsampling}", str(graph_dir), "JOB",
               *map(str, outs)]
    last = [out / "failed.JOB.txt" for out in outs]  # search.decode_stream
    run_jobs(
        options.cmd,
        options.nj,
        log=f"{log}/decode.JOB.log",
        command=["bash", "-c", f"set -o pipefail; {unless_done(last)} || {shlex.join(forward)} | {shlex.join(decoder)}"],
    )
    for out in outs:
        account(out, parts)
        if isinstance(options, ScaledSearchOptions):
            with publish(out / "search.yaml") as file:
                yaml.safe_dump({field.name: getattr(options, field.name) for field in fields(ScaledSearchOptions)}, file, sort_keys=False)
        with publish(out / "num_jobs") as file:
            file.write(f"{options.nj}\n")
        note_work(out, None)


def search_of(decode_dir) -> ScaledSearchOptions:
    """The options that a directory was decoded with. Raises RecipeError for one that steps/decode has not made."""
    path = require_file(Path(decode_dir) / "search.yaml", next="name a directory of steps/decode, or decode again")
    return build(ScaledSearchOptions, load_config(path), where=str(path))


def one_subsampling(models: Sequence) -> int:
    """Frames to a row of likelihoods, for all models that are decoded together. Raises RecipeError if they differ."""
    found = {model: subsampling_of(model) for model in models}
    for model, value in found.items():
        if value != found[models[0]]:
            raise RecipeError("networks with different numbers of outputs cannot be decoded together", id=model,
                              expected=f"one for {found[models[0]]} frames, as {models[0]}", found=f"one for {value}",
                              next="decode it in a call of its own")
    return found[models[0]]


def check_units(graph_dir: Path, models: Sequence) -> None:
    """Raises RecipeError unless the graph is of the models' units, or of pdfs as they are."""
    listed = graph_dir / "units.txt"
    wanted = tuple(read_symbols(listed)) if listed.exists() else None
    for model in models:
        units = units_of(model)
        found = units.symbols if units else None
        if found != wanted:
            raise RecipeError("graph and model have different classes", file=graph_dir, id=model,
                              expected=f"{len(wanted)} units of CTC, as in units.txt" if wanted else "pdfs",
                              found=f"{len(found)} {'other ' if wanted else ''}units of CTC" if found else "pdfs",
                              next="steps/mkgraph <lang> <model-dir> <graph> makes the one that belongs to it")


def unless_done(last: Sequence[Path]) -> str:
    """A shell command that succeeds if a job, JOB in paths, has made these files, the last that it makes."""
    done = " && ".join(f"[ -e {shlex.quote(str(path))} ]" for path in last)
    return f"{{ {done} && echo done before >&2; }}"


def link_log(link: Path, log: Path) -> None:
    """Makes `link` a symbolic link to the directory `log`, in place of what an earlier decoding left there."""
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(log, link.parent))


def account(out: Path, parts: list[DataDir]) -> None:
    """Merges failed.JOB.txt and partial.JOB.txt and checks that every utterance has a lattice or a reason, and that few need one."""
    lists: dict[str, dict[str, str]] = {"partial": {}, "failed": {}}
    for job, part in enumerate(parts, 1):
        for name, reasons in lists.items():
            with open(out / f"{name}.{job}.txt", encoding="utf-8") as file:
                reasons.update((utt, reason) for utt, _, reason in (line.rstrip("\n").partition(" ") for line in file))
        lattices = LatticeReader(out / f"lat.{job}.npz").utts
        failed = part.utt2spk.keys() & lists["failed"].keys()
        lost = part.utt2spk.keys() - failed - set(lattices)
        if lost:
            raise RecipeError(
                "an utterance was neither decoded nor reported",
                file=out / f"log/decode.{job}.log",
                id=min(lost),
                expected=f"{len(part.utts)} utterances",
                found=f"{len(lattices)} lattices, {len(failed)} failures",
            )
    for name, reasons in lists.items():
        with publish(out / f"{name}.txt") as merged:
            for utt in sorted(reasons, key=str.encode):
                merged.write(f"{utt} {reasons[utt]}\n")
        for job in range(1, len(parts) + 1):
            (out / f"{name}.{job}.txt").unlink()
    total, lacking, partial = sum(len(part.utts) for part in parts), len(lists["failed"]), len(lists["partial"])
    print(
        f"{out}: {total - lacking} of {total} utterances decoded, {lacking} failed" + (f", {partial} end in no final state" if partial else ""),
        file=sys.stderr,
        flush=True,
    )
    if lacking + partial > MAX_FAILED * total:
        name = "failed" if lacking else "partial"
        utt, reason = next(iter(lists[name].items()))
        raise RecipeError(
            "too many utterances without a path to a final state",
            file=out / f"{name}.txt",
            id=utt,
            expected=f"at most {MAX_FAILED:.0%} of {total}",
            found=f"{lacking + partial}; the first: {reason}",
            next="widen --beam and --max-active, and check that graph and model belong together",
        )

"""GMM training: monophones from a flat start, and tied triphones from an alignment (train_transforms.py: with LDA+MLLT and with fMLLR).

The schedules are those of Kaldi's steps/train_mono.sh and steps/train_deltas.sh: in every iteration an E and an M step, in some of them
a new alignment first, and Gaussians added until `max_iter_inc`. Each iteration is one job array: realign and accumulate. Results do not
depend on the number of jobs (gmm.on_grid). A killed training goes on from its last iteration (io.resume).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, reading, require_file
from ..io.kaldi_model import Gaussians
from ..io.launcher import DEFAULT_CMD, python_module, run_jobs
from ..io.options import option
from ..io.progress import track
from ..io.publish import publish
from ..io.resume import Landmark, work
from ..lang.lang_dir import LangDir
from . import gmm
from .align import check_beams, read_failures
from .features import FeatureOptions
from .graphs import check_transcripts
from .jobs import job_arguments
from .model import AcousticModel
from .questions import phone_sets
from .stats import merge_files
from .topology import read_topology
from .tree import TreeBuilder

NORM_VARS = "normalise variances per speaker, not only means"


@dataclass
class TrainOptions:
    """What both kinds of training take."""

    nj: int = option(2, "number of parallel jobs, at most one a speaker")
    cmd: str = option(DEFAULT_CMD, "job launcher and its options")
    beam: float = option(10.0, "beam of the alignments")
    retry_beam: float = option(40.0, "beam of the second attempt at an utterance")
    power: float = option(0.25, "Gaussians are shared out by occupancy to this power")

    def beam_at(self, iteration: int) -> float:
        return self.beam


@dataclass
class MonoOptions(TrainOptions):
    num_iters: int = option(40, "training iterations")
    max_iter_inc: int = option(30, "last iteration that adds Gaussians")
    totgauss: int = option(1000, "target number of Gaussians")
    norm_vars: bool = option(False, NORM_VARS)
    initial_beam: float = option(6.0, "beam of the first alignment, when models are still flat")
    realign_iters: list[int] = option([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 35, 38],
                                      "iterations that align anew")

    def beam_at(self, iteration: int) -> float:
        return self.initial_beam if iteration == 1 else self.beam


@dataclass
class TreeOptions(TrainOptions):
    num_iters: int = option(35, "training iterations")
    max_iter_inc: int = option(25, "last iteration that adds Gaussians")
    realign_iters: list[int] = option([10, 20, 30], "iterations that align anew")
    cluster_thresh: float = option(-1.0, "leaves losing less than this are merged; -1: the gain of the last split, 0: none")
    min_leaf_count: float = option(100.0, "frames every leaf must have")


@dataclass
class DeltasOptions(TreeOptions):
    norm_vars: bool = option(False, NORM_VARS)


def train_mono(data: str, lang: str, folder: str, options: MonoOptions) -> None:
    """Trains a monophone system from equal alignments; leaves final.mdl, tree, ali.JOB.gz, num_jobs in `folder`."""
    from ..io.kaldi_tree import monophone_tree

    trainer = Trainer(data, lang, folder, options)
    if not trainer.goes_on():
        topology = read_topology(trainer.lang.path("topo"))
        tree = monophone_tree({int(phone): topology.num_pdf_classes(phone) for phone in topology.phones}, trainer.phone_sets())
        model = AcousticModel.create(topology, tree, FeatureOptions(norm_vars=options.norm_vars))
        # With one Gaussian a pdf the first statistics do not depend on its parameters, so any will do.
        shape = (tree.num_pdfs, trainer.dim(model.features))
        flat = gmm.gaussians_from_moments(np.ones(shape[0]), np.zeros(shape), np.ones(shape), np.arange(shape[0] + 1))
        trainer.start(model.replaced(gmm=flat))
        totals = trainer.e_step(0, realign=False)
        trainer.m_step(0, totals, gmm.single_gaussians(totals["statistics"]))
        trainer.reached(0)
    trainer.run()


def train_deltas(num_leaves: int, totgauss: int, data: str, lang: str, ali_dir: str, folder: str, options: DeltasOptions) -> None:
    """Trains a tied-triphone system on the alignments of `ali_dir`."""
    trainer = Trainer(data, lang, folder, options, totgauss)
    source = trainer.source(ali_dir)
    if not trainer.goes_on(num_leaves):
        trainer.grow(num_leaves, source, FeatureOptions(norm_vars=options.norm_vars))
    trainer.run()


def check_size(leaves: str, gaussians: str) -> tuple[int, int]:
    """Numbers of leaves and of Gaussians from a command line; RecipeError unless 0 < leaves <= Gaussians."""
    if not (leaves.isdigit() and gaussians.isdigit() and 0 < int(leaves) <= int(gaussians)):
        raise RecipeError("bad model size", expected="0 < <num-leaves> <= <tot-gauss>", found=f"{leaves} {gaussians}")
    return int(leaves), int(gaussians)


def lines_of(lang: LangDir, name: str) -> list[str]:
    """The non-empty lines of a file of the lang directory that may itself be empty."""
    path = lang.folder / name
    if not path.exists():
        raise RecipeError("missing input", file=path, expected="a file of a lang directory", next="steps/prepare_lang")
    return [line for line in path.read_text().splitlines() if line.strip()]


# What an iteration replaces, or the next one needs.
ITERATION_FILES = ("*.mdl", "tree", "*_opts", "final.mat", "ali.*.gz", "trans.*", "fsts.*.ark", "failed*")


class Trainer:
    """Runs the iterations: `<x>.mdl` in, job array, statistics, `<x+1>.mdl` out.

    done: how many iterations are finished.
    """

    def __init__(self, data: str, lang: str, folder: str, options, totgauss: int | None = None):
        self.data, self.folder, self.options = data, Path(folder), options
        self.transform_dir = ""  # of a speaker-adapted system, where its jobs find trans.JOB
        self.totgauss = options.totgauss if totgauss is None else totgauss
        check_beams(max(options.beam_at(1), options.beam), options.retry_beam)
        self.lang = LangDir(lang)
        self.data_dir = DataDir.load(data, need=("text", "feats.scp", "cmvn.scp"))
        options.nj = self.data_dir.at_most(options.nj)
        check_transcripts(self.data_dir, self.lang)
        (self.folder / "log").mkdir(parents=True, exist_ok=True)
        (self.folder / "final.mdl").unlink(missing_ok=True)  # a directory being retrained must not look finished
        self.lines: list[str] = []
        self.done, self.ali_dir = 0, ""

    def goes_on(self, num_leaves: int = 0) -> bool:
        """Takes up what a killed training of the same work left after its last iteration, if there is any."""
        inputs = [self.data_dir.path / name for name in ("text", "feats.scp", "cmvn.scp", "utt2spk")] + [self.lang.folder]
        if self.ali_dir:
            inputs.append(Path(self.ali_dir))
        self.landmark = Landmark(self.folder, work(self.options, inputs, kind=type(self).__name__, leaves=num_leaves, gaussians=self.totgauss))
        state = self.landmark.restore()
        if state is None:
            return False
        self.done, self.lines = state["done"], state["lines"]
        self.model = AcousticModel.load(self.folder, f"{self.done + 1}.mdl")
        print(f"{self.folder}: goes on after iteration {self.done}", file=sys.stderr)
        return True

    def reached(self, iteration: int) -> None:
        """Notes that the iteration is done, with all that the next one needs."""
        self.done = iteration
        self.landmark.save(ITERATION_FILES, {"done": iteration, "lines": self.lines})

    def dim(self, features: FeatureOptions) -> int:
        """How many numbers a frame has."""
        return features.complete(features.open(self.data_dir).reader[self.data_dir.utts[0]]).shape[1]

    def source(self, ali_dir: str) -> AcousticModel:
        """The model of an alignment directory, checked."""
        model = AcousticModel.load(ali_dir)
        model.check_phones(self.lang)
        require_file(Path(ali_dir) / "num_jobs", next=f"steps/align_si {self.data} {self.lang.folder} <model-dir> {ali_dir}")
        self.ali_dir = ali_dir
        return model

    def grow(self, num_leaves: int, source: AcousticModel, features: FeatureOptions) -> None:
        """Builds the tree from the alignments of `source`, a Gaussian for every leaf, and the first alignment with them."""
        options = self.options
        features.write(self.folder)
        self.jobs("pytorch_nnet.hmm.tree_job", "acc_tree", lang=self.lang.folder, ali_dir=self.ali_dir)
        parts = [self.folder / f"treeacc.{job}.npz" for job in range(1, options.nj + 1)]
        stats = merge_files(parts, source)
        extra = [tuple(map(int, line.split())) for line in lines_of(self.lang, "phones/extra_questions.int")]
        roots = self.phone_sets()
        sets = phone_sets(stats, roots, extra)
        builder = TreeBuilder(stats, source.table.topology, roots, sets, min_count=options.min_leaf_count)
        built = builder.build(num_leaves, cluster_threshold=options.cluster_thresh)
        self.say(f"tree: {built.report}, {len(sets)} phone sets asked about")
        for part in parts:
            part.unlink()
        model = AcousticModel.create(source.table.topology, built.tree, features)
        self.start(model.replaced(gmm=gmm.single_gaussians(built.sums)), ali_dir=self.ali_dir, name="1.mdl")
        self.reached(0)

    def phone_sets(self) -> list[tuple[int, ...]]:
        """Phones that share a root of the tree, or all their pdfs in a monophone system."""
        return [tuple(map(int, line.split())) for line in lines_of(self.lang, "phones/sets.int")]

    def say(self, line: str) -> None:
        """Keeps a line in log/summary.txt."""
        self.lines.append(line)
        with publish(self.folder / "log" / "summary.txt") as file:
            file.writelines(f"{line}\n" for line in self.lines)

    def jobs(self, module: str, log: str, **values) -> None:
        values = {"transform_dir": self.transform_dir, **values}
        arguments = job_arguments(data=self.data, dir=self.folder, nj=self.options.nj, **values)
        run_jobs(self.options.cmd, self.options.nj, f"{self.folder}/log/{log}.JOB.log", python_module(module, *arguments))

    def start(self, model: AcousticModel, ali_dir: str = "", name: str = "0.mdl") -> None:
        """Compiles graphs and makes the first alignment."""
        model.save(self.folder, name)
        self.model = model
        self.jobs("pytorch_nnet.hmm.start_job", "start", lang=self.lang.folder, model=name, ali_dir=ali_dir)
        self.failed()

    def failed(self) -> int:
        """How many utterances the last alignment lost; RecipeError if they are too many."""
        failures = read_failures(self.folder, self.options.nj)
        failures.tried = len(self.data_dir.utts)
        failures.check(self.folder / "log")
        failures.write(self.folder / "failed")
        return len(failures.reasons)

    def run(self) -> None:
        """Iterations 1 to num_iters - 1, then the final names."""
        options = self.options
        first = self.model.num_pdfs  # Gaussians before the first iteration
        step = max(0, (self.totgauss - first) // max(1, options.max_iter_inc))
        for iteration in track(range(self.done + 1, options.num_iters), f"train {self.folder}", unit="iterations"):
            self.adapt(iteration)
            totals = self.e_step(iteration, realign=iteration in options.realign_iters)
            gaussians = self.model.require_gmm()
            updated = gmm.update(gaussians, totals["statistics"])
            occupancies = np.add.reduceat(totals["statistics"][:, 0], gaussians.offsets[:-1])
            target = first + step * min(iteration - 1, options.max_iter_inc)
            targets = gmm.split_targets(occupancies, np.diff(updated.offsets), target, power=options.power)
            self.m_step(iteration, totals, gmm.split(updated, targets))
            self.reached(iteration)
        self.finish()

    def adapt(self, iteration: int) -> None:
        """What a kind of training does to the features before an iteration."""

    def e_step(self, iteration: int, *, realign: bool) -> dict[str, np.ndarray]:
        """Runs the iteration's jobs with `<iteration>.mdl` and returns the totals of their statistics."""
        self.jobs("pytorch_nnet.hmm.em_job", f"em.{iteration}", iteration=iteration, realign=realign,
                  beam=self.options.beam_at(iteration), retry_beam=self.options.retry_beam)
        failed, totals = self.failed(), self.totals()
        self.say(f"iteration {iteration}{', realigned' if realign else ''}: log-likelihood {totals['loglike'] / totals['frames']:.4f} "
                 f"per frame, {totals['frames']:.0f} frames, {self.model.require_gmm().num_gauss} Gaussians, {failed} utterances failed")
        return totals

    def m_step(self, iteration: int, totals: dict[str, np.ndarray], updated: Gaussians) -> None:
        """Writes `<iteration+1>.mdl` with the new Gaussians and transition probabilities, and drops the old file."""
        self.model = self.model.replaced(gmm=updated, log_probs=self.new_log_probs(totals["transitions"]))
        self.model.save(self.folder, f"{iteration + 1}.mdl")
        (self.folder / f"{iteration}.mdl").unlink()

    def totals(self, name: str = "acc") -> dict[str, np.ndarray]:
        """The jobs' statistics, <name>.JOB.npz, added up; exact, so the order does not matter."""
        totals: dict[str, np.ndarray] = {}
        for job in range(1, self.options.nj + 1):
            path = self.folder / f"{name}.{job}.npz"
            with reading(path, next="call the same command again"), np.load(path) as part:
                for key in part.files:
                    totals[key] = totals.get(key, 0.0) + part[key]
            path.unlink()
        return totals

    def new_log_probs(self, counts: np.ndarray) -> np.ndarray:
        """Transition log-probabilities re-estimated from counts by transition-id."""
        import kaldi_hmm_gmm as khg

        transitions = self.model.transitions
        transitions.mle_update(counts, khg.MleTransitionUpdateConfig())
        return np.array(transitions.log_probs, np.float32)

    def finish(self) -> None:
        """num_jobs and final.mdl, the latter last: it says that the directory is whole."""
        for job in range(1, self.options.nj + 1):
            (self.folder / f"failed.{job}").unlink(missing_ok=True)  # a killed run may have come as far as this
            (self.folder / f"fsts.{job}.ark").unlink(missing_ok=True)
        with publish(self.folder / "num_jobs") as file:
            file.write(f"{self.options.nj}\n")
        (self.folder / f"{self.options.num_iters}.mdl").rename(self.folder / "final.mdl")
        self.landmark.remove()
        print(f"{self.folder}: {self.model.num_pdfs} pdfs, {self.lines[-1]} (all iterations: {self.folder}/log/summary.txt)", file=sys.stderr)

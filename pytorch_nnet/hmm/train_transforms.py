"""Triphone training on better features: LDA+MLLT of spliced frames, and speaker-adaptive training with fMLLR.

Schedules of Kaldi's steps/train_lda_mllt.sh and steps/train_sat.sh: the transforms are estimated anew before iterations 2, 4, 6 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..corpus.datadir import DataDir
from ..io.kaldi_model import write_model
from ..io.options import option
from ..io.publish import publish_path
from . import gmm
from .features import FeatureOptions, read_transforms, remove_transforms, write_transforms
from .lda import LdaStats
from .mllt import estimate_mllt
from .train import DeltasOptions, Trainer, TreeOptions


@dataclass
class LdaMlltOptions(DeltasOptions):
    dim: int = option(40, "dimensions LDA keeps")
    left_context: int = option(3, "frames spliced before")
    right_context: int = option(3, "frames spliced after")
    mllt_iters: list[int] = option([2, 4, 6, 12], "iterations before which MLLT is estimated")


@dataclass
class SatOptions(TreeOptions):
    fmllr_iters: list[int] = option([2, 4, 6, 12], "iterations before which the speakers' transforms are estimated")
    min_count: float = option(500.0, "frames of speech a speaker must have to be adapted")


def train_lda_mllt(num_leaves: int, totgauss: int, data: str, lang: str, ali_dir: str, folder: str, options: LdaMlltOptions) -> None:
    """Trains a tied-triphone system on LDA+MLLT features; leaves final.mat and splice_opts beside the model."""
    trainer = LdaMlltTrainer(data, lang, folder, options, totgauss)
    source = trainer.source(ali_dir)
    if not trainer.goes_on(num_leaves):
        spliced = FeatureOptions(norm_vars=options.norm_vars, deltas=False, left=options.left_context, right=options.right_context)
        spliced.write(folder)
        trainer.jobs("pytorch_nnet.hmm.lda_job", "lda_acc", lang=lang, ali_dir=ali_dir)
        matrix = LdaStats(**trainer.totals("lda")).estimate(options.dim)
        trainer.grow(num_leaves, source, spliced.with_matrix(matrix))
    trainer.run()


def train_sat(num_leaves: int, totgauss: int, data: str, lang: str, ali_dir: str, folder: str, options: SatOptions) -> None:
    """Trains a tied-triphone system on speaker-adapted features.

    The features are those of the model of `ali_dir`, whose transforms are the first ones if it has any. Leaves trans.JOB and, for
    features that are not adapted yet, final.alimdl.
    """
    trainer = SatTrainer(data, lang, folder, options, totgauss)
    source = trainer.source(ali_dir)
    if not trainer.goes_on(num_leaves):
        trainer.first_transforms()
        trainer.grow(num_leaves, source, source.features)
    trainer.run()


class LdaMlltTrainer(Trainer):
    def adapt(self, iteration: int) -> None:
        """Multiplies the features' matrix by MLLT's, and the means with it."""
        if iteration not in self.options.mllt_iters:
            return
        self.jobs("pytorch_nnet.hmm.mllt_job", f"mllt.{iteration}", lang=self.lang.folder, iteration=iteration)
        totals = self.totals("mllt")
        matrix, gain = estimate_mllt(totals["g"], float(totals["beta"]))
        model, gaussians = self.model, self.model.require_gmm()
        means, variances = gmm.moments(gaussians)
        moved = gmm.gaussians_from_moments(gaussians.weights, means @ matrix.T, variances, gaussians.offsets)
        self.model = model.replaced(gmm=moved, features=model.features.with_matrix(matrix @ model.features.matrix))
        self.model.save(self.folder, f"{iteration}.mdl")
        self.say(f"MLLT before iteration {iteration}: log-likelihood {gain:.4f} higher per frame of speech")


class SatTrainer(Trainer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.transform_dir = str(self.folder)

    def first_transforms(self) -> None:
        """Takes the transforms over from the alignments' directory, or estimates them with its model and alignments."""
        remove_transforms(self.folder)
        if any(Path(self.ali_dir).glob("trans.*")):
            for job, part in enumerate(DataDir.load(self.data).split(self.options.nj), 1):
                write_transforms(self.folder / f"trans.{job}", read_transforms(self.ali_dir, part))
        else:
            self.estimate("first", source=self.ali_dir, transform_dir="")

    def adapt(self, iteration: int) -> None:
        if iteration in self.options.fmllr_iters:
            self.estimate(str(iteration), iteration=iteration)

    def estimate(self, name: str, **values) -> None:
        self.jobs("pytorch_nnet.hmm.fmllr_job", f"fmllr.{name}", lang=self.lang.folder, min_count=self.options.min_count, **values)

    def finish(self) -> None:
        """Makes final.alimdl too: the statistics of unadapted features under the posteriors of the adapted ones."""
        last = self.options.num_iters
        self.jobs("pytorch_nnet.hmm.em_job", "acc_alimdl", iteration=last, unadapted=True)
        plain = gmm.update(self.model.require_gmm(), self.totals()["statistics"], remove=False)
        with publish_path(self.folder / "final.alimdl") as temporary:
            write_model(temporary, self.model.table, plain)
        super().finish()

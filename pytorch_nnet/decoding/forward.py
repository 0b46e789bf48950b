"""The scorer process: features of one job's utterances in, a Kaldi archive of log-likelihoods out.

    python -m pytorch_nnet.decoding.forward [--prior-scale 1.0 --job 1 --nj 4] exp/cnn data/dev_fbank ark:- | <decoder>

Several networks and ensembles of the same features may be scored at once: the archive then holds each utterance once for
every one of them, in their order, and what they share is computed once.

A network gives log p(pdf | x) - prior_scale * log p(pdf), a likelihood but for p(x), which no path can change
(Bourlard and Morgan 1994); a GMM gives log p(x | pdf). A network that CTC trained gives the same of units and the blank times CTC_SCALE, a row for
each of its outputs. It has learnt whole sequences, so its logarithms need a scale not far from 1 beside the language model's; those of frames, which are taken
for independent, need a tenth. With the factor the same acoustic scales and LM weights do for both (Kaldi has --post-decode-acwt 10 for chain
models, for the same reason).
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import write_archive
from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import track

USAGE = """Usage: python -m pytorch_nnet.decoding.forward [options] <scorer-dir>... <data> ark:-
 e.g.: python -m pytorch_nnet.decoding.forward --job 1 --nj 4 exp/cnn data/dev_fbank ark:- | ..."""

# Kaldi's nnet-forward has the same floor; it keeps the logarithm of a probability that underflowed finite.
POSTERIOR_FLOOR = 1e-20
PRIOR_FLOOR = 1e-10
CTC_SCALE = 6.0
# What the posteriors are divided by, where nothing else is asked for: Bayes' rule says 1. CTC has no labels of outputs, and so no priors of them;
# dividing by mean posteriors in part only keeps the blank, which most outputs are, from swallowing units (docs/decoding.md has figures).
PRIOR_SCALE, CTC_PRIOR_SCALE = 1.0, 0.5
NETWORKS = ("model.safetensors", "ensemble.yaml")  # the files that tell a network's or an ensemble's directory

PRIOR_HELP = f"networks: exponent of the priors the posteriors are divided by; {PRIOR_SCALE:g} unless given, {CTC_PRIOR_SCALE:g} after CTC"


@dataclass
class ForwardOptions:
    prior_scale: float | None = option(None, PRIOR_HELP)
    job: int = option(1, "which part of the data, from 1")
    nj: int = option(1, "number of parts")
    transform_dir: str = option("", "GMMs: directory of trans.JOB, to adapt the features to speakers")
    device: str = option("cpu", "networks: cpu or cuda")


@dataclass
class Scorer:
    """utterances: (utt, features) in C order; loglikes: features -> one (T, num_pdfs) float32 for every system; num_pdfs
    of each; subsampling: frames to a row, the same for all."""

    utterances: Iterable[tuple[str, np.ndarray]]
    loglikes: Callable[[np.ndarray], list[np.ndarray]]
    num_pdfs: list[int]
    subsampling: int = 1


def open_scorer(folders: Sequence, data: DataDir, prior_scale: float | None = None, transform_dir: str = "",
                device: str = "cpu") -> Scorer:
    """Opens networks (model.safetensors) and ensembles (ensemble.yaml), or one GMM (final.mdl), over the utterances of
    `data`."""
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not any((folder / name).exists() for name in (*NETWORKS, "final.mdl")):
            raise RecipeError(
                "no acoustic model here",
                file=folder,
                expected="final.mdl, model.safetensors or ensemble.yaml",
                found="none of them",
                next="train it first, or name another with --model",
            )
    if all(any((folder / name).exists() for name in NETWORKS) for folder in folders):
        return open_networks(folders, data, prior_scale, device)
    if len(folders) > 1:
        raise RecipeError(
            "a GMM is scored alone",
            expected="networks and ensembles",
            found=", ".join(map(str, folders)),
            next="decode it in a call of its own",
        )
    from ..hmm.features import read_transforms
    from ..hmm.model import AcousticModel

    # A speaker-adapted system has a second model for features that are not adapted.
    plain = not transform_dir and (folders[0] / "final.alimdl").exists()
    model = AcousticModel.load(folders[0], "final.alimdl" if plain else "final.mdl")
    transforms = read_transforms(transform_dir, data) if transform_dir else None
    return Scorer(model.features.open(data, transforms), lambda feats: [model.loglikes(feats)], [model.num_pdfs])


def open_networks(folders: list[Path], data: DataDir, prior_scale: float | None, device: str) -> Scorer:
    """Raises RecipeError if the networks differ in the normalisation of their features, or in how many frames an output stands for."""
    import torch

    from ..features.reader import FeatureReader
    from ..models import load_model
    from ..models.ensemble import posteriors_of

    torch.set_num_threads(1)
    models = [load_model(folder, device) for folder in folders]
    for model in models:
        if (model.cmvn, model.dim) != (models[0].cmvn, models[0].dim):
            raise RecipeError(
                "networks of different features cannot be scored together",
                id=model.path,
                expected=f"{models[0].dim} dimensions, {models[0].cmvn} as {models[0].path}",
                found=f"{model.dim}, {model.cmvn}",
                next="decode it in a call of its own",
            )
        if model.subsampling != models[0].subsampling:
            raise RecipeError(
                "networks with different numbers of outputs cannot be scored together",
                id=model.path,
                expected=f"one for {models[0].subsampling} frames, as {models[0].path}",
                found=f"one for {model.subsampling}",
                next="decode it in a call of its own",
            )
    to_loglikes = [loglikes_of(model, prior_scale) for model in models]
    return Scorer(
        FeatureReader(data, models[0].cmvn),
        lambda feats: [convert(p) for p, convert in zip(posteriors_of(models, feats), to_loglikes)],
        [model.num_classes for model in models],
        models[0].subsampling,
    )


def loglikes_of(model: Any, prior_scale: float | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """What turns the posteriors of a network or an ensemble, (T, K), into what a decoder takes, float32 (T, K)."""
    scale = prior_scale if prior_scale is not None else CTC_PRIOR_SCALE if model.units else PRIOR_SCALE
    offset = scale * np.log(np.maximum(model.priors, PRIOR_FLOOR))
    factor = np.float32(CTC_SCALE if model.units else 1)
    return lambda posteriors: factor * scaled_loglikes(posteriors, offset)


def scaled_loglikes(posteriors: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(T, K) posteriors and (K,) scaled log priors to float32 (T, K)."""
    # np.maximum hands NaN on, so a broken network is still noticed.
    return np.log(np.maximum(posteriors, POSTERIOR_FLOOR)) - offset.astype(np.float32)


def write_loglikes(scorer: Scorer, stream) -> None:
    """Writes every utterance's matrix. Raises RecipeError for one that is empty, not finite, or of the wrong width."""
    for utt, feats in track(scorer.utterances, "forward"):
        if len(feats) == 0:
            raise RecipeError(
                "an utterance without frames", id=utt, expected="at least 1 frame", next="utils/fix_data_dir"
            )
        for matrix, num_pdfs in zip(scorer.loglikes(feats), scorer.num_pdfs):
            expected = (-(-len(feats) // scorer.subsampling), num_pdfs)
            if matrix.shape != expected:
                raise RecipeError("likelihoods of the wrong shape", id=utt, expected=expected, found=matrix.shape)
            if not np.isfinite(matrix).all():
                raise RecipeError(
                    "a log-likelihood is not finite",
                    id=utt,
                    found=f"{int((~np.isfinite(matrix)).sum())} values",
                    next="check the features and the training log of the scorer",
                )
            write_archive(stream, utt, matrix)


def main(argv: list[str]) -> None:
    options, (*folders, data_dir, target) = parse(ForwardOptions, argv, USAGE, nargs=(3, 1000))
    if not target.startswith("ark:"):
        raise RecipeError("not an archive to write", expected="ark:- or ark:FILE", found=target)
    parts = DataDir.load(data_dir, need=("feats.scp",)).split(options.nj)
    if not 1 <= options.job <= options.nj:
        raise RecipeError("bad value for an option", id="job", expected=f"1 to {options.nj}", found=options.job)
    scorer = open_scorer(folders, parts[options.job - 1], options.prior_scale, options.transform_dir, options.device)
    with contextlib.nullcontext(sys.stdout.buffer) if target == "ark:-" else open(target[4:], "wb") as stream:
        write_loglikes(scorer, stream)


if __name__ == "__main__":
    run_main(main)

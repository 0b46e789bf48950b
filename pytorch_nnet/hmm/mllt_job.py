"""Job that accumulates MLLT statistics over one part of the data (Kaldi: gmm-acc-mllt). Writes <dir>/mllt.JOB.npz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.archives import read_ali
from ..io.main import run_main
from ..io.options import option, parse
from ..io.publish import publish_path
from ..lang.lang_dir import LangDir
from .gmm import posteriors
from .jobs import JobOptions, speakers
from .mllt import mllt_statistics
from .model import AcousticModel


@dataclass
class MlltJobOptions(JobOptions):
    lang: str = option("", "lang directory")
    iteration: int = option(0, "reads <iteration>.mdl")


def main(argv: list[str]) -> None:
    options, _ = parse(MlltJobOptions, argv, __doc__, nargs=0)
    model, part = AcousticModel.load(options.dir, f"{options.iteration}.mdl"), options.part()
    silence = sorted(LangDir(options.lang).silence_phones)
    gaussians = model.require_gmm()
    g: np.ndarray | float = 0.0
    beta = 0.0
    for own in speakers(part, model.features, read_ali(options.file("ali.JOB.gz"))):
        speech = ~np.isin(model.phone_of[own.path], silence)
        features = own.features[speech]
        own_g, own_beta = mllt_statistics(gaussians, features, posteriors(gaussians, features, model.pdf_of[own.path[speech]]))
        g, beta = g + own_g, beta + own_beta
    with publish_path(options.file("mllt.JOB.npz")) as temporary:
        np.savez(temporary, g=g, beta=beta)


if __name__ == "__main__":
    run_main(main)

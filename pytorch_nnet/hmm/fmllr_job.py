"""Job that estimates the speakers' fMLLR transforms from given alignments (Kaldi: gmm-est-fmllr). Writes <dir>/trans.JOB.

With --transform-dir the posteriors come from features adapted by those transforms, which are then improved. The statistics are always of
features that are not adapted, so a transform is estimated whole and not as a product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.archives import read_ali, read_alignments
from ..io.main import run_main
from ..io.options import option, parse
from ..lang.lang_dir import LangDir
from .features import apply_transform, write_transforms
from .fmllr import FmllrStats
from .gmm import posteriors
from .jobs import JobOptions, speakers
from .model import AcousticModel


@dataclass
class FmllrJobOptions(JobOptions):
    lang: str = option("", "lang directory")
    source: str = option("", "directory of model and alignments; none: <iteration>.mdl and ali.JOB.gz of <dir>")
    iteration: int = option(0, "reads <iteration>.mdl")
    min_count: float = option(500.0, "frames of speech a speaker must have to be adapted")


def main(argv: list[str]) -> None:
    options, _ = parse(FmllrJobOptions, argv, __doc__, nargs=0)
    part = options.part()
    if options.source:
        model, alignments = AcousticModel.load(options.source), read_alignments(options.source, part.utt2spk)
    else:
        model, alignments = AcousticModel.load(options.dir, f"{options.iteration}.mdl"), read_ali(options.file("ali.JOB.gz"))
    gaussians, silence = model.require_gmm(), sorted(LangDir(options.lang).silence_phones)
    current = options.transforms(part) or {}
    # A speaker without any aligned utterance stays as he is.
    transforms = {speaker: current.get(speaker, np.eye(gaussians.dim, gaussians.dim + 1)) for speaker in part.spk2utt}
    gained = frames = 0.0
    for own in speakers(part, model.features, alignments):
        speech = ~np.isin(model.phone_of[own.path], silence)
        plain, pdfs = own.features[speech], model.pdf_of[own.path[speech]]
        start = transforms[own.speaker]
        stats = FmllrStats.of(gaussians, plain, posteriors(gaussians, apply_transform(plain, start), pdfs))
        transforms[own.speaker], gain = stats.estimate(start, min_count=options.min_count)
        gained, frames = gained + gain * len(pdfs), frames + len(pdfs)
    write_transforms(options.file("trans.JOB"), transforms)
    print(f"{len(transforms)} speakers, log-likelihood {gained / max(frames, 1):.3f} higher per frame of speech")


if __name__ == "__main__":
    run_main(main)

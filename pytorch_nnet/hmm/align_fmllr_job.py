"""Job that aligns one part of the data with a speaker-adapted model (Kaldi: steps/align_fmllr.sh).

For each speaker: align with final.alimdl, estimate a transform from that, improve it with the adapted features' own posteriors, align
again with final.mdl. Writes trans.JOB and what align_job writes to <dir>.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import Progress
from ..lang.lang_dir import LangDir
from .align import Aligner, Failures
from .align_job import AlignOptions, publish_results
from .features import apply_transform, write_transforms
from .fmllr import FmllrStats
from .gmm import posteriors
from .graphs import GraphCompiler, weighted
from .model import AcousticModel


@dataclass
class AlignFmllrOptions(AlignOptions):
    min_count: float = option(500.0, "frames of speech a speaker must have to be adapted")


class Adapter:
    """Estimates a speaker's transform from frames that were aligned without it."""

    def __init__(self, model: AcousticModel, plain_model: AcousticModel, silence: list[int], min_count: float):
        self.model, self.plain_model, self.silence, self.min_count = model, plain_model, silence, min_count

    def estimate(self, plain: np.ndarray, path: np.ndarray) -> np.ndarray:
        """(D, D + 1) from unadapted features (T, D) and transition-ids (T,); the identity for a speaker with too few frames."""
        speech = ~np.isin(self.model.phone_of[path], self.silence)
        plain, pdfs = plain[speech], self.model.pdf_of[path[speech]]
        gaussians = self.model.require_gmm()
        found = posteriors(self.plain_model.require_gmm(), plain, pdfs)
        transform, _ = FmllrStats.of(gaussians, plain, found).estimate(min_count=self.min_count)
        found = posteriors(gaussians, apply_transform(plain, transform), pdfs)
        return FmllrStats.of(gaussians, plain, found).estimate(transform, min_count=self.min_count)[0]


def main(argv: list[str]) -> None:
    options, _ = parse(AlignFmllrOptions, argv, __doc__, nargs=0)
    part, lang = options.part(), LangDir(options.lang)
    model = AcousticModel.load(options.dir)
    plain_model = AcousticModel.load(options.dir, "final.alimdl") if (Path(options.dir) / "final.alimdl").exists() else model
    first, second = (Aligner(m, options.beam, options.retry_beam, options.acwt) for m in (plain_model, model))
    adapter = Adapter(model, plain_model, sorted(lang.silence_phones), options.min_count)
    compiler, source = GraphCompiler(model, lang), model.features.open(part)
    alignments, transforms, failures = {}, {}, Failures()
    with Progress("align", sum(part.num_frames.values()) or None, "frames") as progress:
        for speaker, utts in part.spk2utt.items():
            plain = {utt: source[utt] for utt in utts}
            graphs = {utt: weighted(compiler.compile(utt, part.text[utt]), model) for utt in utts}
            paths = {utt: first.with_gaussians(utt, graphs[utt], plain[utt]) for utt in utts}
            aligned = [utt for utt in utts if paths[utt] is not None]
            dim = model.require_gmm().dim
            transform = np.eye(dim, dim + 1)
            if aligned:
                transform = adapter.estimate(np.concatenate([plain[utt] for utt in aligned]), np.concatenate([paths[utt] for utt in aligned]))
            transforms[speaker] = transform
            for utt in utts:
                failures.tried += 1
                path = second.with_gaussians(utt, graphs[utt], apply_transform(plain[utt], transform))
                progress.add(len(plain[utt]))
                if path is None:
                    failures.add(utt, f"no path within beam {options.retry_beam:g} for {len(plain[utt])} frames")
                else:
                    alignments[utt] = path
    write_transforms(options.file("trans.JOB"), transforms)
    publish_results(options, alignments, second, failures)


if __name__ == "__main__":
    run_main(main)

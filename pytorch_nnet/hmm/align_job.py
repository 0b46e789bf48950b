"""Job that aligns one part of the data with a trained model; writes ali.JOB.gz, loglike.JOB and failed.JOB to <dir>.

With Gaussians it reads features; with --loglikes - it reads a stream of (utterance, log-likelihoods (T, pdfs)) from a network's forward
pass on standard input: `forward ... | python -m pytorch_nnet.hmm.align_job --loglikes - ...`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import read_archive, write_ali
from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import Progress
from ..io.publish import publish
from ..lang.lang_dir import LangDir
from .align import ACOUSTIC_SCALE, Aligner, Failures
from .graphs import GraphCompiler, weighted
from .jobs import JobOptions
from .model import AcousticModel


@dataclass
class AlignOptions(JobOptions):
    lang: str = option("", "lang directory")
    beam: float = option(10.0, "beam of the alignment")
    retry_beam: float = option(40.0, "beam of the second attempt")
    acwt: float = option(ACOUSTIC_SCALE, "acoustic scale")
    loglikes: str = option("", "'-' reads log-likelihoods from standard input instead of using Gaussians")


def main(argv: list[str]) -> None:
    options, _ = parse(AlignOptions, argv, __doc__, nargs=0)
    part = options.part()
    model = AcousticModel.load(options.dir)
    aligner = Aligner(model, options.beam, options.retry_beam, options.acwt)
    compiler = GraphCompiler(model, LangDir(options.lang))
    inputs: Iterable[tuple[str, np.ndarray]]
    align: Callable[[str, Any, np.ndarray], np.ndarray | None]
    if options.loglikes:
        inputs, align = stream(part), aligner.with_loglikes
    else:
        inputs, align = model.features.open(part), aligner.with_gaussians
    alignments, failures = {}, Failures()
    with Progress("align", sum(part.num_frames.values()) or None, "frames") as progress:
        for utt, matrix in inputs:
            failures.tried += 1
            path = align(utt, weighted(compiler.compile(utt, part.text[utt]), model), matrix)
            progress.add(len(matrix))
            if path is None:
                failures.add(utt, f"no path within beam {options.retry_beam:g} for {len(matrix)} frames")
            else:
                alignments[utt] = path
    if failures.tried != len(part.utts):
        raise RecipeError("log-likelihoods are missing", file="standard input", expected=f"{len(part.utts)} utterances",
                          found=failures.tried, next="look at the forward pass's messages above")
    publish_results(options, alignments, aligner, failures)


def publish_results(options: AlignOptions, alignments: dict[str, np.ndarray], aligner: Aligner, failures: Failures) -> None:
    """ali.JOB.gz, loglike.JOB ('<log-likelihood> <frames>') and failed.JOB."""
    write_ali(options.file("ali.JOB.gz"), alignments)
    with publish(options.file("loglike.JOB")) as file:
        file.write(f"{aligner.loglike!r} {aligner.frames}\n")
    failures.write(options.file("failed.JOB"))


def stream(part: DataDir) -> Iterator[tuple[str, np.ndarray]]:
    """The log-likelihoods on standard input, checked against the data directory."""
    for utt, matrix in read_archive(sys.stdin.buffer):
        if utt not in part.utt2spk:
            raise RecipeError("log-likelihoods of an unknown utterance", file="standard input", id=utt,
                              expected=f"utterances of {part.path}, same nj and job")
        if utt in part.num_frames and part.num_frames[utt] != len(matrix):
            raise RecipeError("log-likelihoods and data directory disagree", id=utt, expected=f"{part.num_frames[utt]} frames",
                              found=len(matrix))
        yield utt, matrix


if __name__ == "__main__":
    run_main(main)

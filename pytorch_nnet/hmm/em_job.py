"""Job of one training iteration: realigns one part of the data if told to, and accumulates the statistics of the E step.

Reads <dir>/<iteration>.mdl, fsts.JOB.ark, ali.JOB.gz. Writes acc.JOB.npz and, after realigning, ali.JOB.gz and failed.JOB.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..io.archives import read_ali, write_ali
from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import Progress
from ..io.publish import publish_path
from .align import Aligner, Failures
from .gmm import accumulate, on_grid
from .graphs import read_graphs, weighted
from .jobs import JobOptions, speakers
from .model import AcousticModel


@dataclass
class EmOptions(JobOptions):
    iteration: int = option(0, "reads <iteration>.mdl")
    realign: bool = option(False, "align before accumulating")
    beam: float = option(10.0, "beam of the alignment")
    retry_beam: float = option(40.0, "beam of the second attempt")
    unadapted: bool = option(False, "posteriors from adapted features, statistics of unadapted ones: for final.alimdl")


def main(argv: list[str]) -> None:
    options, _ = parse(EmOptions, argv, __doc__, nargs=0)
    part = options.part()
    model = AcousticModel.load(options.dir, f"{options.iteration}.mdl")
    transforms = options.transforms(part)
    if options.realign:
        alignments = realign(model, part, transforms, options)
    else:
        alignments = read_ali(options.file("ali.JOB.gz"))
    gaussians = model.require_gmm()
    statistics: np.ndarray | float = 0.0
    loglike, frames = 0.0, 0
    transitions = np.zeros(model.table.num_ids + 1)
    plain = speakers(part, model.features, alignments) if options.unadapted else itertools.repeat(None)
    for own, other in zip(speakers(part, model.features, alignments, transforms), plain):
        if own.features.shape[1] != gaussians.dim:
            raise RecipeError("features and model disagree", file=options.data, expected=f"{gaussians.dim} dimensions",
                              found=own.features.shape[1])
        sums, own_loglike = accumulate(gaussians, own.features, model.pdf_of[own.path], other.features if other else None)
        statistics = statistics + on_grid(sums)
        loglike += float(on_grid(np.asarray(own_loglike, np.float64)))
        frames += len(own.path)
        transitions += np.bincount(own.path, minlength=len(transitions))
    with publish_path(options.file("acc.JOB.npz")) as temporary:
        np.savez(temporary, statistics=statistics, transitions=transitions, loglike=loglike, frames=frames)


def realign(model: AcousticModel, part, transforms, options: EmOptions) -> dict[str, np.ndarray]:
    aligner = Aligner(model, options.beam, options.retry_beam)
    source = model.features.open(part, transforms)
    alignments, failures = {}, Failures()
    with Progress("align", sum(part.num_frames.values()) or None, "frames") as progress:
        for utt, graph in read_graphs(options.file("fsts.JOB.ark")):
            features = source[utt]
            path = aligner.with_gaussians(utt, weighted(graph, model), features)
            progress.add(len(features))
            if path is None:
                failures.add(utt, f"no path within beam {options.retry_beam:g} for {len(features)} frames")
            else:
                alignments[utt] = path
    write_ali(options.file("ali.JOB.gz"), alignments)
    failures.write(options.file("failed.JOB"))
    return alignments


if __name__ == "__main__":
    run_main(main)

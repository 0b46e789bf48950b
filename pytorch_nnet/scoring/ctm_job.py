"""A job of steps/get_ctm: the best path of some lattices, with a confidence for each word.

python -m pytorch_nnet.scoring.ctm_job <decode-dir> <job> <jobs> <lmwt> <wip>

Answers with the number of frames, the path as [[word-id, frame where it was emitted], ...], and the confidences.
"""

from __future__ import annotations

from ..decoding.lattice import timed_paths
from ..decoding.posteriors import confidences
from ..io.main import run_main
from .lattice_jobs import answer


def main(argv: list[str]) -> None:
    lmwt, wip = map(float, argv[3:])

    def work(utt, lattice):
        path = timed_paths(lattice, [lmwt], [wip])[lmwt, wip]
        return [lattice.num_frames, path, confidences(lattice, path, lmwt, wip)]

    answer("ctm", argv, work)


if __name__ == "__main__":
    run_main(main)

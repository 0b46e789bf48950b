"""A job of steps/score and steps/score_stm: the best paths of some lattices under every LM weight and insertion penalty.

python -m pytorch_nnet.scoring.sweep_job <decode-dir> <job> <jobs> <lmwts> <wips>    (the last two with commas)

Answers with the number of frames and [path of pair 1, ...], pairs as in `pairs`, a path as [[word-id, frame where it was emitted], ...].
"""

from __future__ import annotations

from itertools import product

from ..decoding.lattice import timed_paths
from ..io.main import run_main
from .lattice_jobs import answer


def pairs(lmwts: list[float], wips: list[float]) -> list[tuple[float, float]]:
    return list(product(lmwts, wips))


def main(argv: list[str]) -> None:
    lmwts, wips = ([float(value) for value in argument.split(",")] for argument in argv[3:])

    def work(utt, lattice):
        found = timed_paths(lattice, lmwts, wips)
        return [lattice.num_frames, [found[pair] for pair in pairs(lmwts, wips)]]

    answer("sweep", argv, work)


if __name__ == "__main__":
    run_main(main)

"""A job of steps/nbest: the best word sequences of some lattices.

python -m pytorch_nnet.scoring.nbest_job <decode-dir> <job> <jobs> <n> <lmwt> <wip>

Answers with [[[word-id, ...], am, graph], ...], the best first.
"""

from __future__ import annotations

from ..decoding.nbest import nbest
from ..io.main import run_main
from .lattice_jobs import answer


def main(argv: list[str]) -> None:
    n, lmwt, wip = int(argv[3]), float(argv[4]), float(argv[5])
    answer("nbest", argv, lambda utt, lattice: [[[one.words, one.am, one.graph] for one in nbest(lattice, n, lmwt, wip)]])


if __name__ == "__main__":
    run_main(main)

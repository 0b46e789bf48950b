"""A job of steps/oracle_wer: the path with the fewest errors of some lattices.

python -m pytorch_nnet.scoring.oracle_job <decode-dir> <job> <jobs> <data> <lang|graph> <scoring-rules>    (the last may be empty)

Answers as `oracle.answer_for` says.
"""

from __future__ import annotations

from ..io.main import run_main
from .lattice_jobs import answer
from .oracle import answer_for


def main(argv: list[str]) -> None:
    answer("oracle", argv, answer_for(*argv[3:]))


if __name__ == "__main__":
    run_main(main)

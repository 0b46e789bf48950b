"""A job of steps/score and steps/score_stm: the best paths of some lattices under every LM weight and insertion penalty.

python -m pytorch_nnet.scoring.sweep_job <decode-dir> <job> <jobs> <lmwts> <wips>    (the last two with commas)

Writes <decode-dir>/scoring/paths.<job>.jsonl, a line an utterance: [utterance, frames, [path of pair 1, ...]], pairs as in
`pairs`, a path as [[word-id, frame where it was emitted], ...].
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path

from ..decoding.lattice import LatticeReader, timed_paths
from ..io.errors import run_main
from ..io.publish import publish


def pairs(lmwts: list[float], wips: list[float]) -> list[tuple[float, float]]:
    return list(product(lmwts, wips))


def main(argv: list[str]) -> None:
    folder, job, jobs = Path(argv[0]), int(argv[1]), int(argv[2])
    lmwts, wips = ([float(value) for value in argument.split(",")] for argument in argv[3:])
    archives = int((folder / "num_jobs").read_text())
    utterances = 0
    with publish(folder / "scoring" / f"paths.{job}.jsonl") as file:
        for number in range(job, archives + 1, jobs):
            for utt, lattice in LatticeReader(folder / f"lat.{number}.npz"):
                found = timed_paths(lattice, lmwts, wips)
                file.write(json.dumps([utt, lattice.num_frames, [found[pair] for pair in pairs(lmwts, wips)]]) + "\n")
                utterances += 1
    print(f"{utterances} utterances", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)

"""A job of steps/lmrescore: rescores its share of the archives of all decoding directories.

python -m pytorch_nnet.decoding.rescore_job <old-arpa> <new> <words.txt> <beam> <acwt> <rnn-weight> <rnn-order> <job> <jobs>
    (<decode-dir> <new-decode-dir>)...
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..io.main import run_main
from ..io.progress import track
from ..lang.lang_dir import read_symbols
from .histories import Beam
from .lattice import LatticeReader, LatticeWriter
from .rescore import Change


def main(argv: list[str]) -> None:
    old, new, words, width, acwt, weight, order, job, jobs, *folders = argv
    beam = Beam(float(acwt), float(width)) if float(width) else None
    change = Change(old, new, {number: word for word, number in read_symbols(words).items()}, float(weight), int(order))
    print(f"{old}: {change.models[0].model.sizes()}\n{new}: {change.models[1].model.sizes()}", file=sys.stderr, flush=True)
    archives = [(Path(folder), Path(out), number) for folder, out in zip(folders[::2], folders[1::2])
                for number in range(1, int((Path(folder) / "num_jobs").read_text()) + 1)]
    for folder, out, number in archives[int(job) - 1::int(jobs)]:
        before = after = 0
        reader = LatticeReader(folder / f"lat.{number}.npz")
        with LatticeWriter(out / f"lat.{number}.npz") as writer:
            for utt, lattice in track(reader, f"{out}/lat.{number}.npz"):
                rescored = change.rescored(lattice, beam)
                writer.write(utt, rescored)
                before, after = before + len(lattice.arcs), after + len(rescored.arcs)
        print(f"{out}/lat.{number}.npz: {before} arcs became {after}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_main(main)

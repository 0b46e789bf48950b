#!/usr/bin/env python3
"""Decodes an hour of test speech with a network, forward pass and search together, in two jobs: the real-time factor by the clock.

Usage: benchmarks/hour.py <recipe> [system]      (a folder where run.sh has finished; some minutes, two free cores)
 e.g.: benchmarks/hour.py egs/switchboard cnn

The hour is the test set as often as it takes, under other ids. Beams and scales are those the recipe decoded with. What a step does once
(start, loading the graph) is counted; scoring is not. The seconds of the clock are the question, so the load is printed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ratios import ratio  # noqa: E402
from recipe import commit, machine  # noqa: E402

from pytorch_nnet.corpus.datadir import DataDir  # noqa: E402
from pytorch_nnet.decoding.search import FRAMES_PER_SECOND  # noqa: E402

HOUR, GOAL = 3600, 0.05


def an_hour(source, folder):
    """A data directory with an hour of the source's features; returns its seconds."""
    data = DataDir.load(source, need=("feats.scp", "utt2num_frames"))
    files = {name: (Path(source) / name).read_text().splitlines() for name in ("feats.scp", "utt2num_frames", "utt2spk", "cmvn.scp")}
    seconds = sum(data.num_frames.values()) / FRAMES_PER_SECOND
    copies = -(-HOUR // int(seconds))
    folder.mkdir()
    for name, lines in files.items():
        with open(folder / name, "w") as file:
            for number in range(copies):
                for key, value in (line.split(maxsplit=1) for line in lines):
                    file.write(f"c{number:03d}-{key} {f'c{number:03d}-' * (name == 'utt2spk')}{value}\n")
    return copies * seconds


def search_options(decoded):
    """--beam and its like, from the command in the marker of a decoding directory."""
    words = json.loads((decoded / ".done").read_text())["command"]
    return [part for name in ("--acwt", "--beam", "--lattice-beam", "--max-active") if name in words for part in (name, words[words.index(name) + 1])]


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe, system = Path(argv[0]).resolve(), argv[1] if len(argv) > 1 else "cnn"
    test = next(recipe / "data" / name for name in ("eval2000_fbank", "test_fbank") if (recipe / "data" / name).is_dir())
    os.chdir(recipe)
    options = search_options(next((recipe / "exp" / system).glob("decode_dev_*")))
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        seconds = an_hour(test, Path(folder) / "hour")
        start = time.monotonic()
        subprocess.run([str(ROOT / "steps/decode"), "--nj", "2", "--skip-scoring", *options, "--model", f"exp/{system}", "exp/tri3/graph",
                        f"{folder}/hour", f"{folder}/decode"], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        taken = time.monotonic() - start
    print(f"{machine()}, commit {commit()}; load before: {load:.1f}\n\n{seconds:.0f} s of speech decoded in {taken:.1f} s\n")
    ratio(f"an hour decoded in two jobs, forward and search: real-time factor / {GOAL}", taken / seconds / GOAL, 1, smaller=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

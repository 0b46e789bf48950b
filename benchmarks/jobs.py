#!/usr/bin/env python3
"""Measures two jobs against one: the network's forward process, the search, and the dump of posteriors.

Usage: benchmarks/jobs.py <recipe> [system]      (a folder where run.sh has finished; five minutes, two free cores)
 e.g.: benchmarks/jobs.py egs/switchboard cnn

Seconds are those of the clock, as the question is whether two processes get in each other's way: with other work on the machine the
ratios are too small, and the load is printed. One job and two take turns. What a step does once for all its jobs (start, joining) is counted.
"""

import os
import statistics
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

TURNS, GOAL = 3, 1.8


def seconds(*command):
    start = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
    return time.monotonic() - start


def forward(model, data, jobs, _):
    """Seconds until the last of `jobs` processes has written the likelihoods of its part."""
    start = time.monotonic()
    processes = [subprocess.Popen([sys.executable, "-m", "pytorch_nnet.decoding.forward", "--job", str(job + 1), "--nj", str(jobs), model, data,
                                   "ark:/dev/null"], stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
                 for job in range(jobs)]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit("forward failed")
    return time.monotonic() - start


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe, system = Path(argv[0]).resolve(), argv[1] if len(argv) > 1 else "cnn"
    model, test = recipe / "exp" / system, next(recipe / "data" / name for name in ("eval2000_fbank", "test_fbank") if (recipe / "data" / name).is_dir())
    os.chdir(recipe)
    print(f"{machine()}, commit {commit()}; load before: {os.getloadavg()[0]:.1f}\n\n| | one job: s | two: s | ratio |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            "forward": lambda jobs, out: forward(model, test, jobs, out),
            "decode": lambda jobs, out: seconds(ROOT / "steps/decode", "--nj", jobs, "--skip-scoring", "--model", model, recipe / "exp/tri3/graph", test, out),
            "dump": lambda jobs, out: seconds(ROOT / "steps/dump_posteriors", "--nj", jobs, model, recipe / "exp/frames_train", out),
        }
        for name, way in ways.items():
            pairs = [tuple(way(jobs, Path(folder) / f"{name}{jobs}_{turn}") for jobs in (1, 2)) for turn in range(TURNS)]
            one, two = (statistics.median(times) for times in zip(*pairs))
            found = statistics.median(a / b for a, b in pairs)
            print(f"| {name} | {one:.1f} | {two:.1f} | {found:.2f} |", flush=True)
            ratio(f"{name}, two jobs / one", found, GOAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

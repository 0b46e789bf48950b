#!/usr/bin/env python3
"""Measures two jobs against one: decoding (forward pass and search), and the dump of the teachers' posteriors.

Usage: benchmarks/jobs.py <recipe> [system]      (a folder where run.sh has finished; twenty minutes, two free cores)
 e.g.: benchmarks/jobs.py egs/switchboard cnn

The one job has one core for all its processes, the two have two. Half an hour and an hour of test speech are decoded (the test set as often
as it takes). Seconds are those of the clock, as the question is whether jobs get in each other's way: with other work on the machine the
ratios are too small, and the load is printed. One job and two take turns. Start and joining are counted, but for the line that says
otherwise: every job starts two processes of its own, which two jobs do not do faster than one.
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
from recipe import as_decoded, commit, machine, repeated, test_set  # noqa: E402

TURNS, GOAL, HOUR = 3, 1.8, 3600


def seconds(jobs, *command):
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:jobs]))
    start = time.monotonic()
    subprocess.run(["taskset", "-c", cores, *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
    return time.monotonic() - start


def measure(name, way):
    """Medians of the seconds of one job and of two; prints them, and that of their ratios."""
    pairs = [(way(1), way(2)) for _ in range(TURNS)]
    one, two = (statistics.median(times) for times in zip(*pairs))
    found = statistics.median(a / b for a, b in pairs)
    print(f"| {name} | {one:.1f} | {two:.1f} | {found:.2f} |", flush=True)
    ratio(f"{name}, two jobs / one", found, GOAL)
    return one, two


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe, system = Path(argv[0]).resolve(), argv[1] if len(argv) > 1 else "cnn"
    os.chdir(recipe)
    print(f"{machine()}, commit {commit()}; load before: {os.getloadavg()[0]:.1f}\n\n| | one job: s | two: s | ratio |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        tests = {"half an hour": Path(folder) / "half", "an hour": Path(folder) / "whole"}
        for test, least in zip(tests.values(), (HOUR // 2, HOUR)):
            repeated(test_set(recipe), test, least)
        half, whole = (measure(f"decode {name} with {system}", lambda jobs, test=test: seconds(
            jobs, ROOT / "steps/decode", "--nj", jobs, *as_decoded(recipe, system), "--model", f"exp/{system}", "exp/tri3/graph", test,
            tempfile.mkdtemp(dir=folder))) for name, test in tests.items())
        ratio("decode, two jobs / one, what the second half hour adds: start taken out", (whole[0] - half[0]) / (whole[1] - half[1]), GOAL)
        measure("dump ens_2lstm", lambda jobs: seconds(
            jobs, ROOT / "steps/dump_posteriors", "--nj", jobs, "exp/ens_2lstm", "exp/frames_train", Path(tempfile.mkdtemp(dir=folder)) / "soft"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

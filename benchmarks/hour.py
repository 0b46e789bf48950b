#!/usr/bin/env python3
"""Decodes an hour of test speech with a network, forward pass and search together, in two jobs: the real-time factor by the clock.

Usage: benchmarks/hour.py <recipe> [system]      (a folder where run.sh has finished; some minutes, two free cores)
 e.g.: benchmarks/hour.py egs/switchboard cnn

The hour is the test set as often as it takes, under other ids. Beams and scales are those the recipe decoded with. What a step does once
(start, loading the graph) is counted; scoring is not. The seconds of the clock are the question, so the load is printed.
"""

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
from recipe import as_decoded, commit, machine, repeated, test_set  # noqa: E402

HOUR, GOAL = 3600, 0.05


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe, system = Path(argv[0]).resolve(), argv[1] if len(argv) > 1 else "cnn"
    os.chdir(recipe)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        seconds = repeated(test_set(recipe), Path(folder) / "hour", HOUR)
        start = time.monotonic()
        subprocess.run([str(ROOT / "steps/decode"), "--nj", "2", *as_decoded(recipe, system), "--model", f"exp/{system}", "exp/tri3/graph",
                        f"{folder}/hour", f"{folder}/decode"], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        taken = time.monotonic() - start
    print(f"{machine()}, commit {commit()}; load before: {load:.1f}\n\n{seconds:.0f} s of speech decoded in {taken:.1f} s\n")
    ratio(f"an hour decoded in two jobs, forward and search: real-time factor / {GOAL}", taken / seconds / GOAL, 1, smaller=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

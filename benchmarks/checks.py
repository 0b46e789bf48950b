#!/usr/bin/env python3
"""What the checks of a recipe cost: hashing inputs, comparing files with their markers, checksums of what was made, stores, fsync.

Usage: benchmarks/checks.py <recipe>      (a folder where run.sh has finished; a minute)
 e.g.: benchmarks/checks.py egs/switchboard

Every check of the finished run is made once more, as utils/once.py and the steps made it, one after another. Their processor seconds are
divided by those of the run's commands, from their markers. Counted besides: starting utils/once.py, and what fsync takes beyond plain
writing for every file that a marker lists; that is waiting, and is divided by the commands' seconds by the clock.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "utils")]

from ratios import ratio  # noqa: E402
from recipe import commit, machine  # noqa: E402

import filesums  # noqa: E402
import once  # noqa: E402
from pytorch_nnet.frames.softlabels import SoftLabelStore  # noqa: E402
from pytorch_nnet.frames.store import FrameStore  # noqa: E402

GOAL = 0.03
SYNCED = 200  # files to time fsync with
STORES = {"features.f16": FrameStore, "probs.f16": SoftLabelStore}


class Clock:
    """Processor seconds by name, of this process and its children: with clock("hashing"): ..."""

    def __init__(self):
        self.seconds = {}

    def __call__(self, name):
        self.name = name
        return self

    def __enter__(self):
        self.start = sum(os.times()[:4])

    def __exit__(self, *_):
        self.seconds[self.name] = self.seconds.get(self.name, 0) + sum(os.times()[:4]) - self.start


def commands():
    """{digest: (marker's record, its outputs, the marker's name)} of run.sh's commands; one that made several folders is there once."""
    found = {}
    for path in sorted(Path(".").glob("*/**/.done*")):
        record = json.loads(path.read_text())
        if (record.get("stage") or {}).get("script") != "run.sh":  # an experiment beside it
            continue
        found.setdefault(record["digest"], (record, [], path.name))[1].append(str(path.parent))
    return found


def fsync_seconds(size):
    """What fsync adds to writing a file of so many bytes, in seconds."""
    taken = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for sync in (False, True):
            start = time.perf_counter()
            for number in range(SYNCED):
                with open(f"{folder}/{sync}{number}", "wb") as file:
                    file.write(bytes(size))
                    if sync:
                        os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) / SYNCED)
    return taken[1] - taken[0]


def main(argv):
    if len(argv) != 1 or argv[0].startswith("-"):
        print(__doc__)
        return 0 if argv == ["--help"] else 2
    os.chdir(argv[0])
    clock, found = Clock(), commands()
    if not found:
        sys.exit("checks.py: ERROR: no markers here: run.sh has made nothing")
    files = size = 0
    for record, outs, name in found.values():
        own = {(out, name) for out in outs}
        with clock("digests of inputs"):
            once.inputs_now(list(record["inputs"]), own, record["inputs"])
        with clock("inputs against their markers"):
            for path in record["inputs"]:
                for changed in filesums.damage(path):
                    sys.exit(f"checks.py: ERROR: {filesums.report(*changed)}")
        with clock("checksums of what was made"):
            made = [filesums.summed(os.path.join(out, file)) for out in outs for file in once.read_json(os.path.join(out, name)).get(filesums.KEY, {})]
        files, size = files + len(made), size + sum(bytes_ for bytes_, _ in made)
        with clock("stores against their hashes"):
            for path in record["inputs"]:
                for member, kind in STORES.items():
                    if os.path.exists(os.path.join(path, member)):
                        kind.open(path)
    with clock("starting utils/once.py"):
        for _ in range(10):
            subprocess.run([str(ROOT / "utils/once.py"), "--help"], check=True, stdout=subprocess.DEVNULL)
    clock.seconds["starting utils/once.py"] *= len(found) / 10
    total, waited = (sum(record[what] for record, _, _ in found.values()) for what in ("cpu_seconds", "seconds"))
    synced = files * fsync_seconds(size // max(1, files))
    print(f"{machine()}, commit {commit()}\n\n{len(found)} commands, {total:.0f} processor seconds, {waited:.0f} by the clock; {files} files, "
          f"{size / 1e6:.0f} MB\n\n| | s | % |\n| --- | ---: | ---: |")
    for what, seconds in clock.seconds.items():
        print(f"| {what} | {seconds:.1f} | {100 * seconds / total:.2f} |")
    print(f"| fsync, by the clock | {synced:.1f} | {100 * synced / waited:.2f} |")
    ratio("checks / commands of a recipe", sum(clock.seconds.values()) / total + synced / waited, GOAL, smaller=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

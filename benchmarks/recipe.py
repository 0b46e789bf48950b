#!/usr/bin/env python3
"""Times a whole recipe run in a fresh folder: seconds per stage, peak memory of the largest process.

Usage: benchmarks/recipe.py <recipe> [options of its run.sh]
 e.g.: benchmarks/recipe.py switchboard --mini-size smoke
       benchmarks/recipe.py an4 --an4 /corpora/an4

Prints a Markdown table with machine and commit; the goals are those of a two-core machine without a GPU: 20 minutes for the
default mini corpus, 4 for smoke, 3 GB for any process. The folder egs/bench.* is kept, as results may be wanted.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    source, options = ROOT / "egs" / argv[0], argv[1:]
    subprocess.run([str(ROOT / "utils/setup_env.sh")], check=True)
    recipe = Path(tempfile.mkdtemp(prefix="bench.", dir=ROOT / "egs"))
    for name in ("run.sh", "path.sh", "cmd.sh", "conf", "local", "steps", "utils"):
        os.symlink(f"../{source.name}/{name}", recipe / name)
    start = time.monotonic()
    process = subprocess.Popen([str(recipe / "run.sh"), *options], stdout=subprocess.PIPE, text=True, bufsize=1)
    peak = Peak(process.pid)
    stages = []
    for line in process.stdout:
        print(line, end="", flush=True)
        done = re.match(r"== stage (\d+): done in (\d+) s", line)
        if done:
            stages.append((int(done[1]), int(done[2])))
    code = process.wait()
    whole = time.monotonic() - start
    print(f"\n`{source.name}/run.sh {' '.join(options)}`, {machine()}, commit {commit()}\n")
    print("| stage | seconds |\n| --- | --- |")
    for number, seconds in stages:
        print(f"| {number} | {seconds} |")
    print(f"| all | {whole:.0f} |\n\npeak memory of one process: {peak.stop() / 1e6:.2f} GB ({peak.command})\nfolder: {recipe}")
    return code


class Peak:
    """Samples the resident memory of every process below `root` four times a second."""

    def __init__(self, root):
        self.root, self.kilobytes, self.command, self.running = root, 0, "", True
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while self.running:
            parents, sizes = {}, {}
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        text = (entry / "status").read_text()
                    except OSError:
                        continue
                    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
                    parents[int(entry.name)] = int(fields["PPid"])
                    sizes[int(entry.name)] = int(fields.get("VmHWM", "0 kB").split()[0])
            for pid, size in sizes.items():
                if size > self.kilobytes and self.below(pid, parents):
                    try:
                        words = (Path("/proc") / str(pid) / "cmdline").read_text().split("\0")
                    except OSError:
                        continue
                    self.kilobytes, self.command = size, " ".join(Path(w).name for w in words[:4])
            time.sleep(0.25)

    def below(self, pid, parents):
        while pid in parents and pid != self.root:
            pid = parents[pid]
        return pid == self.root

    def stop(self):
        self.running = False
        self.thread.join()
        return self.kilobytes


def test_set(recipe):
    """The test set's filterbanks: of the mini corpus and Switchboard, or of AN4."""
    return next(recipe / "data" / name for name in ("eval2000_fbank", "test_fbank") if (recipe / "data" / name).is_dir())


def repeated(source, folder, least):
    """Makes a data directory of the source's features as often as it takes for `least` seconds, under other ids; returns its seconds."""
    columns = {name: [line.split(maxsplit=1) for line in (source / name).read_text().splitlines()]
               for name in ("feats.scp", "utt2num_frames", "utt2spk", "cmvn.scp")}
    seconds = sum(int(frames) for _, frames in columns["utt2num_frames"]) / 100
    copies = math.ceil(least / seconds)
    folder.mkdir()
    for name, rows in columns.items():
        with open(folder / name, "w") as file:
            for number in range(copies):
                for key, value in rows:
                    file.write(f"c{number:03d}-{key} {f'c{number:03d}-' * (name == 'utt2spk')}{value}\n")
    return copies * seconds


def as_decoded(recipe, system):
    """Options of steps/decode: what the recipe itself searched with."""
    return ["--skip-scoring", "true", "--config", str(next((recipe / "exp" / system).glob("decode_dev_*/search.yaml")))]


def machine():
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{len(names)} cores of {names[0] if names else 'unknown'}"


def commit():
    return subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

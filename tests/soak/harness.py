"""Kills a recipe's run at random moments until it has been killed often enough: harness.py <recipe> <kills> <seed> <often> <command...>.

First the command runs undisturbed, for reference. Then it is started, ended after a random time, started again, and so on; where
it gets to its end before the next kill, its output is compared and removed and a new pass begins. The last pass runs to its end too. Compared is
every file that the runs made, byte by byte; what tells when something ran or how long it took is left out first (`comparable`).
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors import safe_open

from pytorch_nnet.io.process import marked, start_of

MADE = ("data", "exp", "corpus")
# (weight, name): SIGKILL to the process group, as `kill -9 -<pgid>` and a cluster's end of a job; to the shell alone, which leaves its
# children; SIGTERM to the shell, which ends them itself.
KINDS = ((7, "group"), (2, "shell"), (1, "term"))


class Soak:
    """folder: of the recipe. command: what runs there. often: kills in the time of an undisturbed run. Keeps counts for the report."""

    def __init__(self, folder, command, seed, often):
        self.folder, self.command, self.random, self.often = Path(folder), command, random.Random(seed), often
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}
        self.killed = {name: 0 for _, name in KINDS}
        self.seconds, self.passes, self.differing = 0.0, 0, []

    def start(self):
        self.log = open(self.folder / "run.log", "ab")
        return subprocess.Popen(self.command, cwd=self.folder, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                start_new_session=True, env=self.environment)

    def whole(self):
        """Runs to the end; returns the seconds that took."""
        started = time.monotonic()
        if code := self.start().wait():
            raise SystemExit(f"soak: the run failed with code {code}:\n{(self.folder / 'run.log').read_text()[-3000:]}")
        return time.monotonic() - started

    def end(self, process):
        """Ends the run in one of the ways of KINDS."""
        kind = self.random.choices([name for _, name in KINDS], [weight for weight, _ in KINDS])[0]
        self.killed[kind] += 1
        try:
            run = json.loads((self.folder / ".run.lock").read_text())["id"]
        except FileNotFoundError:  # killed before it had the lock
            run = None
        if kind == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGKILL if kind == "shell" else signal.SIGTERM)
        process.wait()
        if run and kind != "shell":
            time.sleep(0.1)
            if orphans := {pid for pid in marked(f"RECIPE_RUN={run}") if start_of(pid)}:
                raise SystemExit(f"soak: {kind}: {len(orphans)} processes of the run live on: {orphans}")

    def kill(self, kills):
        """Runs with kills, then to the end; True if they were as many as asked for."""
        for _ in range(kills):
            process, started = self.start(), time.monotonic()
            limit = self.random.uniform(0, 2 * self.interval)
            while process.poll() is None and time.monotonic() - started < limit:
                time.sleep(0.02)
            if process.poll() is not None:
                if process.returncode:
                    raise SystemExit(f"soak: the run failed with code {process.returncode}:\n{(self.folder / 'run.log').read_text()[-3000:]}")
                self.seconds += time.monotonic() - started
                return
            self.end(process)
            self.seconds += time.monotonic() - started
        self.seconds += self.whole()

    def soak(self, kills):
        reference = self.whole()
        print(f"undisturbed: {reference:.0f} s", flush=True)
        expected = comparable(self.folder)
        left = self.left()
        # At least twice in the shortest soak.
        self.interval = max(reference / min(self.often, max(2, kills)), 1.0)
        while sum(self.killed.values()) < kills:
            for name in MADE:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            self.kill(kills - sum(self.killed.values()))
            self.passes += 1
            found = comparable(self.folder)
            self.differing += sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
            left += self.left()
            print(f"pass {self.passes}: {sum(self.killed.values())} kills, {len(self.differing)} differences", flush=True)
        redone = self.seconds - self.passes * reference
        print(f"soak: {kills} kills ({', '.join(f'{count} {name}' for name, count in self.killed.items())}) in {self.passes} passes of "
              f"{reference:.0f} s; {max(redone, 0) / kills:.1f} s of work and start-up redone a kill; {len(expected)} files compared, "
              f"{len(self.differing)} differ; {len(left)} temporary files left")
        for path in [*self.differing, *left]:
            print(f"  {path}")
        return bool(self.differing or left)

    def left(self):
        """What no finished run leaves: temporary files, notes of commands begun, the lock, anything under TMPDIR."""
        found = [path for name in MADE for path in (self.folder / name).rglob("*") if path.name.startswith((".tmp", ".started"))]
        found += [path for path in (self.folder / ".run.lock", *self.temporary.iterdir(), *self.folder.glob(".tmp*")) if path.exists()]
        return [str(path) for path in found]


def comparable(folder):
    """{path: content less times} of every file that runs have made, but for logs and measured times."""
    files = {}
    for top in MADE:
        for path in sorted((folder / top).rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and "/log/" not in name and not name.startswith("exp/timing/"):
                files[name] = without_times(path)
    return files


def without_times(path):
    content = path.read_bytes()
    if path.name.startswith(".done"):  # digests of inputs go back to the times of the corpus' files; the files made are compared themselves
        return json.loads(content)["command"]
    if path.name in ("info.json", "train.jsonl"):
        return re.sub(rb'"(train_)?seconds": [0-9.e+-]+', b"", content)
    if path.name == "last.safetensors":
        with safe_open(path, "np") as file:
            tensors = {key: file.get_tensor(key).tobytes() for key in file.keys() if key != "crc32"}
            return tensors, re.sub(r'"seconds": [0-9.e+-]+', "", file.metadata()["state"])
    if path.name in ("RESULTS.md", "table1.tsv"):
        return re.sub(rb"[|\t] *(x[0-9.]+|n/a) *\|?$", b"", content, flags=re.MULTILINE)
    if path.name == "report.html":
        return re.sub(rb'<section aria-labelledby="cost">.*?</section>|<td class="n">x[0-9.]+</td>', b"", content, flags=re.DOTALL)
    return content


def main(argv):
    folder, kills, seed, often, *command = argv
    return Soak(folder, command, int(seed), int(often)).soak(int(kills))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

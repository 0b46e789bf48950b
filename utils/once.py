#!/usr/bin/env python3
"""Runs a command unless its outputs are up to date, and marks them when it has ended well.

Usage: utils/once.py [options] --out DIR [--out DIR ...] [--in PATH ...] -- <command> [arguments...]
 e.g.: utils/once.py --out exp/mono -- steps/train_mono --nj 4 data/train data/lang exp/mono

  --out DIR     a folder the command makes, or adds to; it gets the marker
  --in PATH     an input that is not among the arguments
  --name NAME   the command adds to a folder others made: the marker is .done.NAME instead of .done, and nothing is removed
  --force       run even if up to date

The marker records the command, a digest of every input, versions of its steps (utils/versions.tsv), a digest of it all, and what it took.
Inputs are the arguments that name existing files or folders: a file counts by its content, a folder by its markers (or, where it has
none, such as a corpus from a disc, by the names, sizes and times of its files). --nj, --cmd, --threads and --device do not count, nor
does a launcher with its options and log that the command begins with: they change where work runs, not what comes out.
It also records size and CRC-32 of the files that the command made (utils/filesums.py). Before a command runs, the files of its inputs
are compared with what their own markers say, so that damage ends a run before anything is made of it.
An output whose marker differs is stale: why is said, and it is removed before the command runs; one left by the same command, killed, is kept
so that the command can resume. A signal that ends this program ends the command and all that it started. In a recipe's run, nothing starts
once the run has ended. Standard library only: it starts dozens of times in a run.

Several commands may work on one folder, one after another (copy, then features, then CMVN in a data directory). Each depends on
the markers it found there when it first ran; markers added later do not make it stale, and those that followed from its own
are removed when it runs again.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

import filesums
import staleness
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.main import asked_for_help
from pytorch_nnet.io.process import call, ended_by
from pytorch_nnet.io.publish import publish, writing

LAUNCHERS = ("run.py", "slurm.py", "run.pl", "queue.pl", "slurm.pl", "ssh.pl")
NOT_COUNTED = ("--nj", "--cmd", "--threads", "--device")
HASH_CONTENT_UP_TO = 64 << 20  # larger files count by size and time


class Request:
    """One call of this program: what it makes of what, and whether that has been done.

    outs: folders made, or added to. marker: the name of the file that says so. words: the command as far as it counts.
    Raises ValueError for a call that cannot be understood.
    """

    def __init__(self, argv):
        argv = list(argv)
        self.outs, self.inputs, self.name, self.force = [], [], "", False
        while argv and argv[0] != "--":
            word = argv.pop(0)
            if word == "--force":
                self.force = True
            elif word in ("--out", "--in", "--name") and argv:
                value = argv.pop(0)
                if word == "--name":
                    self.name = value
                else:
                    (self.outs if word == "--out" else self.inputs).append(value)
            else:
                raise ValueError(f"unknown argument {word}")
        self.command = argv[1:]
        if not self.outs or not self.command:
            raise ValueError("an --out and a command are needed")
        self.outs = [out.rstrip("/") for out in self.outs]
        self.marker = f".done.{self.name}" if self.name else ".done"
        self.words = counted(self.command)
        self.versions = staleness.versions(self.words)
        self.own = {(out, self.marker) for out in self.outs}

    def missing(self):
        """Arguments that name what an earlier stage makes, and that are not there."""
        return [word for word in without_launcher(self.command)[1:] + self.inputs if word.startswith(("data/", "exp/"))
                and not os.path.exists(word) and not word.startswith(tuple(self.outs))]

    def current(self):
        """{input: its digests}, and the digest of everything that decides the outcome."""
        first = self.outs[0]
        known = (read_json(os.path.join(first, self.marker)) or read_json(os.path.join(first, started(self.marker))) or {}).get("inputs", {})
        paths = [path.rstrip("/") for path in dict.fromkeys(self.words[1:] + self.inputs)
                 if os.path.exists(path) and not path.startswith(tuple(out + "/" for out in self.outs))]  # those are outputs
        now = inputs_now(paths, self.own, known)
        facts = [self.words, now, *([self.versions] if self.versions else [])]
        return now, hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def recorded(self, begun=False):
        """The digest in the marker of each output, or in the marker that the command had begun; None where there is none."""
        marker = started(self.marker) if begun else self.marker
        return [(read_json(os.path.join(out, marker)) or {}).get("digest") for out in self.outs]

    def reason(self, now):
        """Why what is there is stale, on a line; empty if nothing is there, or only what a killed command left."""
        record = read_json(os.path.join(self.outs[0], self.marker))
        if not record:
            return ""
        found = staleness.changes(record, self.words, now, self.versions)
        return staleness.summary(found or (["--force"] if self.force else []))


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    try:
        request = Request(argv)
    except ValueError as error:
        return fail(str(error), "utils/once.py --help")
    if orphaned():
        return fail(f"the run that this command is part of has ended: {' '.join(request.command)}", "start the run again")
    missing = request.missing()
    if missing:
        stage = int(os.environ.get("STAGE_NUMBER", "1") or 1)
        return fail(f"missing input\n  file:     {missing[0]}\n  expected: what an earlier stage makes\n  found:    nothing",
                    f"{os.environ.get('STAGE_SCRIPT', './run.sh')} --stop-stage {stage - 1}, then this stage again")
    now, whole = request.current()
    if not request.force and all(digest == whole for digest in request.recorded()):
        return 0

    resumed = request.outs if any(request.recorded(begun=True)) else []  # what was killed there may have changed others' files
    for path in sorted(set(now) - set(resumed)):
        for changed in filesums.damage(path):
            return fail(filesums.report(*changed))
    announce()
    reason = request.reason(now)
    if reason:
        print(f"once.py: {request.outs[0]}{'' if len(request.outs) == 1 else ' ...'}: made anew: {reason}", file=sys.stderr)
    try:
        prepare(request, now, whole)
        before = {out: filesums.stamps(out) if request.name else None for out in request.outs}
        began = time.time()
        code = call(request.command, stdin=subprocess.DEVNULL)
        if code:
            signal = f" ({ended_by(code)})" if ended_by(code) else ""
            print(f"once.py: failed with code {code}{signal}: {' '.join(request.command)}", file=sys.stderr)
            return code
        if line := result_line(request.command):
            print(line, flush=True)
        record = {"command": request.words, "inputs": now, **cost(began), "digest": whole}
        if request.versions:
            record["versions"] = request.versions
        return mark(request, record, before)
    except RecipeError as error:
        return fail(error.report())
    except OSError as error:
        return fail(f"cannot run {request.command[0]}, or write beside its output: {error}")


def cost(began):
    """What the one command that this program has run has taken, and in which stage: for reports, not part of the digest.

    began: when it began, in seconds since 1970. peak_mib: resident memory of the largest of its processes, which must have
    been awaited by those that started them; work on other machines is not seen.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss / (1 << 10 if sys.platform != "darwin" else 1 << 20)  # kilobytes; macOS: bytes
    script, number, title = (os.environ.get(f"STAGE_{name}", "") for name in ("SCRIPT", "NUMBER", "TITLE"))
    stage = {"script": os.path.basename(script), "number": int(number), "title": title} if number.isdigit() else None
    return {"began": round(began, 1), "seconds": round(time.time() - began, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mib": round(peak, 1), "stage": stage}


def orphaned():
    """True in a process of a run whose lock is gone or another run's by now (utils/run_lock.py)."""
    run = os.environ.get("RECIPE_RUN")
    return bool(run) and (read_json(".run.lock") or {}).get("id") != run


def prepare(request, now, whole):
    """Removes what is stale in the output folders, and notes in each what is about to be made."""
    for out in request.outs:
        with writing(os.path.join(out, request.marker)):
            for later in set(markers(out)) - set(earlier_markers(out, request.own)) - {request.marker}:
                remove(os.path.join(out, later))
            remove(os.path.join(out, request.marker))
            begun = os.path.join(out, started(request.marker))
            if not request.name and os.path.isdir(out) and (request.force or (read_json(begun) or {}).get("digest") != whole):
                shutil.rmtree(os.path.realpath(out))  # what a link, to a larger disk perhaps, leads to
                os.makedirs(os.path.realpath(out))
            write_json(begun, {"inputs": now, "digest": whole})


def mark(request, record, before):
    """Writes the markers of a command that has ended well; returns the exit code.

    before: {out: what filesums.stamps said when the command began}: a command that adds to a folder answers for what it wrote.
    """
    for out in request.outs:
        if not os.path.isdir(out):
            return fail(f"the command ended well but made no {out}", "a fault in the step: please report it")
        write_json(os.path.join(out, request.marker), {**record, filesums.KEY: filesums.sums(out, before[out])})
        remove(os.path.join(out, started(request.marker)))
    return 0


def log_place(command):
    """Where in the command the log of a launcher is that the command begins with; -1 without a launcher."""
    if os.path.basename(command[0]) not in LAUNCHERS:
        return -1
    return next((place for place, word in enumerate(command) if word.endswith(".log")), -1)


def without_launcher(command):
    """What a launcher that the command begins with would start: all that comes after its log."""
    return command[log_place(command) + 1:]


def result_line(command):
    """The last line that the command has written to its launcher's log, for the terminal; '' without a log."""
    place = log_place(command)
    if place < 0:
        return ""
    try:
        with open(command[place], errors="replace") as file:
            said = [line for line in file if not line.startswith("#") and line.strip()]
    except OSError:  # the logs of an array
        return ""
    return said[-1].rstrip("\n") if said else ""


def counted(command):
    """The command without its launcher and without the options that do not change its output."""
    words, skip = [], False
    for word in without_launcher(command):
        if skip:
            skip = False
        elif word in NOT_COUNTED:
            skip = True
        elif not word.startswith(tuple(option + "=" for option in NOT_COUNTED)):
            words.append(word)
    return words


def inputs_now(paths, own, known):
    """{path: file digest or folder's {marker: digest}}; of a folder in `known` only the markers seen then: later ones add to it."""
    now, outs = {}, [out for out, _ in own]
    for path in paths:
        if os.path.isfile(path):
            now[path] = file_digest(path)
            continue
        now[path] = earlier_markers(path, own)
        if path in known and path not in outs and ".listing" not in known[path]:
            now[path] = {name: value for name, value in now[path].items() if name in known[path]}
        elif not now[path] and not any((out + "/").startswith(path + "/") for out in outs):  # that would be a place, not an input
            now[path] = {".listing": listing(path)}
    return {path: value for path, value in now.items() if value}


def markers(folder):
    """{name: digest} of the steps that have finished in the folder."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {name: (read_json(os.path.join(folder, name)) or {}).get("digest")
            for name in names if name == ".done" or name.startswith(".done.")}


def earlier_markers(folder, own):
    """The markers of a folder but this step's `own`, {(folder, name)}, and those of steps that used its output, near or far."""
    return {name: value for name, value in markers(folder).items() if not follows(folder, name, own, set())}


def follows(folder, name, own, seen):
    if (folder, name) in own:
        return True
    seen.add((folder, name))
    inputs = (read_json(os.path.join(folder, name)) or {}).get("inputs", {})
    return any(follows(path, found, own, seen) for path, value in inputs.items() if isinstance(value, dict)
               for found in value if (path, found) not in seen)


def started(marker):
    return marker.replace("done", "started")


def file_digest(path):
    if os.path.getsize(path) > HASH_CONTENT_UP_TO:
        return f"{os.path.getsize(path)} bytes at {os.stat(path).st_mtime_ns}"
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def listing(path):
    lines = []
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            place = os.path.join(folder, name)
            try:
                status = os.stat(place)
                lines.append(f"{os.path.relpath(place, path)} {status.st_size} {status.st_mtime_ns}")
            except FileNotFoundError:  # a link that leads nowhere
                lines.append(os.path.relpath(place, path))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def announce():
    """Prints the stage's headline before its first command that really runs, once."""
    state, title = os.environ.get("STAGE_STATE"), os.environ.get("STAGE_TITLE", "")
    if state and not os.path.exists(state):
        with open(state, "w"):
            pass
        print(f"== stage {os.environ.get('STAGE_NUMBER')}: {title}  [{time.strftime('%H:%M:%S')}]", flush=True)


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_json(path, value):
    with publish(path) as file:
        json.dump(value, file, indent=1)


def remove(path):
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def fail(what, next_step=""):
    print(f"once.py: ERROR: {what}" + (f"\n  next:     {next_step}" if next_step else ""), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

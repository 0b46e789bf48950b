#!/usr/bin/env python3
"""One run in a recipe's folder at a time: utils/stages.sh takes the lock .run.lock when a run starts and gives it back when it ends.

Usage: utils/run_lock.py take <pid> <command>     # for the shell <pid>; prints 'RUN=<id> SCRATCH=<folder>'
       utils/run_lock.py end <pid>                # ends every process of the shell's run but itself
       utils/run_lock.py release <pid>            # removes the lock and the scratch folder
 e.g.: utils/run_lock.py take $$ "./run.sh --nj 4"

The lock names host, process, its start, and the command. A lock whose process has ended on this host is stale: it is taken over, what
still runs of that run is ended (every process of a run carries its id in RECIPE_RUN), and temporary files of killed processes are
removed. A lock of another host is never touched, since nothing can be known of it. Standard library only.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # another run may be at work here
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from pytorch_nnet.io.errors import RecipeError  # noqa: E402
from pytorch_nnet.io.main import asked_for_help  # noqa: E402
from pytorch_nnet.io.process import descendants, end_all, host, lives, marked, parents, start_of  # noqa: E402
from pytorch_nnet.io.publish import remove, removed, sweep, temporary_name, writing  # noqa: E402

LOCK = ".run.lock"
MARK = "RECIPE_RUN"
MADE_BY_RUNS = ("data", "exp", "corpus")


def read():
    """The lock's content; None if there is none."""
    try:
        with open(LOCK) as file:
            lock = json.load(file)
        return {key: lock[key] for key in ("id", "host", "pid", "start", "command", "since", "scratch")}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise RecipeError("not a lock", file=os.path.abspath(LOCK), expected="the lock of a run",
                          next=f"if no run is at work in this folder, remove it: rm {os.path.abspath(LOCK)}") from None


@contextlib.contextmanager
def alone():
    """Keeps others of this program out of the folder meanwhile, so that two cannot take over one lock."""
    folder = os.open(".", os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some cluster file systems cannot; there two takeovers of one lock could collide
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def take(pid, command):
    """Makes the lock for the shell `pid`; returns it and the stale one it replaces, or None. RecipeError if a run is at work."""
    start = start_of(pid)
    name = f"{host()}-{pid}-{start}"
    scratch = os.path.join(tempfile.gettempdir(), f".tmp-{name}.recipe")
    lock = {"id": f"{name}-{os.urandom(4).hex()}", "host": socket.gethostname(), "pid": pid, "start": start, "command": command,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"), "scratch": scratch}
    with alone(), writing(LOCK):
        old = read()
        if old:
            refuse_living(old)
            os.remove(LOCK)
        whole = temporary_name(Path(LOCK))
        with removed(whole):
            whole.write_text(json.dumps(lock, indent=1))
            try:
                os.link(whole, LOCK)  # fails if there is one by now
            except FileExistsError:
                refuse_living(read() or lock)
                raise
        os.makedirs(scratch, exist_ok=True)
    return lock, old


def refuse_living(lock):
    """Raises RecipeError unless the lock's run is known to have ended."""
    run = f"{lock['command']}, process {lock['pid']} on {lock['host']}, since {lock['since']}"
    path = os.path.abspath(LOCK)
    if lock["host"] != socket.gethostname():
        raise RecipeError("a run on another machine has this folder", file=path, expected="no lock, or one of this machine", found=run,
                          next=f"wait for it; if it has ended (ssh {lock['host']} ps -p {lock['pid']}), remove the lock: rm {path}")
    if lives(lock["pid"], lock["start"]):
        raise RecipeError("another run is at work in this folder", file=path, expected="no run", found=run,
                          next=f"wait for it, or end it: kill {lock['pid']}")


def of_run(pid, run):
    """Processes of the run `run` of the shell `pid`, but for the shell itself and this program."""
    found = marked(f"{MARK}={run}")
    if pid:
        found |= descendants(pid)
    return found - ancestors() - {pid}


def ancestors():
    """This process and those above it."""
    parent, pid, found = parents(), os.getpid(), set()
    while pid and pid not in found:
        found.add(pid)
        pid = parent.get(pid, 0)
    return found


def clean():
    """Removes temporary files of processes that have ended, and says so."""
    for line in [*sweep(MADE_BY_RUNS).report(), *sweep([tempfile.gettempdir(), "."], deep=False).report()]:
        print(f"run_lock.py: {line}", file=sys.stderr)


def mine(pid):
    """The lock, if it is that of the shell `pid`, else None."""
    lock = read()
    return lock if lock and (lock["pid"], lock["start"], lock["host"]) == (pid, start_of(pid), socket.gethostname()) else None


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    if len(argv) < 2 or argv[0] not in ("take", "end", "release") or not argv[1].isdigit():
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    action, pid = argv[0], int(argv[1])
    try:
        if action == "take":
            lock, old = take(pid, " ".join(argv[2:]))
            if old:
                print(f"run_lock.py: taking over from a run that died: {old['command']}, process {old['pid']}, since {old['since']}",
                      file=sys.stderr)
                left = end_all(lambda: of_run(0, old["id"]))
                if left:
                    print(f"run_lock.py: ended {left} processes that it had left", file=sys.stderr)
                remove(old["scratch"])
                clean()
            print(f"RUN={lock['id']} SCRATCH={lock['scratch']}")
        elif lock := mine(pid):
            if action == "end":
                end_all(lambda: of_run(pid, lock["id"]))
                clean()
            else:
                remove(lock["scratch"])
                os.remove(LOCK)
    except (RecipeError, OSError) as error:
        print(f"run_lock.py: ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which processes live: one that has ended is told from another that got its number later, and a tree of them is ended whole.

Reads Linux' /proc. Elsewhere a process is known by its number alone and only its own children are found. Standard library only:
utils/once.py and utils/run.py start hundreds of times a run.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import subprocess
import time
from typing import Callable, Iterable

GRACE_S = 2.0  # between asking a process to end and ending it: what SIGTERM leaves undone, SIGKILL may, as runs survive it anywhere


@functools.lru_cache(None)
def host() -> str:
    """This machine's name, of letters, digits and _ alone, so that it can be part of a file's name."""
    return re.sub(r"\W", "_", socket.gethostname(), flags=re.ASCII)


def start_of(pid: int) -> int:
    """When a process started, in clock ticks since the machine did (proc(5), stat, field 22); 0 if there is none or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name, in parentheses, may hold anything
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


@functools.lru_cache(None)
def own_start(pid: int) -> int:
    return start_of(pid)


def identity() -> str:
    """`<host>-<pid>-<start>` of this process, as in the names of its temporary files."""
    return f"{host()}-{os.getpid()}-{own_start(os.getpid())}"


def lives(pid: int, start: int) -> bool:
    """True if the process of that number is the one that started then."""
    if os.path.isdir("/proc/self"):
        return start_of(pid) == start != 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def parents() -> dict[int, int]:
    """{process: its parent} of every process."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # it has just ended
                pass
    return found


def descendants(pid: int) -> set[int]:
    """Processes that this one started, and that those started, but not this process itself."""
    parent, found, added = parents(), {pid}, {pid}
    while added:
        added = {child for child, its in parent.items() if its in added} - found
        found |= added
    return found - {pid, os.getpid()}


def marked(entry: str) -> set[int]:
    """Processes, other than this one, that started with `entry`, NAME=VALUE, in their environment; only those we may look at."""
    wanted, found = entry.encode(), set()
    for pid in parents():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.add(pid)
        except OSError:
            pass
    return found - {os.getpid()}


def send(pids: Iterable[int], number: int) -> None:
    """Parents, which started first, get the signal first: a shell whose child ended would go on to its next command."""
    for pid in sorted(pids, key=lambda pid: (start_of(pid), pid)):
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def end_all(find: Callable[[], set[int]], grace: float = GRACE_S) -> int:
    """Ends every process that `find` returns, asked again until it returns none that lives. Returns how many there were.

    Each gets SIGTERM once, so that it can clean up; what is left after `grace` seconds gets SIGKILL.
    """
    asked: dict[int, int] = {}  # found once is found for good: what has lost its parent is nobody's descendant
    deadline = time.monotonic() + grace
    while True:
        new = {pid: start for pid in find() - asked.keys() if (start := start_of(pid))}
        asked |= new
        alive = [pid for pid, start in asked.items() if lives(pid, start)]
        now = time.monotonic()
        if not alive or now > deadline + grace:  # the latter: stuck in the kernel, or no right to end them
            return len(asked)
        send(alive if now > deadline else new, signal.SIGKILL if now > deadline else signal.SIGTERM)
        time.sleep(0.02)


def call(command: list[str], **keywords) -> int:
    """subprocess.call that takes its tree along: SIGTERM and SIGINT, unless ignored, end every descendant, then this process."""

    def stop(number, frame):
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        end_all(lambda: descendants(os.getpid()))
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    return code_of(subprocess.call(command, **keywords))


def code_of(returncode: int) -> int:
    """The exit code as shells give it: 128 and the signal's number for a process that a signal ended."""
    return 128 - returncode if returncode < 0 else returncode


def ended_by(code: int) -> str:
    """'SIGKILL (9)' for a code that says that a signal ended the process, else ''."""
    try:
        return f"{signal.Signals(code - 128).name} ({code - 128})" if code > 128 else ""
    except ValueError:
        return ""

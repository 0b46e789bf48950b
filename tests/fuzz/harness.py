"""Runs readers on mutated files, in a process of their own with limits on memory and time, and tells what went wrong.

A case is a target's name, a seed and a number: they decide its files. A reader passes a case if it refuses it with a RecipeError,
or reads it and what it read keeps what the target asserts. Anything else is a failure: another exception, more time or memory
than any file of this size may take, the end of the process.
"""

import contextlib
import dataclasses
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Callable, Iterable, Iterator

from fuzz.mutate import mutate

SECONDS = 10  # for a case that takes milliseconds, on a machine with other work
MEMORY = 1 << 29  # bytes above what the process has before its first case
PASSED = ("read", "refused")
Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Target:
    """name. seed: makes valid files, {name: content}. check: reads them in the current folder and asserts what must hold. cost: of a case, in
    cases of the usual kind; how many there are of it is divided by that."""

    name: str
    seed: Callable[[], Files]
    check: Callable[[], None]
    cost: int = 1


@dataclasses.dataclass(frozen=True)
class Outcome:
    target: str
    number: int
    kind: str  # "read", "refused", or how it failed
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind not in PASSED


TARGETS: dict[str, Target] = {}


def target(seed: Callable[[], Files], cost: int = 1):
    """Registers a check under its name."""
    def register(check):
        TARGETS[check.__name__] = Target(check.__name__, seed, check, cost)
        return check

    return register


def taken(folder) -> Files:
    """The files below a folder, as a seed."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def case(files: Files, name: str, seed: int, number: int) -> Files:
    """The files of a case: those of the seed, one or two of them changed, rarely one gone."""
    draw, files = random.Random(f"{name}/{seed}/{number}"), dict(files)
    for path in draw.sample(sorted(files), min(len(files), draw.choice((1, 1, 1, 2)))):
        if draw.random() < 0.02:
            del files[path]
        else:
            files[path] = mutate(files[path], draw)
    return files


class TooLong(BaseException):
    """No Exception, so that no reader takes it for damage."""


def one(check: Callable[[], None], files: Files, folder: Path) -> tuple[str, str]:
    """(kind, detail) of a case, whose files are written to `folder`."""
    from pytorch_nnet.io.errors import RecipeError

    def stop(*_):
        raise TooLong

    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.chdir(folder):
            check()
        kind, detail = "read", ""
    except RecipeError as error:
        kind, detail = ("memory" if "MemoryError" in str(error) else "refused"), str(error)
    except TooLong:
        kind, detail = "too long", "".join(traceback.format_exc())
    except MemoryError:
        kind, detail = "memory", traceback.format_exc()
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is the outcome)
        kind, detail = f"{type(error).__name__} in {where(error)}", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if (folder / "sprung").exists():
        kind = "a command ran"
    shutil.rmtree(folder)
    return kind, detail


def where(error: BaseException) -> str:
    """The last place in the product that an exception went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pytorch_nnet" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "the check"


def run(one_target: Target, numbers: Iterable[int], seed: int) -> Iterator[Outcome]:
    """The outcomes of a target's cases, in order; a child that ends or hangs costs only the case it was at."""
    waiting, files = list(numbers), one_target.seed()
    with tempfile.TemporaryDirectory() as scratch:
        while waiting:
            pid, pipe = child(one_target, files, waiting, seed, Path(scratch))
            buffer = b""
            try:
                while waiting:
                    ready, _, _ = select.select([pipe], [], [], 3 * SECONDS)
                    part = os.read(pipe, 1 << 16) if ready else b""
                    buffer += part
                    while b"\0" in buffer:
                        line, _, buffer = buffer.partition(b"\0")
                        kind, _, detail = line.decode().partition("\n")
                        yield Outcome(one_target.name, waiting.pop(0), kind, detail)
                    if not part and waiting:
                        if ready:  # the pipe has been closed
                            yield Outcome(one_target.name, waiting.pop(0), f"process ended ({ended(pid)})")
                            pid = 0
                        else:
                            yield Outcome(one_target.name, waiting.pop(0), "too long, in code that no alarm ends")
                        break
            finally:
                os.close(pipe)
                if pid:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                shutil.rmtree(Path(scratch) / "case", ignore_errors=True)


def ended(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"code {os.WEXITSTATUS(status)}"


def child(one_target: Target, files: Files, numbers: list[int], seed: int, scratch: Path) -> tuple[int, int]:
    """Starts a process that works through the cases; returns its number and a pipe with `kind LF detail NUL` for each."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in numbers:
            kind, detail = one(one_target.check, case(files, one_target.name, seed, number), scratch / "case")
            message = f"{kind}\n{detail[-4000:]}".encode(errors="backslashreplace").replace(b"\0", b"?") + b"\0"
            while message:
                message = message[os.write(writing, message):]
    finally:
        os._exit(0)


def keep(outcome: Outcome, seed: int, folder: Path) -> None:
    """Saves a failure: its files, what was said, and the command that repeats it."""
    place = folder / f"{outcome.target}-{seed}-{outcome.number}"
    for name, content in case(TARGETS[outcome.target].seed(), outcome.target, seed, outcome.number).items():
        (place / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "files" / name).write_bytes(content)
    place.mkdir(exist_ok=True, parents=True)
    (place / "report.txt").write_text(f"{outcome.kind}\n{repeat(outcome, seed)}\n\n{outcome.detail}\n", encoding="utf-8", errors="backslashreplace")


def repeat(outcome: Outcome, seed: int) -> str:
    return f"tests/fuzz.sh --target {outcome.target} --seed {seed} --case {outcome.number}"


def kinds(outcomes: Iterable[Outcome]) -> Counter:
    """How often each kind of failure came, by target."""
    return Counter((outcome.target, outcome.kind) for outcome in outcomes if outcome.failed)

"""Published means done: a file or folder appears under its name only when it is whole.

What is not yet whole is `.tmp-<host>-<pid>-<start of the process>.<name>`, beside it. A process that ends, even with an error,
takes these along; `sweep` removes those of processes that were killed. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path
from typing import IO, Iterable, Iterator, NamedTuple

from .errors import RecipeError
from .process import host, identity, lives

TEMPORARY = re.compile(r"\.tmp-(?P<host>\w+)-(?P<pid>\d+)-(?P<start>\d+)\.")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL = 1 << 20  # bytes left: a writer of large files that cannot say why it failed has met a full disk
NOTHING = 1 << 12  # bytes left: so has any other
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def temporary_name(path: Path) -> Path:
    """Where this process writes what will be `path`; keeps the suffix, which some writers go by."""
    return path.with_name(f".tmp-{identity()}.{path.name}")


@contextlib.contextmanager
def publish(path, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file beside `path`; on a clean exit fsyncs it and renames it to `path`, else removes it.

    Raises RecipeError, with what is needed and what is left, where the disk is full or the folder may not be written to.
    """
    path = Path(path)
    temporary = temporary_name(path)
    with removed(temporary), writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def publish_path(path) -> Iterator[Path]:
    """Like `publish`, for writers that want a path: yields a temporary name with the same suffix."""
    path = Path(path)
    temporary = temporary_name(path)
    with removed(temporary), writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def publish_folder(path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; on a clean exit it replaces `path`, else it is removed.

    A link stays, to a larger disk perhaps: what it leads to is replaced, and the temporary folder is there.
    """
    path = Path(os.path.realpath(path))
    temporary = temporary_name(path)
    with removed(temporary), writing(path):
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)


@contextlib.contextmanager
def scratch_folder(parent, name: str) -> Iterator[Path]:
    """Yields an empty folder in `parent` that goes when the context ends, or with the next sweep."""
    temporary = temporary_name(Path(parent) / name)
    with removed(temporary), writing(temporary):
        temporary.mkdir(parents=True)
        yield temporary


@contextlib.contextmanager
def removed(temporary: Path) -> Iterator[None]:
    """Removes a file or folder when the context ends, if it is still there."""
    try:
        yield
    finally:
        remove(temporary)


def remove(path) -> None:
    """Removes a file or a whole folder, if it is there and may be removed."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def writing(path) -> Iterator[None]:
    """Turns the system's refusals to write `path` into RecipeErrors; other errors pass."""
    try:
        yield
    except RecipeError:
        raise
    except Exception as error:
        if report := refusal(error, path):
            raise report from None
        raise


def refusal(error: Exception, path) -> RecipeError | None:
    """What to tell a user whose file cannot be written; None for any other error."""
    number, place = getattr(error, "errno", None), Path(getattr(error, "filename", None) or path)
    # Writers outside Python have errors of their own: safetensors' names the system's in its text, libsndfile's says nothing.
    if number is None and (re.search(r"No space left|os error 28", str(error)) or space(path) < NOTHING):
        number = errno.ENOSPC
    if number in NO_SPACE:
        return RecipeError("no space to write a file", file=path, expected=f"more than the {size(written(path))} that fitted",
                           found=f"{size(space(path))} left for {nearest(path)} ({os.strerror(number)})",
                           next="make space, or raise the quota, then call the same command again: it goes on from what is finished")
    if number in NOT_WRITABLE:
        return RecipeError("a file may not be written", file=place, expected=f"the right to write in {nearest(place.parent)}",
                           found=os.strerror(number), next="mend the rights (ls -ld, chmod), then call the same command again")
    return None


def check_written(done: bool, path) -> None:
    """For OpenFst's writers, which return False where Python's raise: RecipeError unless `done`."""
    if not done:
        full = space(path) < FULL
        error = OSError(errno.ENOSPC if full else errno.EACCES, "")
        raise refusal(error, path) or error


def written(path) -> int:
    """Bytes in the temporary file or folder of `path`."""
    temporary = temporary_name(Path(path))
    files = temporary.rglob("*") if temporary.is_dir() else [temporary]
    return sum(file.stat().st_size for file in files if file.is_file())


def nearest(path) -> Path:
    """The path, or the folder above it that exists."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def space(path) -> int:
    """Bytes that may still be written there."""
    return shutil.disk_usage(nearest(path)).free


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


class Swept(NamedTuple):
    """removed: temporary files and folders of processes that ended. others: those of other machines, {machine: how many}."""

    removed: list[str]
    others: dict[str, int]

    def report(self) -> list[str]:
        lines = []
        if self.removed:
            lines.append(f"removed {len(self.removed)} temporary files that killed processes left, such as {self.removed[0]}")
        lines += [f"left {count} temporary files of {name} alone: if nothing runs there, find . -name '.tmp-{name}-*' finds them"
                  for name, count in sorted(self.others.items())]
        return lines


def sweep(folders: Iterable, deep: bool = True) -> Swept:
    """Removes the temporary files, under these folders or with `deep=False` in them, of processes of this machine that ended."""
    swept = Swept([], {})
    for top in folders:
        for folder, names, files in os.walk(top):
            for name in [*names, *files]:
                match = TEMPORARY.match(name)
                if not match:
                    continue
                if name in names:
                    names.remove(name)  # its own temporary files are its owner's
                if match["host"] != host():
                    swept.others[match["host"]] = swept.others.get(match["host"], 0) + 1
                elif not lives(int(match["pid"]), int(match["start"])):
                    remove(Path(folder, name))
                    swept.removed.append(os.path.join(folder, name))
            if not deep:
                names.clear()
    return swept

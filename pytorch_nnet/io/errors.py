"""Errors a user can act on: what is wrong, where, and which command to run next."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Iterator


class RecipeError(Exception):
    """A mistake in the input, reported without a traceback.

    Args:
      what: one sentence, lower case, no full stop: "utterance longer than its recording".
      file: the file that is wrong. id: the utterance, speaker, word or key in it.
      expected, found: both sides of the disagreement. next: the command that mends it.
    """

    def __init__(self, what: str, *, file=None, id=None, expected=None, found=None, next=None):
        self.what, self.file, self.id = what, file, id
        self.expected, self.found, self.next = expected, found, next
        super().__init__(self.report())

    def report(self) -> str:
        lines = [self.what]
        for name in ("file", "id", "expected", "found", "next"):
            value = getattr(self, name)
            if value is not None:
                lines.append(f"  {name + ':':<9} {value}")
        return "\n".join(lines)


def require_file(path, *, next=None) -> str:
    """Returns `path`; raises RecipeError if it is missing or empty."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise RecipeError("missing input", file=path, expected="an existing file", found="nothing", next=next)
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise RecipeError("empty input", file=path, expected="content", found="0 bytes", next=next)
    return path


@contextlib.contextmanager
def reading(path, what: str = "file is damaged, or not of this kind", *, id=None, expected=None, next=None) -> Iterator[None]:
    """Turns whatever a parser says of content that it cannot make sense of into a RecipeError; the system's own errors pass.

    A flipped bit may show as almost any exception: a bad letter, a key that is not there, an offset beyond the end.
    """
    try:
        yield
    except RecipeError:
        raise
    except Exception as error:
        # gzip's errors are OSErrors without a number; zipfile seeks to wherever a damaged directory says.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        found = str(error).partition("\n")[0] or "no more"
        raise RecipeError(what, file=path, id=id, expected=expected, found=f"{type(error).__name__}: {found}", next=next) from None

"""Errors a user can act on: what is wrong, where, and which command to run next."""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable, NoReturn


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


def run_main(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Runs a step's `main(argv)` and exits: 0, its return value, or 1 with the report of a RecipeError.

    The first line on stderr echoes the command, as Kaldi's scripts do. SIGTERM ends the step as an exception would, so that temporary
    files go.
    """
    name = os.path.basename(sys.argv[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    print(" ".join([name, *sys.argv[1:]]), file=sys.stderr, flush=True)
    try:
        sys.exit(main(sys.argv[1:]) or 0)
    except RecipeError as error:
        print(f"{name}: ERROR: {error.report()}", file=sys.stderr, flush=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our pipe died; it has reported why. Keep Python from complaining again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"{name}: ERROR: the process reading our output ended early", file=sys.stderr, flush=True)
        sys.exit(1)
    except OSError as error:
        from .publish import refusal

        if not (report := refusal(error, error.filename or os.getcwd())):  # neither a full disk nor a folder that may not be written to
            raise
        print(f"{name}: ERROR: {report.report()}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""How a program of the recipe begins and ends: its usage, its command on stderr, errors as reports, exit codes."""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable, NoReturn

from .errors import RecipeError
from .publish import refusal


def asked_for_help(argv: list[str], doc: str | None) -> bool:
    """For programs that read their arguments themselves: prints the usage, their docstring, if that is asked for."""
    if argv[:1] not in (["--help"], ["-h"]):
        return False
    print((doc or "").strip())
    return True


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
        if not (report := refusal(error, error.filename or os.getcwd())):  # neither a full disk nor a folder that may not be written to
            raise
        print(f"{name}: ERROR: {report.report()}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""Job arrays through the user's `--cmd` (utils/run.py here, a cluster's launcher elsewhere), with Kaldi's JOB=1:n form."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Sequence

from .errors import RecipeError
from .process import descendants, end_all

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_CMD = "utils/run.py"
INSIDE = re.compile(r"\w+JOB\w*|JOB\w+")


def run_jobs(cmd: str, jobs: int, log: str, command: Sequence[str]) -> None:
    """Runs `command` as jobs 1..`jobs`; JOB in `log` and in any argument becomes the job's number.

    Args:
      cmd: the launcher and its options, such as "utils/run.py --max-jobs-run 2". A relative path that does not exist
        here is taken from the repository's root.
    Raises:
      RecipeError: a job failed; the launcher has printed the end of its log.
    """
    command = [str(word) for word in command]
    for word in (log, *command):
        if INSIDE.search(word):
            raise RecipeError("a path with JOB inside a name, where launchers put a job's number", id=word, expected="no JOB, but in files of jobs",
                              found=INSIDE.search(word)[0], next="name the folder otherwise")  # type: ignore[index]
    launcher = shlex.split(cmd)
    if not Path(launcher[0]).exists() and (ROOT / launcher[0]).exists():
        launcher[0] = str(ROOT / launcher[0])
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen([*launcher, f"JOB=1:{jobs}", log, *command], env=environment, stdin=subprocess.DEVNULL)
    try:
        code = process.wait()
    except BaseException:  # a signal: the jobs go with the step that wanted them
        end_all(lambda: descendants(os.getpid()))
        raise
    if code:
        raise RecipeError("a job failed", file=log, expected="exit code 0", found=f"the launcher's code {code}",
                          next="read the log's end above, mend, and call the same command again")


def python_module(module: str, *arguments) -> list[str]:
    """The command line that runs one of our modules with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]

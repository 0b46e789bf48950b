"""Work on every lattice of a decoding directory, as jobs side by side whose answers come back through files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

from ..decoding.lattice import Lattice, LatticeReader
from ..io.errors import RecipeError, require_file
from ..io.launcher import python_module, run_jobs
from ..io.publish import publish
from ..lang.lang_dir import read_symbols


def ask_jobs(folder: Path, name: str, *arguments, nj: int, cmd: str) -> list[list]:
    """Runs the module pytorch_nnet.scoring.<name>_job in at most `nj` jobs and returns what `answer` wrote: [utterance, answer...].

    Args:
      arguments: of the module, after <decode-dir> <job> <jobs>. The log is <decode-dir>/scoring/log/<name>.JOB.log.
    """
    archives = int(Path(require_file(folder / "num_jobs", next="decode first (steps/decode)")).read_text())
    jobs = min(nj, archives)
    run_jobs(cmd, jobs, log=str(folder / "scoring" / "log" / f"{name}.JOB.log"),
             command=python_module(f"pytorch_nnet.scoring.{name}_job", folder, "JOB", jobs, *arguments))
    answers: list[Any] = []
    for job in range(1, jobs + 1):
        path = answers_file(folder, name, job)
        with open(path, encoding="utf-8") as file:
            answers += map(json.loads, file)
        path.unlink()
    return answers


def answer(name: str, argv: Sequence[str], work: Callable[[str, Lattice], list[Any]]) -> None:
    """The job's side of `ask_jobs`: calls `work` on every lattice of its archives.

    Args:
      argv: <decode-dir> <job> <jobs>. work: (utterance, lattice) -> what goes behind the utterance's id, in JSON.
    """
    folder, job, jobs = Path(argv[0]), int(argv[1]), int(argv[2])
    archives = int((folder / "num_jobs").read_text())
    utterances = 0
    with publish(answers_file(folder, name, job)) as file:
        for number in range(job, archives + 1, jobs):
            for utt, lattice in LatticeReader(folder / f"lat.{number}.npz"):
                file.write(json.dumps([utt, *work(utt, lattice)]) + "\n")
                utterances += 1
    print(f"{utterances} utterances", file=sys.stderr)


class Words(dict[int, str]):
    """The words of a graph or lang directory by word-id; raises RecipeError for a word-id that it has not."""

    def __init__(self, folder):
        self.path = Path(folder) / "words.txt"
        super().__init__((number, word) for word, number in read_symbols(self.path).items())

    def __missing__(self, number: int) -> str:
        raise RecipeError("a word-id of the lattices is not in words.txt", file=self.path, id=number, expected=f"one of {len(self)}",
                          found="another", next="name the graph that was decoded with, or its lang directory")


def answers_file(folder: Path, name: str, job: int) -> Path:
    return folder / "scoring" / f"{name}.{job}.jsonl"


def read_failed(path: Path) -> dict[str, str]:
    """Reads the list of failed utterances, '<utt> <reason>' a line; absent or empty means none."""
    if not path.exists():
        return {}
    lines = (line.strip().partition(" ") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {utt: reason or "no reason given" for utt, _, reason in lines}


def check_complete(references: set[str], decoded: set[str], failed: dict[str, str], folder: Path) -> None:
    """Every reference has either a lattice or a reason for its absence, and nothing else was decoded."""
    for what, utts, expected in (
            ("utterances neither decoded nor listed as failed", references - decoded - failed.keys(),
             "a lattice, or a line in failed.txt"),
            ("decoded utterances without a reference", (decoded | failed.keys()) - references,
             "an utterance of the data directory"),
            ("utterances decoded and listed as failed", decoded & failed.keys(), "one or the other")):
        if utts:
            raise RecipeError(what, file=folder, id=min(utts), expected=expected, found=f"{len(utts)} such utterances",
                              next="decode again (steps/decode) with this data directory")

"""Rescoring lattices with another language model (Kaldi: lattice-lmrescore-const-arpa, once with scale -1 and once with 1).

Every path's graph score loses ln P_old(words </s>) and gains ln P_new(words </s>), so pronunciations and transitions stay in it.
States are split by the histories that the two models tell apart. A beam may bound that (Kaldi: lattice-lmrescore-pruned has one).
"""

from __future__ import annotations

import math
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.launcher import DEFAULT_CMD, python_module, run_jobs
from ..io.options import option
from ..io.publish import publish
from ..lang.arpa import read_arpa
from ..lang.states import NgramStates, State
from .decode import link_log
from .histories import Beam, expand
from .lattice import Lattice

LN10 = math.log(10.0)
SENTENCE_END = -1  # stands for </s>, which needs no word-id


class Change:
    """What a change of language models adds to the graph scores of lattices.

    Args:
      old: an ARPA file. new: another, or the directory of a recurrent model, to be mixed with the old one.
      words: the lattices' words by word-id. rnn_weight, rnn_order: see `word_lm.WordLmStates`.
    """

    def __init__(self, old, new, words: dict[int, str], rnn_weight: float = 0.5, rnn_order: int = 4):
        self.files = [Path(old), Path(new)]
        given = NgramStates(read_arpa(old))
        if Path(new).is_dir():
            from .word_lm import WordLmStates

            self.models: list[Any] = [given, WordLmStates(new, given, rnn_weight, rnn_order)]
        else:
            self.models = [given, NgramStates(read_arpa(new))]
        self.words = {**words, SENTENCE_END: "</s>"}
        self.histories: list[tuple[State, ...]] = [tuple(model.start for model in self.models)]  # a state of each model
        self.numbers = {self.histories[0]: 0}
        self.steps: dict[tuple[int, int], tuple[int, int]] = {}
        self.gains = array("d", [0.0])  # by number of the step: ln P_new - ln P_old

    def step(self, history: int, word: int) -> tuple[int, int]:
        """See histories.Step; raises RecipeError for a word that a model lacks."""
        found = self.steps.get((history, word))
        if found is None:
            old, new = (model.step(state, self.find(place, word))
                        for place, (model, state) in enumerate(zip(self.models, self.histories[history])))
            number = self.numbers.setdefault((old[0], new[0]), len(self.histories))
            if number == len(self.histories):
                self.histories.append((old[0], new[0]))
            found = self.steps[history, word] = number, len(self.gains)
            self.gains.append((new[1] - old[1]) * LN10)
        return found

    def find(self, place: int, word: int) -> int:
        """A word's number in the old model (place 0) or in the new one."""
        name = self.words.get(word, f"word-id {word}")
        number = self.models[place].model.ids.get(name)
        if number is None:
            raise RecipeError("a word of the lattices is not in the language model", file=self.files[place], id=name,
                              expected="every word that the graph has", found="no 1-gram of it",
                              next="make the model with the vocabulary of the lang directory (steps/train_lm)")
        return number

    def rescored(self, lattice: Lattice, beam: Beam | None = None) -> Lattice:
        """The lattice with the new model's scores; with a beam, the paths that the old scores had within it."""
        expanded = expand(lattice, self.step, SENTENCE_END, beam)
        gains = np.array(self.gains)
        return expanded.rebuilt(lattice, lattice.arcs["graph"][expanded.arc] + gains[expanded.step] + gains[expanded.ending])


@dataclass
class RescoreOptions:
    nj: int = option(1, "number of jobs, which share the archives of all directories; each reads both language models")
    cmd: str = option(DEFAULT_CMD, "launcher of the jobs")
    beam: float = option(0.0, "keep paths this close to the best under the old model; 0: all, which makes deep lattices very large")
    acwt: float = option(0.0833, "acoustic scale of --beam")
    rnn_weight: float = option(0.5, "of a recurrent model, mixed with the old one: P = w P_rnn + (1 - w) P_old")
    rnn_order: int = option(4, "histories of a recurrent model count as one that end in so many words less one")
    skip_scoring: bool = option(False, "do not call steps/score")


def rescore(old, new, graph_dir, pairs: Sequence[tuple[str, str]], options: RescoreOptions) -> None:
    """Fills the second directory of each pair with the lattices of the first: lat.JOB.npz, failed.txt, log/ and, last, num_jobs.

    Args:
      old, new: ARPA files: that of the graph's grammar, and the one to take its place, or the directory of a recurrent model
        (steps/train_rnnlm). graph_dir: holds words.txt.
    Raises:
      RecipeError: a missing input, a failed job, a directory that would overwrite its own lattices.
    """
    if options.beam < 0 or options.acwt <= 0:
        raise RecipeError("bad value for an option", id="--beam, --acwt", expected="0 or more, and more than 0",
                          found=f"{options.beam:g} and {options.acwt:g}")
    for path in (old, new):
        require_file(path, next="make the language model first (steps/train_lm, steps/interpolate_lm, steps/train_rnnlm)")
    words = require_file(Path(graph_dir) / "words.txt", next="make the graph first (steps/mkgraph)")
    archives = {}
    for folder, out in pairs:
        archives[out] = int(Path(require_file(Path(folder) / "num_jobs", next="decode first (steps/decode)")).read_text())
    known = {Path(folder).resolve() for folder, _ in pairs}
    clash = next((out for out in archives if Path(out).resolve() in known), None)
    if clash or len(archives) < len(pairs):
        raise RecipeError("a directory to write is read, or written twice", file=clash or pairs[-1][1],
                          expected="a new directory for each", found=" ".join(out for _, out in pairs))
    log = Path(pairs[0][1]) / "log"
    for target in map(Path, archives):
        target.mkdir(parents=True, exist_ok=True)
        for left in [target / "num_jobs", target / "failed.txt", *target.glob("lat.*.npz")]:
            left.unlink(missing_ok=True)
        if log.parent != target:
            link_log(target / "log", log)
    log.mkdir(exist_ok=True)
    jobs = min(options.nj, sum(archives.values()))
    run_jobs(options.cmd, jobs, log=f"{log}/rescore.JOB.log",
             command=python_module("pytorch_nnet.decoding.rescore_job", old, new, words, options.beam, options.acwt, options.rnn_weight,
                                   options.rnn_order, "JOB",
                                   jobs, *(folder for pair in pairs for folder in pair)))
    for folder, out in pairs:
        failed = Path(folder) / "failed.txt"
        with publish(Path(out) / "failed.txt") as file:
            file.write(failed.read_text(encoding="utf-8") if failed.exists() else "")
        with publish(Path(out) / "num_jobs") as file:
            file.write(f"{archives[out]}\n")
        print(f"{out}: rescored {folder}", file=sys.stderr, flush=True)

"""Compares every two systems on a test set: difference of their WERs, its interval, and the matched-pair test."""

from __future__ import annotations

from itertools import combinations
from typing import Sequence

from ..io.errors import RecipeError
from .results import system_folder
from .scored import Figure, basic_figure, stm_figures, stm_scorer
from .significance import difference_interval, matched_pairs
from .tune import choose, read_sweep

HEADER = ("scorer", "part", "a", "b", "WER a %", "WER b %", "a - b", "low", "high", "pieces", "z", "p", "better")
LEVEL = 0.05


def figures_of(exp, system: str, dev: str, test: str) -> dict[tuple[str, str], Figure]:
    """One system's figures by (scorer, part of the test set), at the LM weight and penalty chosen on dev.

    Args:
      dev, test: names of the decoding directories, such as decode_eval2000_tg.
    """
    folder = system_folder(exp, system)
    pair = choose(read_sweep(folder / dev))
    basic = basic_figure(folder / test, pair)
    figures = {("basic", "all"): basic} if basic else {}
    scorer = stm_scorer(folder / test)
    if scorer:
        figures |= {(scorer, part): figure for part, figure in stm_figures(folder / test, pair).items()}
    if not figures:
        raise RecipeError("no counts by utterance", file=folder / test, expected="files of steps/score or steps/score_stm",
                          found="none", next="local/score.sh <data> <lang> <decode-dir>")
    return figures


def compare(exp, systems: Sequence[str], *, dev: str, test: str) -> list[list[str]]:
    """Rows of HEADER for every two systems and every figure that both have.

    p is two-tailed; of many pairs, one in twenty has p < 0.05 by chance.
    """
    found = {system: figures_of(exp, system, dev, test) for system in systems}
    rows = []
    for scorer, part in dict.fromkeys(key for figures in found.values() for key in figures):
        for a, b in combinations(systems, 2):
            if (scorer, part) not in found[a] or (scorer, part) not in found[b]:
                continue
            first, second = found[a][scorer, part], found[b][scorer, part]
            low, high = difference_interval(first.utterances, second.utterances)
            test_result = matched_pairs(first.utterances, second.utterances)
            better = "neither" if test_result.p >= LEVEL else b if test_result.z > 0 else a
            rows.append([scorer, part, a, b, f"{first.counts.wer:.2f}", f"{second.counts.wer:.2f}",
                         f"{first.counts.wer - second.counts.wer:.2f}", f"{low:.2f}", f"{high:.2f}", str(test_result.pieces),
                         f"{test_result.z:.3f}", f"{test_result.p:.4f}", better])
    return rows

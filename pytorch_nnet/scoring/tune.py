"""Chooses LM weight and insertion penalty on the dev set and applies them to the test set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError
from .wer import Counts, read_wer

Pair = tuple[float, float]  # LM weight, word insertion penalty
NEXT = "steps/score <data> <lang> <decode-dir>"
NEAR = 3  # LM weights at least so far apart have no say in one another's choice


@dataclass
class Tuned:
    """One system's errors at the pair chosen on dev, and at the test set's own best pair (for comparison only)."""

    pair: Pair
    dev: Counts
    test: Counts
    oracle_pair: Pair
    oracle: Counts
    at_edge: bool  # the chosen LM weight is the first or the last of the sweep: a wider one may find better


def read_sweep(decode_dir) -> dict[Pair, Counts]:
    """Reads every wer_<LMWT>_<WIP> of a decoding directory."""
    sweep = {}
    for path in Path(decode_dir).glob("wer_*"):
        match = re.fullmatch(r"wer_([\d.]+)_(-?[\d.]+)", path.name)
        if match:
            sweep[float(match[1]), float(match[2])] = read_wer(path)
    if not sweep:
        raise RecipeError("decoding directory without scores", file=decode_dir, expected="wer_<LMWT>_<WIP> files",
                          found="none", next=NEXT)
    return sweep


def lowest(sweep: dict[Pair, Counts]) -> Pair:
    """The pair with the lowest WER; of equals the one with the smaller LM weight, then the smaller penalty."""
    return min(sweep, key=lambda pair: (sweep[pair].errors / sweep[pair].words, *pair))


def choose(sweep: dict[Pair, Counts]) -> Pair:
    """The pair to use on another set: that with the lowest WER when its neighbours have a say.

    Hypotheses change little from an LM weight to the next, so a minimum that stands alone is luck of the words it was counted on. Errors are
    averaged over LM weights less than NEAR away, at the same penalty, with weights that fall with the distance. Of equals as `lowest`.
    """
    def smooth(pair: Pair) -> float:
        near = [(NEAR - abs(lmwt - pair[0]), counts.errors / counts.words) for (lmwt, wip), counts in sweep.items()
                if wip == pair[1] and abs(lmwt - pair[0]) < NEAR]
        return round(sum(weight * rate for weight, rate in near) / sum(weight for weight, _ in near), 9)

    return min(sweep, key=lambda pair: (smooth(pair), *pair))


def given_or_tuned(lmwt: float | None, wip: float | None, tuned_on: str) -> Pair:
    """The pair given (a penalty of 0 if only the LM weight is), or the one chosen on a decoding directory that was scored.

    Raises RecipeError for both at once, neither, or an LM weight that is not above 0.
    """
    if (lmwt is None) == (not tuned_on) or (lmwt is None and wip is not None):
        raise RecipeError("LM weight and insertion penalty are given, or tuned on a dev set", id="--lmwt, --wip, --tuned-on",
                          expected="--lmwt 10 --wip 0.5, or --tuned-on <decode-dir>", found="both" if tuned_on else "neither")
    if tuned_on:
        return choose(read_sweep(tuned_on))
    if lmwt is None or lmwt <= 0:
        raise RecipeError("bad value for an option", id="lmwt", expected="more than 0", found=lmwt)
    return lmwt, wip or 0.0


def tune(dev_dir, test_dir) -> Tuned:
    """Raises RecipeError if the pair chosen on dev was not scored on test."""
    dev, test = read_sweep(dev_dir), read_sweep(test_dir)
    pair = choose(dev)
    if pair not in test:
        raise RecipeError("the pair chosen on dev was not scored on test", file=test_dir,
                          id=f"LMWT {pair[0]:g}, WIP {pair[1]:g}",
                          expected="the same sweep on both", found=f"{len(test)} other pairs", next=NEXT)
    best = lowest(test)
    weights = sorted({lmwt for lmwt, _ in dev})
    at_edge = len(weights) > 1 and pair[0] in (weights[0], weights[-1])
    return Tuned(pair, dev[pair], test[pair], best, test[best], at_edge)

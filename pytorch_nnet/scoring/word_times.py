"""When words begin, by an alignment, beside when they do by a hand or by the voice that spoke them: both as CTM."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable

import numpy as np

from ..io.errors import RecipeError
from .stm import CtmWord, read_ctm

TOLERANCES = (0.01, 0.02, 0.03, 0.05, 0.1)  # seconds
PAUSE = 0.05  # seconds between two words of the reference, from which on they count as apart
ROUNDING = 1e-4  # seconds: as CTM files are written, 20 ms may read as 20.05


@dataclass
class Starts:
    """errors: (N,) seconds by which each word begins later than in the reference, without `offset`, their median.

    after_pause: (N,) whether the reference has a pause, or nothing, before the word. unmatched: words that the reference lacks.
    """

    errors: np.ndarray
    after_pause: np.ndarray
    offset: float
    unmatched: int

    def within(self, seconds: float, where: np.ndarray | slice = slice(None)) -> float:
        """Share of the words, of those at `where`, that begin at most so far from the reference; NaN of no words."""
        errors = self.errors[where]
        return float(np.mean(np.abs(errors) <= seconds + ROUNDING)) if len(errors) else float("nan")


def compare_starts(words: Iterable[CtmWord], reference: Iterable[CtmWord]) -> Starts:
    """Each word against the nearest in time of the same name, recording and channel.

    A constant offset is no error of an alignment (a frame's time may be that of its begin or of its middle), so the median is taken away.

    Raises:
      RecipeError: no word in common.
    """
    places: dict[tuple[str, str], list[CtmWord]] = defaultdict(list)
    for word in reference:
        places[word.file, word.channel].append(word)
    known: dict[tuple[str, str, str], list[tuple[float, bool]]] = defaultdict(list)
    for said in places.values():
        end = -np.inf
        for word in sorted(said, key=lambda word: word.begin):
            known[word.file, word.channel, word.word].append((word.begin, word.begin - end >= PAUSE))
            end = max(end, word.begin + word.duration)
    found, unmatched = [], 0
    for word in words:
        candidates = known.get((word.file, word.channel, word.word))
        if candidates:
            begin, paused = min(candidates, key=lambda one: abs(one[0] - word.begin))
            found.append((word.begin - begin, paused))
        else:
            unmatched += 1
    if not found:
        raise RecipeError("no word in common with the reference", expected=f"recordings such as {next(iter(places), 'any')}",
                          found=f"{unmatched} words, none of them there", next="compare file, channel and words of both")
    errors = np.array([error for error, _ in found])
    offset = float(np.median(errors))
    return Starts(errors - offset, np.array([paused for _, paused in found]), offset, unmatched)


def report(ctm, reference) -> str:
    """The comparison of two CTM files, as text."""
    starts = compare_starts(read_ctm(ctm), read_ctm(reference))
    groups = {"all": np.ones(len(starts.errors), bool), "after a pause": starts.after_pause, "after a word": ~starts.after_pause}
    lines = [f"{ctm}: starts of {len(starts.errors)} words against {reference}; not there: {starts.unmatched}",
             f"median {1000 * starts.offset:+.1f} ms, taken away", "",
             f"{'':<16}" + "".join(f"{name:>16}" for name in groups),
             f"{'words':<16}" + "".join(f"{where.sum():>16}" for where in groups.values())]
    lines += [f"within {1000 * seconds:>3.0f} ms   " + "".join(f"{100 * starts.within(seconds, where):>14.1f} %" for where in groups.values())
              for seconds in TOLERANCES]
    lines += [f"{'median, ms':<16}" + "".join(f"{1000 * np.median(starts.errors[where]):>+16.1f}" if where.any() else f"{'':>16}"
                                              for where in groups.values())]
    return "\n".join(lines) + "\n"

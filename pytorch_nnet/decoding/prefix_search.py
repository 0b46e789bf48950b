"""Prefix beam search for CTC: the units whose paths, summed, are the most probable, together with a language model (Hannun et al. 2014).

The best path of a graph counts one way of saying something; CTC learnt the sum over all ways. The search goes through the outputs with the
most promising beginnings of unit sequences, each with the probability of all paths that spell it, those that end with a blank apart from
those that end with the last unit, as only the former may put it out again. A beginning is valued at

    log P(units | x) + lm_weight log P(words) + word_bonus |words|

where the words and their probability come from LG (ctc_graph.py), walked along with the units: the same lexicon and grammar as in the graph
that k2 searches. A unit that leads nowhere in LG is not put out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Sequence

import numpy as np

from .k2_graph import K2Graph
from .openfst import FstArrays

NEVER = -math.inf


class Way(NamedTuple):
    """The best way to a state of a language model. score: log-probability; words: each with the number of units put out before it."""

    score: float
    words: tuple[tuple[int, int], ...]


Ways = dict[int, Way]  # by state


class Language(Protocol):
    """What may be said, and how probable it is."""

    def begin(self) -> Ways: ...

    def follow(self, ways: Ways, unit: int, position: int) -> Ways:
        """On by a unit, the position-th from 0; empty if nothing begins like that."""
        ...

    def end(self, ways: Ways, position: int, value) -> Way | None:
        """The best way that ends here, by value(way); None: there is none."""
        ...


class AnyUnits:
    """Everything may be said and is as probable."""

    def begin(self) -> Ways:
        return {0: Way(0.0, ())}

    def follow(self, ways: Ways, unit: int, position: int) -> Ways:
        return ways

    def end(self, ways: Ways, position: int, value) -> Way | None:
        return ways[0]


class GraphLanguage:
    """LG. Args: lg: its input labels are classes of units. classes: their number, with the blank."""

    def __init__(self, lg: FstArrays, classes: int):
        graph = K2Graph.from_hclg(lg, np.arange(-1, classes - 1), classes - 1)  # without epsilons, labels as they were
        order = np.arange(len(graph.arcs))
        row, word = graph.expand_words(graph.words)
        said: list[list[int]] = [[] for _ in order]
        for arc, number in zip(row.tolist(), word.tolist()):
            said[arc].append(number)
        self.arcs: dict[tuple[int, int], list[tuple[int, list[int], float]]] = {}  # by state and unit; -1: to the end
        for (src, dst, label), words, score in zip(graph.arcs[:, :3].tolist(), said, graph.scores.tolist()):
            self.arcs.setdefault((src, label), []).append((dst, words, score))

    def begin(self) -> Ways:
        return {0: Way(0.0, ())}

    def follow(self, ways: Ways, unit: int, position: int) -> Ways:
        found: Ways = {}
        for state, way in ways.items():
            for dst, words, score in self.arcs.get((state, unit), ()):
                if dst not in found or way.score + score > found[dst].score:
                    found[dst] = Way(way.score + score, way.words + tuple((word, position) for word in words))
        return found

    def end(self, ways: Ways, position: int, value) -> Way | None:
        ended = [Way(way.score + score, way.words + tuple((word, position) for word in words))
                 for state, way in ways.items() for _, words, score in self.arcs.get((state, -1), ())]
        return max(ended, key=value, default=None)


class Prefix:
    """The beginning of a unit sequence."""

    __slots__ = ("before", "following", "length", "unit", "ways", "worth")

    def __init__(self, before: "Prefix | None", unit: int, ways: Ways, worth: float):
        self.before, self.unit, self.ways, self.worth = before, unit, ways, worth
        self.length: int = before.length + 1 if before else 0
        self.following: dict[int, Prefix | None] = {}

    @property
    def units(self) -> tuple[int, ...]:
        found, prefix = [], self
        while prefix.before:
            found.append(prefix.unit)
            prefix = prefix.before
        return tuple(reversed(found))


@dataclass(frozen=True)
class Hypothesis:
    """units: classes. log_prob: of all paths that spell them. way: score and words in the language."""

    units: tuple[int, ...]
    log_prob: float
    way: Way


@dataclass(frozen=True)
class PrefixSearch:
    """prefixes: how many are followed at once. least: units less probable than this at an output are not put out there.

    Called with a `factor` on the number of prefixes, for an utterance that found no end before, `least` is that many times ten times less.
    """

    language: Language
    lm_weight: float = 1.0
    word_bonus: float = 0.0
    prefixes: int = 100
    least: float = 1e-4

    def value(self, way: Way) -> float:
        return self.lm_weight * way.score + self.word_bonus * len(way.words)

    def __call__(self, log_probs: np.ndarray, factor: int = 1) -> list[Hypothesis]:
        """(T, K) log-probabilities -> hypotheses by falling value, at most `prefixes` times `factor`; none if nothing could be ended."""
        root = Prefix(None, 0, self.language.begin(), 0.0)
        beam: dict[Prefix, tuple[float, float]] = {root: (0.0, NEVER)}  # log-probability of the paths that end with a blank, and of the others
        least = math.log(self.least) - (factor - 1) * math.log(10) if self.least > 0 else NEVER
        for row in np.asarray(log_probs, np.float64):
            likely = [(unit, score) for unit, score in enumerate(row.tolist()) if unit and score >= least]
            beam = self.pruned(self.advanced(beam, likely, row), self.prefixes * factor)
        found = []
        for prefix, (blank, last) in beam.items():
            way = self.language.end(prefix.ways, prefix.length, self.value)
            if way is not None:
                found.append(Hypothesis(prefix.units, add(blank, last), way))
        return sorted(found, key=lambda one: (-one.log_prob - self.value(one.way), one.units))

    def advanced(self, beam: dict[Prefix, tuple[float, float]], likely: Sequence[tuple[int, float]],
                 row: np.ndarray) -> dict[Prefix, tuple[float, float]]:
        """By one output."""
        blank_score = float(row[0])
        after: dict[Prefix, tuple[float, float]] = {}
        for prefix, (blank, last) in beam.items():
            both = add(blank, last)
            old = after.get(prefix, (NEVER, NEVER))
            again = last + float(row[prefix.unit]) if prefix.before else NEVER
            after[prefix] = add(old[0], both + blank_score), add(old[1], again)
            for unit, score in likely:
                reached = blank if unit == prefix.unit else both
                longer = self.longer(prefix, unit) if reached > NEVER else None
                if longer is not None:
                    old = after.get(longer, (NEVER, NEVER))
                    after[longer] = old[0], add(old[1], reached + score)
        return after

    def longer(self, prefix: Prefix, unit: int) -> Prefix | None:
        if unit not in prefix.following:
            ways = self.language.follow(prefix.ways, unit, prefix.length)
            prefix.following[unit] = Prefix(prefix, unit, ways, max(map(self.value, ways.values()))) if ways else None
        return prefix.following[unit]

    def pruned(self, beam: dict[Prefix, tuple[float, float]], most: int) -> dict[Prefix, tuple[float, float]]:
        if len(beam) <= most:
            return beam
        valued = sorted(((add(*scores) + prefix.worth, -number) for number, (prefix, scores) in enumerate(beam.items())), reverse=True)[:most]
        kept, items = {-number for _, number in valued}, list(beam.items())
        return dict(items[number] for number in sorted(kept))


def add(first: float, second: float) -> float:
    """log(exp(first) + exp(second))"""
    if first < second:
        first, second = second, first
    return first if second == NEVER else first + math.log1p(math.exp(second - first))


def unit_outputs(log_probs: np.ndarray, units: Sequence[int]) -> list[int]:
    """The outputs at which the best path for these units puts each of them out first, (T, K) being log-probabilities.

    Raises:
      ValueError: there is no path.
    """
    scores = np.asarray(log_probs, np.float64)
    labels = np.zeros(2 * len(units) + 1, int)  # blank, unit, blank, ...
    labels[1::2] = units
    skips = np.zeros(len(labels), bool)  # may be reached from two before: a unit that differs from the last one
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    best, steps = np.full(len(labels), NEVER), np.zeros((len(scores), len(labels)), int)
    best[:2] = scores[0, labels[:2]]
    for output, row in enumerate(scores[1:], 1):
        reached = np.stack([best, np.append(NEVER, best[:-1]), np.where(skips, np.append([NEVER, NEVER], best)[:len(best)], NEVER)])
        steps[output] = reached.argmax(0)
        best = reached.max(0) + row[labels]
    place = len(labels) - 1 - int(len(labels) > 1 and best[-2] > best[-1])
    if best[place] == NEVER:
        raise ValueError(f"no path of {len(scores)} outputs puts out {len(units)} units")
    places = [place]
    for output in range(len(scores) - 1, 0, -1):
        place -= steps[output, place]
        places.append(place)
    path = np.array(places[::-1])
    return [int(np.argmax(path == 2 * number + 1)) for number in range(len(units))]

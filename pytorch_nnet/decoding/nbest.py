"""The best word sequences of a lattice, each once, in exact order (Kaldi: lattice-to-nbest, which determinizes first).

Best-first search over beginnings of sentences: a beginning stands for all paths that say its words, and its cost is that of the best
way on to the end, known from one backward Viterbi pass. So the lattice is determinized where the search goes, and nowhere else.
"""

from __future__ import annotations

import bisect
import heapq
import math
from dataclasses import dataclass

import numpy as np

from .lattice import Lattice

MARGIN = 1e-6  # costs of equal paths differ by rounding


@dataclass
class Hypothesis:
    """A word sequence with the scores of its best path: am and graph as in a lattice."""

    words: tuple[int, ...]
    am: float
    graph: float


Way = tuple[float, float, float]  # cost, am, graph of the best way to a state


def nbest(lattice: Lattice, n: int, lmwt: float, wip: float) -> list[Hypothesis]:
    """The n word sequences of least cost -am / LMWT - graph + WIP * words, in that order; all of them if there are fewer."""
    search = Search(lattice, lmwt, wip)
    end = len(lattice.states) - 1
    best = search.onward[0]
    # (cost with the best way on, words, whether the sentence is over, best ways to the states after the last word)
    heap: list[tuple[float, tuple[int, ...], bool, dict[int, Way]]] = [(best, (), False, {0: (0.0, 0.0, 0.0)})]
    # The least costs of what the search has not taken apart: no two stand for one sequence, so the n-th bounds the n-th best.
    bounds = [best]
    found: list[Hypothesis] = []
    while heap and len(found) < n:
        cost, words, over, ways = heapq.heappop(heap)
        if over:
            _, am, graph = ways[end]
            found.append(Hypothesis(words, am, graph))
            continue
        bound = (bounds[n - 1] if len(bounds) >= n else math.inf) + MARGIN
        del bounds[bisect.bisect_left(bounds, cost)]
        for word, after in search.extend(ways, bound).items():
            if word:
                item = min(way[0] + search.onward[state] for state, way in after.items()), (*words, word), False, after
            else:
                item = after[end][0], words, True, after
            heapq.heappush(heap, item)
            bisect.insort(bounds, item[0])
        del bounds[n:]
    return found


class Search:
    """Arcs by state, and onward: the cost of the best way from each state to the end."""

    def __init__(self, lattice: Lattice, lmwt: float, wip: float):
        arcs = lattice.arcs
        cost = -arcs["am"] / np.float64(lmwt) - arcs["graph"] + wip * (arcs["word"] != 0)
        self.end = len(lattice.states) - 1
        self.onward = lattice.onward(cost, np.minimum).tolist()
        order, leave = lattice.exits()
        rows = list(zip(*(column[order].tolist() for column in (arcs["dst"], arcs["word"], cost, arcs["am"], arcs["graph"]))))
        self.exits = [rows[begin:stop] for begin, stop in zip(leave[:-1].tolist(), leave[1:].tolist())]

    def extend(self, ways: dict[int, Way], bound: float) -> dict[int, dict[int, Way]]:
        """Ways that say one word more, by that word; under 0 the ways to the end that say none. None of them leads to a path above
        `bound`."""
        ways = dict(ways)
        found: dict[int, dict[int, Way]] = {}
        queue = list(ways)
        heapq.heapify(queue)
        while queue:  # in order of the states' numbers, so that all ways to a state are known when it comes
            state = heapq.heappop(queue)
            cost, am, graph = ways[state]
            if state == self.end:
                found[0] = {state: ways[state]}
            for dst, word, arc_cost, arc_am, arc_graph in self.exits[state]:
                total = cost + arc_cost
                if total + self.onward[dst] > bound:
                    continue
                reached = found.setdefault(word, {}) if word else ways
                known = reached.get(dst)
                if known is None and not word:
                    heapq.heappush(queue, dst)
                if known is None or total < known[0]:
                    reached[dst] = total, am + arc_am, graph + arc_graph
        return found

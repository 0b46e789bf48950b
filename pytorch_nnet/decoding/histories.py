"""Lattices whose states know what was said before them, as far as it matters: to a language model, or to the word being spoken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from .lattice import Lattice

# (history, word) -> (history after the word, number of this step, 1 or more). Histories are numbers, 0 that of the beginning.
Step = Callable[[int, int], tuple[int, int]]


@dataclass
class Expanded:
    """A lattice whose states are split by history; paths are what they were, with their words, times and scores.

    Parallel arrays of arcs: src, dst; arc: number of the arc of the lattice; step: number of its word's step, 0 for a wordless
    one; ending: number of the step of the sentence's end, 0 unless the arc leads to the end. Of states: frame. src < dst.
    """

    src: np.ndarray
    dst: np.ndarray
    arc: np.ndarray
    step: np.ndarray
    ending: np.ndarray
    frame: np.ndarray

    def rebuilt(self, lattice: Lattice, graph: np.ndarray) -> Lattice:
        """The expanded lattice, with the graph scores given."""
        arcs = lattice.arcs[self.arc]
        return Lattice.build(self.src, self.dst, arcs["word"], arcs["am"], graph, self.frame)


@dataclass
class Beam:
    """Which paths are to be kept: those whose cost -acwt * am - graph is less than `width` above the best path's."""

    acwt: float
    width: float

    def costs(self, lattice: Lattice) -> tuple[list[int], list[int]]:
        """Of each arc: its cost, and the most that a way to it may cost.

        In whole millionths, whose sums are exact: a state that a way reaches within the beam has a way on within it.
        """
        cost = np.rint(1e6 * (-self.acwt * lattice.arcs["am"].astype(np.float64) - lattice.arcs["graph"])).astype(np.int64)
        onward = lattice.onward(cost, np.minimum)
        room = onward[0] + int(1e6 * self.width) - cost - onward[lattice.arcs["dst"]]
        return cost.tolist(), room.tolist()


def expand(lattice: Lattice, step: Step, end_word: int | None = None, beam: Beam | None = None) -> Expanded:
    """Splits every state of a lattice into one for each history that ways to it leave; the end stays one.

    Args:
      end_word: what `step` is asked for where a path ends; None: nothing.
      beam: None keeps every path. Otherwise some that are further from the best are kept too, where they share all their states with
        paths within the beam; deep lattices have many paths that only combine one unlikely beginning with another unlikely end, and
        keeping them all can multiply the arcs by twenty.
    """
    end = len(lattice.states) - 1
    split: list[dict[int, int]] = [{} for _ in range(end + 1)]  # of each state: {history: number of the new state}
    split[0][0] = 0
    states = [0]  # the old state of every new one
    best = [0]  # the cost of the best way to it
    sources, targets, arcs, steps, endings = [], [], [], [], []
    costs, rooms = beam.costs(lattice) if beam else ([0] * len(lattice.arcs),) * 2
    columns = (lattice.arcs[name].tolist() for name in ("src", "dst", "word"))
    # Arcs are sorted by dst, and src < dst: all histories of src are known when an arc comes, and new states are numbered in the
    # order of the old.
    for number, (src, dst, word, cost, room) in enumerate(zip(*columns, costs, rooms)):
        known = split[dst]
        for history, source in split[src].items():
            if best[source] > room:
                continue
            taken = ending = 0
            if word:
                history, taken = step(history, word)
            if dst == end:
                if end_word is not None:
                    ending = step(history, end_word)[1]
                history = 0
            target = known.get(history)
            if target is None:
                target = known[history] = len(states)
                states.append(dst)
                best.append(best[source] + cost)
            elif best[source] + cost < best[target]:
                best[target] = best[source] + cost
            sources.append(source)
            targets.append(target)
            arcs.append(number)
            steps.append(taken)
            endings.append(ending)
    src, dst, arc, of_word, of_end = (np.array(column, np.int32) for column in (sources, targets, arcs, steps, endings))
    return Expanded(src, dst, arc, of_word, of_end, lattice.states["frame"][states])

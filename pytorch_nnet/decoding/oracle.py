"""The path of a lattice with the fewest errors against a reference (Kaldi: lattice-oracle), by dynamic programming over pairs of a
state and a place in the reference."""

from __future__ import annotations

from typing import Mapping, Sequence

import numpy as np

from .lattice import Lattice


def with_tokens(lattice: Lattice, tokens: Mapping[int, Sequence[int]]) -> Lattice:
    """The lattice with each word, by word-id, replaced by none, one or several tokens (positive numbers); the scores are zero."""
    src: list[int] = []
    dst: list[int] = []
    token: list[int] = []
    home = list(range(len(lattice.states)))  # of each state, old or new: the old one that it follows
    for start, stop, word in zip(*(lattice.arcs[name].tolist() for name in ("src", "dst", "word"))):
        row = (tokens[word] if word else ()) or (0,)
        states = [start, *range(len(home), len(home) + len(row) - 1), stop]
        home += [start] * (len(row) - 1)
        src += states[:-1]
        dst += states[1:]
        token += row
    order = np.argsort(home, kind="stable")  # keeps src < dst
    number = np.empty(len(home), np.int32)
    number[order] = np.arange(len(home))
    nothing = np.zeros(len(src), np.float32)
    return Lattice.build(number[src], number[dst], token, nothing, nothing, lattice.states["frame"][home][order])


def oracle(lattice: Lattice, reference: Sequence[int]) -> tuple[int, list[int]]:
    """The fewest insertions, deletions and substitutions of any path, and the words of one such path."""
    length = len(reference)
    places = np.arange(length + 1, dtype=np.int32)
    src, word = lattice.arcs["src"], lattice.arcs["word"]
    spoken = (word > 0)[:, None]
    wrong = np.asarray(reference, np.int32)[None, :] != word[:, None]  # (A, length)
    entry = lattice.entry()
    errors = np.empty((len(lattice.states), length + 1), np.int32)  # fewest on any way to the state, so much of the reference gone
    errors[0] = places

    def entering(begin: int, stop: int) -> np.ndarray:
        """Errors on the ways that end with each of these arcs; words of the reference deleted after it are left to the state."""
        before = errors[src[begin:stop]]
        after = before + spoken[begin:stop]
        said = after[:, 1:]
        np.minimum(said, before[:, :-1] + wrong[begin:stop], out=said, where=spoken[begin:stop])
        return after

    for low, high in lattice.levels():
        begin, stop = entry[low], entry[high]
        best = np.minimum.reduceat(entering(begin, stop), entry[low:high] - begin, axis=0)
        errors[low:high] = np.minimum.accumulate(best - places, axis=1) + places

    words: list[int] = []
    state, place = len(lattice.states) - 1, length
    while state:
        begin, stop = entry[state], entry[state + 1]
        ways = entering(begin, stop)[:, place]
        arc = begin + int(ways.argmin())
        if ways.min() > errors[state, place]:
            place -= 1  # deleted
            continue
        if word[arc]:
            words.append(int(word[arc]))
            if place and errors[src[arc], place - 1] + wrong[arc, place - 1] == errors[state, place]:
                place -= 1
        state = src[arc]
    return int(errors[-1, -1]), words[::-1]

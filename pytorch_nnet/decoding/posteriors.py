"""Posterior probabilities of a lattice's arcs, and from them confidences of words.

A path has the weight exp(am / LMWT + graph - WIP * words), which lattice-scale and lattice-add-penalty give it in Kaldi's
get_ctm_conf.sh; weights are divided by their sum.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from .histories import expand
from .lattice import Lattice


def arc_posteriors(lattice: Lattice, lmwt: float, wip: float) -> np.ndarray:
    """(A,) float64: the share of all paths' weight that goes through each arc, by the forward-backward algorithm."""
    arcs = lattice.arcs
    src, dst = arcs["src"], arcs["dst"]
    weight = arcs["am"] / np.float64(lmwt) + arcs["graph"] - wip * (arcs["word"] != 0)
    entry = lattice.entry()
    alpha = np.zeros(len(lattice.states))
    for low, high in lattice.levels():
        begin, stop = entry[low], entry[high]
        alpha[low:high] = np.logaddexp.reduceat(alpha[src[begin:stop]] + weight[begin:stop], entry[low:high] - begin)
    return np.exp(alpha[src] + weight + lattice.onward(weight, np.logaddexp)[dst] - alpha[-1])


def spoken(lattice: Lattice) -> tuple[Lattice, np.ndarray]:
    """The lattice with its states split so that each has one last word before it, and the word spoken on each arc.

    A word belongs to the beginning of its arc, and the wordless arcs after it to the rest of the word and to the pause that follows:
    the word spoken on an arc, (A,) word-ids, is its own or else the last one; 0 before the first.
    """
    expanded = expand(lattice, lambda _, word: (word, 1))
    split = expanded.rebuilt(lattice, lattice.arcs["graph"][expanded.arc])
    last = [0] * len(split.states)
    for src, dst, word in zip(*(split.arcs[name].tolist() for name in ("src", "dst", "word"))):
        last[dst] = word or last[src]
    return split, np.where(split.arcs["word"] > 0, split.arcs["word"], np.array(last)[split.arcs["src"]])


def confidences(lattice: Lattice, path: Sequence[tuple[int, int]], lmwt: float, wip: float) -> list[float]:
    """The confidence of each word of a path: C_max of Wessel et al. (2001).

    That is the largest, over the frames from the word's emission to the next word's, of the posterior probability that this word,
    whenever it began, is being spoken. At a frame every path speaks one word, so no confidence is above 1.

    Args:
      path: (word-id, frame where it was emitted), as from `timed_paths`.
    """
    if not path:
        return []
    split, word = spoken(lattice)
    words = sorted({number for number, _ in path})
    row = np.searchsorted(words, word)
    ours = np.flatnonzero(np.array([*words, -1])[row] == word)
    begin, stop = (split.states["frame"][split.arcs[name][ours]] for name in ("src", "dst"))
    stop = np.maximum(stop, begin + (split.arcs["word"][ours] > 0))  # a word that the next one follows at once has its frame too
    posterior = arc_posteriors(split, lmwt, wip)[ours]
    width = lattice.num_frames + 2
    size, row = len(words) * width, row[ours] * width
    change = np.bincount(row + begin, posterior, size) - np.bincount(row + stop, posterior, size)
    occupied = np.cumsum(change.reshape(len(words), width), axis=1)
    ends = [frame for _, frame in path[1:]] + [lattice.num_frames]
    # Above 1 by rounding, or where a word stands twice at one frame.
    return [min(1.0, float(occupied[words.index(number), frame:max(end, frame + 1)].max()))
            for (number, frame), end in zip(path, ends)]

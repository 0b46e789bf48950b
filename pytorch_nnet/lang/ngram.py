"""Interpolated modified Kneser-Ney n-grams (Chen and Goodman 1999, section 3).

    P(w | h) = (c(hw) - D(c(hw))) / c(h.) + gamma(h) P(w | h'),    gamma(h) = sum_k D_k N_k(h) / c(h.)

h' is h without its first word; c is the raw count in the highest order, and below it the number of different words seen
before the n-gram (raw where the n-gram begins with <s>, before which nothing stands). D_1, D_2 and D_3 (for 3 and more)
follow from the counts of counts; c(h.) sums c over the words after h, N_k(h) counts those with c = k (k = 3: 3 or
more). The recursion ends in the uniform distribution over the closed vocabulary and </s>, so every word of it has a
probability, seen or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

import numpy as np

from ..io.errors import RecipeError
from .arpa import NEVER, NgramModel, Order

# Used for an order whose counts of counts give no valid discounts, as in a text of a few sentences; KenLM's values.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)


def estimate(text: Iterable[Sequence[str]], vocabulary: Sequence[str], order: int = 3,
             unk: str = "<unk>") -> NgramModel:
    """Estimates an n-gram model.

    Args:
      text: sentences without <s> and </s>.
      vocabulary: every word that may be predicted; words of the text outside it become `unk`.
      unk: added to the vocabulary if it is not there.
    Returns:
      the model; its words are <s>, </s>, then the vocabulary in C order.
    """
    words = ["<s>", "</s>", *sorted({*vocabulary, unk}, key=str.encode)]
    ids = {word: number for number, word in enumerate(words)}
    stream: list[int] = []
    starts: list[int] = []
    for sentence in text:
        starts.append(len(stream))
        stream += [0, *(ids.get(word, ids[unk]) for word in sentence), 1]
    if not starts or order < 1:
        raise RecipeError("no language model to estimate", expected="at least one sentence, order >= 1",
                          found=f"{len(starts)} sentences, order {order}")
    # More boundaries than sentences would let an n-gram run across one.
    if len(words) != len(ids) or stream.count(0) + stream.count(1) != 2 * len(starts):
        raise RecipeError("sentence boundary among the words", expected="no <s> or </s> in the text or the vocabulary",
                          found="one of them")
    levels = collect(np.array(stream), np.array(starts), len(words), order)
    return interpolate(words, levels)


@dataclass
class Level:
    """The n-grams of one order, int64 (M,) each, sorted by (parent, word)."""

    parent: np.ndarray  # row, in the level below, of the n-gram without its last word
    word: np.ndarray  # last word
    first: np.ndarray  # first word
    suffix: np.ndarray  # row, in the level below, of the n-gram without its first word
    count: np.ndarray


def collect(stream: np.ndarray, starts: np.ndarray, size: int, order: int) -> list[Level]:
    """Finds the n-grams of every order and their adjusted counts, sorted by (parent, word).

    Args:
      stream: word ids of all sentences, each <s> ... </s>. starts: where the sentences start. size: number of words.
    """
    sentence = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(stream))))
    row_at = stream.astype(np.int64)  # row of the n-gram starting at each position, n growing; -1 across a boundary
    none, every = np.zeros(size, np.int64), np.arange(size)
    levels = [Level(none, every, every, none, np.bincount(stream, minlength=size))]
    for n in range(2, order + 1):
        position = np.flatnonzero(sentence[n - 1:] == sentence[:len(sentence) - n + 1])
        key = row_at[position] * size + stream[position + n - 1]
        keys, first, inverse, raw = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        parent = keys // size
        levels.append(Level(parent, keys % size, levels[-1].first[parent], row_at[position[first] + 1], raw))
        row_at = np.full(len(stream), -1)
        row_at[position] = inverse
    for lower, upper in zip(levels, levels[1:]):
        continuations = np.bincount(upper.suffix, minlength=len(lower.word))
        lower.count = np.where(lower.first == 0, lower.count, continuations)
    levels[0].count[0] = 0  # <s> is never predicted
    return levels


def discounts(counts: np.ndarray) -> np.ndarray:
    """D by count 0, 1, 2, 3+ (Chen and Goodman 1999, equation 17), or FALLBACK_DISCOUNTS where one is not in (0, k]."""
    t = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = t[1] / (t[1] + 2 * t[2])
        found = [k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3)]
    if not all(0 < d <= k for k, d in enumerate(found, 1)):  # NaN fails too
        found = list(FALLBACK_DISCOUNTS)
    return np.array([0.0, *found])


def interpolate(words: list[str], levels: list[Level]) -> NgramModel:
    """Turns adjusted counts into interpolated probabilities and the back-off weights that reproduce them."""
    lower = np.full(1, 1.0 / (len(words) - 1))  # the vocabulary and </s>, not <s>
    orders: list[Order] = []
    for n, level in enumerate(levels, 1):
        histories = len(levels[n - 2].word) if n > 1 else 1
        removed = discounts(level.count)[np.minimum(level.count, 3)]
        total = np.bincount(level.parent, weights=level.count, minlength=histories)
        with np.errstate(invalid="ignore"):
            gamma = np.where(total > 0, np.bincount(level.parent, weights=removed, minlength=histories) / total, 1.0)
        if n > 1:
            orders[-1].backoff = np.log10(gamma)
        lower = (level.count - removed) / total[level.parent] + gamma[level.parent] * lower[level.suffix]
        logprob = np.log10(lower)
        if n == 1:
            logprob[0] = NEVER
        orders.append(Order(level.parent.astype(np.int64), level.word.astype(np.int64), logprob,
                            np.zeros(len(level.word))))
    return NgramModel(words, orders)

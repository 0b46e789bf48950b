"""Interpolated modified Kneser-Ney n-grams (Chen and Goodman 1999, section 3).

    P(w | h) = (c(hw) - D(c(hw))) / c(h.) + gamma(h) P(w | h'),    gamma(h) = sum_k D_k N_k(h) / c(h.)

h' is h without its first word; c is the raw count in the highest order, and below it the number of different words seen
before the n-gram (raw where the n-gram begins with <s>, before which nothing stands). D_1, D_2 and D_3 (for 3 and more)
follow from the counts of counts; c(h.) sums c over the words after h, N_k(h) counts those with c = k (k = 3: 3 or
more). The recursion ends in the uniform distribution over the closed vocabulary and </s>, so every word of it has a
probability, seen or not.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Iterable, Sequence

import numpy as np

from ..io.errors import RecipeError
from .model import NEVER, NgramModel, Order, text_size

# Used for an order whose counts of counts give no valid discounts, as in a text of a few sentences; KenLM's values.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)


@dataclass
class Text:
    """Sentences as word ids, four bytes a word.

    words: <s>, </s>, then the vocabulary in C order. stream: all sentences, each <s> ... </s>. starts: where they start.
    unknown: how often each word outside the vocabulary occurred.
    """

    words: list[str]
    stream: array = field(default_factory=lambda: array("i"))
    starts: array = field(default_factory=lambda: array("i"))
    unknown: Counter = field(default_factory=Counter)

    @property
    def size(self) -> int:
        """Words, without the boundaries of sentences."""
        return len(self.stream) - 2 * len(self.starts)

    def report(self, name: str) -> str:
        return f"{name}: {text_size(len(self.starts), self.size, self.unknown.total())}, vocabulary of {len(self.words) - 2}"


def encode(sentences: Iterable[Sequence[str]], vocabulary: Sequence[str], unk: str = "<unk>") -> Text:
    """Turns sentences without <s> and </s> into ids, one sentence in memory at a time.

    Args:
      vocabulary: every word that may be predicted; words of the text outside it become `unk`.
      unk: added to the vocabulary if it is not there.
    """
    text = Text(["<s>", "</s>", *sorted({*vocabulary, unk}, key=str.encode)])
    ids = {word: number for number, word in enumerate(text.words)}
    unknown = ids[unk]
    for sentence in sentences:
        text.starts.append(len(text.stream))
        numbers = [ids.get(word, unknown) for word in sentence]
        if unknown in numbers:
            text.unknown.update(word for word in sentence if word not in ids)
        text.stream.extend([0, *numbers, 1])
        # More boundaries than sentences would let an n-gram run across one.
        if len(ids) != len(text.words) or 0 in numbers or 1 in numbers:
            raise RecipeError("sentence boundary among the words", expected="no <s> or </s> in the text or the vocabulary",
                              found=" ".join(sentence))
    return text


def estimate(sentences: Iterable[Sequence[str]], vocabulary: Sequence[str], order: int = 3, unk: str = "<unk>") -> NgramModel:
    """Estimates an n-gram model; see `encode` for the arguments."""
    return estimate_encoded(encode(sentences, vocabulary, unk), order)


def estimate_encoded(text: Text, order: int) -> NgramModel:
    if not text.starts or order < 1:
        raise RecipeError("no language model to estimate", expected="at least one sentence, order >= 1",
                          found=f"{len(text.starts)} sentences, order {order}")
    levels = collect(np.frombuffer(text.stream, np.int32), np.frombuffer(text.starts, np.int32), len(text.words), order)
    return interpolate(text.words, levels)


@dataclass
class Level:
    """The n-grams of one order, int32 (M,) each, sorted by (parent, word)."""

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
    left = np.repeat(np.append(starts[1:], len(stream)), np.diff(np.append(starts, len(stream)))) - np.arange(len(stream))
    left = left.astype(np.int32)  # words from each position to the end of its sentence
    row_at = stream  # row of the n-gram starting at each position, n growing; meaningless where it would cross a boundary
    none, every = np.zeros(size, np.int32), np.arange(size, dtype=np.int32)
    levels = [Level(none, every, every, none, np.bincount(stream, minlength=size).astype(np.int32))]
    for n in range(2, order + 1):
        position = np.flatnonzero(left >= n)
        keys, one, rank, raw = distinct(row_at[position].astype(np.int64) * size + stream[position + n - 1])
        parent, word = (part.astype(np.int32) for part in np.divmod(keys, size))
        levels.append(Level(parent, word, levels[-1].first[parent], row_at[position[one] + 1], raw))
        row_at = np.zeros(len(stream), np.int32)
        row_at[position] = rank
    for lower, upper in zip(levels, levels[1:]):
        continuations = np.bincount(upper.suffix, minlength=len(lower.word)).astype(np.int32)
        lower.count = np.where(lower.first == 0, lower.count, continuations)
    levels[0].count[0] = 0  # <s> is never predicted
    return levels


def distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """numpy.unique in half the memory: the different keys sorted, the place of one of each, the rank of every key, counts."""
    place = np.argsort(keys, kind="stable")
    keys = keys[place]
    begin = np.flatnonzero(np.diff(keys, prepend=-1))
    count = np.diff(begin, append=len(keys)).astype(np.int32)
    rank = np.empty(len(keys), np.int32)
    rank[place] = np.repeat(np.arange(len(begin), dtype=np.int32), count)
    return keys[begin], place[begin], rank, count


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
        orders.append(Order(level.parent, level.word, logprob, np.zeros(len(level.word))))
    return NgramModel(words, orders)

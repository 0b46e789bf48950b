"""Back-off n-gram models in memory, and the perplexity they give.

An n-gram is a row of the table of its order: the row of its first n-1 words in the table below (`parent`) and its last
word (`word`). Rows are sorted by (parent, word), so a look-up is a binary search, and a text is scored in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence

import numpy as np

NEVER = -99.0  # the ARPA way to write log10(0), for <s>, which is only ever a history
BLOCK = 1 << 16  # n-grams or words handled at once: enough for full speed, little memory


@dataclass
class Order:
    """All n-grams of one order, M rows sorted by (parent, word); log10 probabilities and back-off weights."""

    parent: np.ndarray  # int32 (M,); 0 for unigrams
    word: np.ndarray  # int32 (M,)
    logprob: np.ndarray  # float64 (M,)
    backoff: np.ndarray  # float64 (M,); 0 for histories without continuations

    def __len__(self) -> int:
        return len(self.word)

    def keys(self, size: int) -> np.ndarray:
        """One int64 an n-gram, in rising order, given the number of words."""
        return self.parent.astype(np.int64) * size + self.word


@dataclass
class NgramModel:
    """Row i of orders[0] is word i of `words`, which holds <s> and </s>."""

    words: list[str]
    orders: list[Order]

    def __post_init__(self) -> None:
        self.ids = {word: number for number, word in enumerate(self.words)}

    def find(self, n: int, parent: np.ndarray, word: np.ndarray) -> np.ndarray:
        """Rows of n-grams of order n given by parent row and word; -1 where there is none (or parent is -1)."""
        if n == 1:
            return np.asarray(word)
        order, size = self.orders[n - 1], len(self.words)
        if not len(order):
            return np.full(np.shape(word), -1)
        keys, wanted = order.keys(size), parent.astype(np.int64) * size + word
        rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((parent >= 0) & (keys[rows] == wanted), rows, -1)

    def logprobs(self, grams: np.ndarray) -> np.ndarray:
        """log10 P(last word | words before it) of each row of word ids, backing off where needed.

        Args:
          grams: int (M, n), n at most the model's order.
        """
        grams = np.asarray(grams, dtype=np.int64)
        length = grams.shape[1]
        # rows[k][j]: row of the n-gram of order k + 1 that starts at word j
        rows = [grams.T]
        for n in range(2, length + 1):
            rows.append(np.stack([self.find(n, rows[-1][j], grams[:, j + n - 1]) for j in range(length - n + 1)]))
        result = self.orders[0].logprob[grams[:, -1]]
        for n in range(2, length + 1):
            full, history, order = rows[n - 1][length - n], rows[n - 2][length - n], self.orders[n - 1]
            result = chosen(order.logprob, full, result + chosen(self.orders[n - 2].backoff, history, np.zeros(len(grams))))
        return result

    def score(self, sentence: Sequence[int]) -> np.ndarray:
        """log10 probabilities of the words of a sentence and of </s>, given <s> (word ids)."""
        return self.logprobs(self.windows([*sentence, self.ids["</s>"]]))

    def windows(self, predicted: Sequence[int]) -> np.ndarray:
        """Rows of the last n words up to each predicted one; before <s> stand more <s>, which no n-gram holds."""
        order = len(self.orders)
        padded = np.array([self.ids["<s>"]] * max(order - 1, 1) + list(predicted), dtype=np.int64)
        return np.lib.stride_tricks.sliding_window_view(padded, order)[-len(predicted):]

    def grams(self, n: int, rows: np.ndarray) -> np.ndarray:
        """Word ids (M, n) int32 of rows of order n."""
        result = np.empty((len(rows), n), np.int32)
        for k in range(n, 0, -1):
            result[:, k - 1] = self.orders[k - 1].word[rows]
            rows = self.orders[k - 1].parent[rows]
        return result

    def sizes(self) -> str:
        return ", ".join(f"{len(order)} {n}-grams" for n, order in enumerate(self.orders, 1))


def chosen(values: np.ndarray, rows: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """values[rows], and `otherwise` where a row is -1."""
    known = rows >= 0
    otherwise[known] = values[rows[known]]
    return otherwise


def sorted_model(words: list[str], unsorted: Iterable[Order]) -> NgramModel:
    """A model of tables in any order, whose parents are rows of the unsorted table below; unigrams are in their place."""
    orders: list[Order] = []
    renumber = np.zeros(1, np.int32)
    for n, table in enumerate(unsorted, 1):
        parent = renumber[table.parent]
        place = np.arange(len(words)) if n == 1 else np.lexsort((table.word, parent))
        renumber = np.empty(len(place), np.int32)
        renumber[place] = np.arange(len(place), dtype=np.int32)
        orders.append(Order(parent[place], table.word[place], table.logprob[place], table.backoff[place]))
    return NgramModel(words, orders)


@dataclass
class Perplexity:
    sentences: int
    words: int
    oov: int
    logprob: float  # log10, of all known words and sentence ends

    @property
    def value(self) -> float:
        return 10.0 ** (-self.logprob / max(self.words - self.oov + self.sentences, 1))

    def report(self, name: str) -> str:
        return f"{name}: {text_size(self.sentences, self.words, self.oov)}, perplexity {self.value:.2f}"


def text_size(sentences: int, words: int, oov: int) -> str:
    return f"{sentences} sentences, {words} words, {oov} OOV ({100.0 * oov / max(words, 1):.2f} %)"


def predictions(text: Iterable[Sequence[str]], model: NgramModel, unk: str) -> Iterator[tuple[np.ndarray, int, int]]:
    """Sentence by sentence: the windows (M, n) of its known words and its end, its number of words, that of OOVs.

    An OOV stands as `unk` in histories and is not predicted.
    """
    # Without `unk` in the model any id does: no n-gram of </s> followed by a word exists, so it backs off.
    stand_in = model.ids.get(unk, model.ids["</s>"])
    for sentence in text:
        ids = [model.ids.get(word, -1) for word in sentence]
        known = np.array([number >= 0 for number in ids] + [True])
        predicted = [stand_in if number < 0 else number for number in ids] + [model.ids["</s>"]]
        yield model.windows(predicted)[known], len(ids), ids.count(-1)


def perplexity(text: Iterable[Sequence[str]], model: NgramModel, unk: str = "<unk>") -> Perplexity:
    """Perplexity of sentences with their ends; OOVs are counted apart, and stand as `unk` in histories."""
    sum_, sentences, words, oov = 0.0, 0, 0, 0
    waiting: list[np.ndarray] = []
    size = 0
    for windows, length, unknown in predictions(text, model, unk):
        waiting.append(windows)
        sentences, words, oov, size = sentences + 1, words + length, oov + unknown, size + len(windows)
        if size >= BLOCK:
            sum_ += float(model.logprobs(np.concatenate(waiting)).sum())
            waiting, size = [], 0
    if waiting:
        sum_ += float(model.logprobs(np.concatenate(waiting)).sum())
    return Perplexity(sentences, words, oov, sum_)

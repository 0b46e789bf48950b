"""Back-off n-gram models in memory and as ARPA files.

An n-gram is a row of the table of its order: the row of its first n-1 words in the table below (`parent`) and its last
word (`word`). Rows are sorted by (parent, word), so a look-up is a binary search, and a text is scored in one go.
"""

from __future__ import annotations

import gzip
import io
import re
from dataclasses import dataclass
from typing import IO, Iterable, Iterator, Sequence

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.publish import publish

NEVER = -99.0  # the ARPA way to write log10(0), for <s>, which is only ever a history
SECTION = re.compile(r"\\(\d+)-grams:")


@dataclass
class Order:
    """All n-grams of one order, M rows sorted by (parent, word); log10 probabilities and back-off weights."""

    parent: np.ndarray  # int64 (M,); 0 for unigrams
    word: np.ndarray  # int64 (M,)
    logprob: np.ndarray  # float64 (M,)
    backoff: np.ndarray  # float64 (M,); 0 for histories without continuations


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
        keys = order.parent * size + order.word
        rows = np.minimum(np.searchsorted(keys, parent * size + word), len(keys) - 1)
        if not len(keys):
            return np.full(np.shape(word), -1)
        return np.where((parent >= 0) & (keys[rows] == parent * size + word), rows, -1)

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
            weight = np.where(history >= 0, self.orders[n - 2].backoff[history], 0.0)
            known = order.logprob[full] if len(order.logprob) else result
            result = np.where(full >= 0, known, result + weight)
        return result

    def score(self, sentence: Sequence[int]) -> np.ndarray:
        """log10 probabilities of the words of a sentence and of </s>, given <s> (word ids)."""
        return self.logprobs(self.windows([*sentence, self.ids["</s>"]]))

    def windows(self, predicted: Sequence[int]) -> np.ndarray:
        """Rows of the last n words up to each predicted one; before <s> stand more <s>, which no n-gram holds."""
        order = len(self.orders)
        padded = np.array([self.ids["<s>"]] * max(order - 1, 1) + list(predicted), dtype=np.int64)
        return np.lib.stride_tricks.sliding_window_view(padded, order)[-len(predicted):]

    def ngrams(self, n: int) -> Iterator[list[str]]:
        """The words of each row of order n."""
        columns, rows = [], np.arange(len(self.orders[n - 1].word))
        for k in range(n, 0, -1):
            columns.append(self.orders[k - 1].word[rows].tolist())
            rows = self.orders[k - 1].parent[rows]
        for row in zip(*reversed(columns)):
            yield [self.words[number] for number in row]


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
        rate = 100.0 * self.oov / max(self.words, 1)
        return (f"{name}: {self.sentences} sentences, {self.words} words, {self.oov} OOV ({rate:.2f} %), "
                f"perplexity {self.value:.2f}")


def perplexity(text: Iterable[Sequence[str]], model: NgramModel, unk: str = "<unk>") -> Perplexity:
    """Perplexity of sentences with their ends; OOVs are counted apart, and stand as `unk` in histories."""
    grams, sentences, words, oov = [], 0, 0, 0
    # Without `unk` in the model any id does: no n-gram of </s> followed by a word exists, so it backs off.
    stand_in = model.ids.get(unk, model.ids["</s>"])
    for sentence in text:
        ids = [model.ids.get(word, -1) for word in sentence]
        known = np.array([number >= 0 for number in ids] + [True])
        predicted = [stand_in if number < 0 else number for number in ids] + [model.ids["</s>"]]
        grams.append(model.windows(predicted)[known])
        sentences, words, oov = sentences + 1, words + len(ids), oov + ids.count(-1)
    logprob = float(model.logprobs(np.concatenate(grams)).sum()) if grams else 0.0
    return Perplexity(sentences, words, oov, logprob)


def write_arpa(path, model: NgramModel) -> None:
    """Publishes an ARPA file, gzipped if the name ends in .gz; equal models give equal bytes."""
    with publish(path, "wb") as raw:
        if str(path).endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as zipped:
                write_lines(zipped, model)
        else:
            write_lines(raw, model)


def write_lines(file: IO[bytes], model: NgramModel) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
    text.write("\\data\\\n" + "".join(f"ngram {n}={len(order.word)}\n" for n, order in enumerate(model.orders, 1)))
    for n, order in enumerate(model.orders, 1):
        text.write(f"\n\\{n}-grams:\n")
        for words, logprob, backoff in zip(model.ngrams(n), order.logprob.tolist(), order.backoff.tolist()):
            weight = f"\t{backoff:.7g}" if n < len(model.orders) and backoff else ""
            text.write(f"{logprob:.7g}\t{' '.join(words)}{weight}\n")
    text.write("\n\\end\\\n")
    text.flush()
    text.detach()


def read_arpa(path) -> NgramModel:
    """Reads an ARPA file, gzipped or not.

    Raises:
      RecipeError, with the line: a count that differs from the header's, fields missing or not numbers, a probability
      above 1, an n-gram given twice, with a word that is no unigram or a history that is no (n-1)-gram, no \\end\\.
    """
    with open(require_file(path), "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open(path, "rt", encoding="utf-8") if zipped else open(path, encoding="utf-8")) as file:
            return ArpaReader(path, file).read()
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise RecipeError("ARPA file is cut short or damaged", file=path, expected="a whole (gzipped) text file",
                          found=f"{type(error).__name__}: {error}") from None


class ArpaReader:
    """One pass over the lines of an ARPA file."""

    def __init__(self, path, lines: Iterable[str]):
        self.path, self.number = path, 0
        self.lines = self.numbered(lines)
        self.ids: dict[str, int] = {}

    def numbered(self, lines: Iterable[str]) -> Iterator[str]:
        for self.number, line in enumerate(lines, 1):
            if line.strip():
                yield line.strip()

    def fail(self, what: str, expected=None, found=None, id=None) -> RecipeError:
        return RecipeError(what, file=f"{self.path}:{self.number}", expected=expected, found=found, id=id)

    def next_line(self, expected: str) -> str:
        for line in self.lines:
            return line
        raise self.fail("ARPA file ends early", expected, "the end of the file")

    def read(self) -> NgramModel:
        while self.next_line("\\data\\") != "\\data\\":
            pass  # free text before the header
        counts: list[int] = []
        while (line := self.next_line("\\1-grams:")).startswith("ngram "):
            match = re.fullmatch(r"ngram (\d+)\s*=\s*(\d+)", line)
            if not match or int(match[1]) != len(counts) + 1:
                raise self.fail("bad count in the header", f"ngram {len(counts) + 1}=<count>", line)
            counts.append(int(match[2]))
        if not counts or not counts[0]:
            raise self.fail("ARPA header names no unigrams", "ngram 1=<count>", line)
        tables: list[dict[tuple[int, int], int]] = []
        columns: list[tuple[list[float], list[float]]] = []
        for n, count in enumerate(counts, 1):
            match = SECTION.fullmatch(line)
            if not match or int(match[1]) != n:
                raise self.fail("section out of place", f"\\{n}-grams:", line)
            table: dict[tuple[int, int], int] = {}
            numbers: tuple[list[float], list[float]] = ([], [])
            while not (line := self.next_line("\\end\\")).startswith("\\"):
                self.entry(line, n, len(counts), table, tables, numbers)
            if len(table) != count:
                raise self.fail("number of n-grams differs from the header's", f"{count} {n}-grams", len(table))
            tables.append(table)
            columns.append(numbers)
        if line != "\\end\\":
            raise self.fail("text after the last section", "\\end\\", line)
        missing = [symbol for symbol in ("<s>", "</s>") if symbol not in self.ids]
        if missing:
            raise self.fail("no unigram of a sentence boundary", "<s> and </s>", f"no {missing[0]}")
        return NgramModel(list(self.ids), sort_orders(tables, columns))

    def entry(self, line: str, n: int, highest: int, table: dict, tables: list[dict], numbers) -> None:
        """Adds the n-gram on one line."""
        fields = line.split()
        try:
            logprob = float(fields[0])
            backoff = float(fields[n + 1]) if len(fields) == n + 2 else 0.0
        except ValueError:
            raise self.fail("not a number", "<log10 probability> <words> [<back-off>]", line) from None
        if len(fields) not in (n + 1, n + 2) or (len(fields) == n + 2 and n == highest):
            raise self.fail("wrong number of fields",
                            f"probability, {n} words{', back-off or none' if n < highest else ''}", line)
        if not (logprob <= 1e-4 and np.isfinite(logprob) and np.isfinite(backoff)):
            raise self.fail("impossible value", "log10 probability <= 0, finite numbers", line)
        words = fields[1:n + 1]
        if n == 1:
            key = (0, self.ids.setdefault(words[0], len(self.ids)))
        else:
            unknown = [word for word in words if word not in self.ids]
            if unknown:
                raise self.fail("word without a unigram", "a word of the unigrams", unknown[0])
            row = self.ids[words[0]]
            for k, word in enumerate(words[1:-1]):
                row = tables[k + 1].get((row, self.ids[word]), -1)
            if row < 0:
                raise self.fail(f"history is no {n - 1}-gram", " ".join(words[:-1]), line)
            key = (row, self.ids[words[-1]])
        if key in table:
            raise self.fail("n-gram given twice", "each n-gram once", " ".join(words))
        table[key] = len(table)
        numbers[0].append(logprob)
        numbers[1].append(backoff)


def sort_orders(tables: list[dict[tuple[int, int], int]],
                columns: list[tuple[list[float], list[float]]]) -> list[Order]:
    """Sorts each table by (parent, word), parents renumbered to the sorted order below."""
    orders: list[Order] = []
    renumber = np.zeros(1, dtype=np.int64)
    for table, (logprob, backoff) in zip(tables, columns):
        keys = np.array(list(table), dtype=np.int64).reshape(-1, 2)
        parent, word = renumber[keys[:, 0]], keys[:, 1]
        order = np.lexsort((word, parent))
        renumber = np.empty(len(order), dtype=np.int64)
        renumber[order] = np.arange(len(order))
        orders.append(Order(parent[order], word[order], np.array(logprob)[order], np.array(backoff)[order]))
    return orders

"""ARPA files: n-gram models of any order as text, gzipped or not."""

from __future__ import annotations

import gzip
import io
import re
import sys
from itertools import islice
from pathlib import Path
from typing import IO, Iterable, Iterator, Sequence

import numpy as np

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish
from .model import BLOCK, NgramModel, Order

SECTION = re.compile(r"\\(\d+)-grams:")
WRONG_COUNT = "number of n-grams differs from the header's"
HIGHEST = 1e-4  # log10 probabilities a little above 0 come from rounding in other programs


def write_arpa(path, model: NgramModel) -> None:
    """Publishes an ARPA file, gzipped if the name ends in .gz; equal models give equal bytes."""
    with publish(path, "wb") as raw:
        if str(path).endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as zipped:
                write_sections(zipped, model)
        else:
            write_sections(raw, model)


def write_sections(file: IO[bytes] | gzip.GzipFile, model: NgramModel) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
    text.write("\\data\\\n" + "".join(f"ngram {n}={len(order)}\n" for n, order in enumerate(model.orders, 1)))
    names = np.array(model.words, dtype=object)
    for n, order in enumerate(model.orders, 1):
        text.write(f"\n\\{n}-grams:\n")
        for start in range(0, len(order), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(order)))
            grams = names[model.grams(n, rows)].tolist()
            numbers = zip(grams, order.logprob[rows].tolist(), order.backoff[rows].tolist())
            if n < len(model.orders):
                text.write("".join([f"{p:.7g}\t{' '.join(gram)}\t{b:.7g}\n" if b else f"{p:.7g}\t{' '.join(gram)}\n"
                                    for gram, p, b in numbers]))
            else:
                text.write("".join([f"{p:.7g}\t{' '.join(gram)}\n" for gram, p, _ in numbers]))
    text.write("\n\\end\\\n")
    text.flush()
    text.detach()


def write_report(arpa, lines: Sequence[str]) -> None:
    """Shows lines about a model, and publishes them beside it: of lm/3gram.arpa.gz in lm/3gram.perplexity.txt."""
    path = Path(arpa)
    with publish(path.with_name(re.sub(r"(\.arpa)?(\.gz)?$", "", path.name) + ".perplexity.txt")) as file:
        file.write("".join(f"{line}\n" for line in lines))
    print("\n".join(lines), file=sys.stderr)


def read_arpa(path) -> NgramModel:
    """Reads an ARPA file, gzipped or not.

    Raises:
      RecipeError, with the line: a count that differs from the header's, fields missing or not numbers, a probability
      above 1, an n-gram given twice, with a word that is no unigram or a history that is no (n-1)-gram, no \\end\\.
    """
    with open(require_file(path), "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with reading(path, "ARPA file is cut short or damaged", expected="a whole (gzipped) text file"):
        with (gzip.open(path, "rt", encoding="utf-8") if zipped else open(path, encoding="utf-8")) as file:
            model = ArpaReader(path, file).read()
            while file.read(1 << 16):  # what follows \\end\\ is free text; only at gzip's end is its checksum compared
                pass
            return model


class ArpaReader:
    """One pass over the lines of an ARPA file, BLOCK lines at a time."""

    def __init__(self, path, lines: Iterable[str]):
        self.path, self.number = path, 0  # of the last line read
        self.lines: Iterator[tuple[int, str]] = ((number, line) for number, raw in enumerate(lines, 1) if (line := raw.strip()))
        self.ids: dict[str, int] = {}
        self.orders: list[Order] = []  # sorted but for the unigrams' words, which keep the file's order

    def fail(self, what: str, expected=None, found=None, line: int | None = None) -> RecipeError:
        return RecipeError(what, file=f"{self.path}:{line or self.number}", expected=expected, found=found)

    def next_line(self, expected: str) -> str:
        found = next(self.lines, None)
        if found is None:
            raise self.fail("ARPA file ends early", expected, "the end of the file")
        self.number, line = found
        return line

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
        for n, count in enumerate(counts, 1):
            match = SECTION.fullmatch(line)
            if not match or int(match[1]) != n:
                raise self.fail("section out of place", f"\\{n}-grams:", line)
            line = self.section(n, count, len(counts))
        if line != "\\end\\":
            raise self.fail("text after the last section", "\\end\\", line)
        missing = [symbol for symbol in ("<s>", "</s>") if symbol not in self.ids]
        if missing:
            raise self.fail("no unigram of a sentence boundary", "<s> and </s>", f"no {missing[0]}")
        return NgramModel(list(self.ids), self.orders)

    def section(self, n: int, count: int, highest: int) -> str:
        """Reads the n-grams of one order and returns the line after them."""
        blocks: list[Order] = []
        numbers: list[np.ndarray] = []  # lines of the file
        for start in range(0, count, BLOCK):
            block = list(islice(self.lines, min(BLOCK, count - start)))
            if not block:
                self.next_line("\\end\\")
            blocks.append(self.entries(block, n, highest))
            numbers.append(np.array([number for number, _ in block], np.int64))
            self.number = block[-1][0]
        marker = self.next_line("\\end\\")
        if marker[0] != "\\":
            raise self.fail(WRONG_COUNT, f"{count} {n}-grams", "more")
        empty = np.zeros(0, np.int32)
        parts = blocks or [Order(empty, empty, np.zeros(0), np.zeros(0))]
        order = Order(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("parent", "word", "logprob", "backoff")))
        if n > 1:
            place = np.lexsort((order.word, order.parent))
            order = Order(order.parent[place], order.word[place], order.logprob[place], order.backoff[place])
            twice = np.flatnonzero(np.diff(order.keys(len(self.ids))) == 0)
            if len(twice):  # lexsort is stable: the later line comes second
                raise self.fail("n-gram given twice", "each n-gram once", "this line and an earlier one",
                                int(np.concatenate(numbers)[place][twice + 1].min()))
        self.orders.append(order)
        return marker

    def entries(self, block: list[tuple[int, str]], n: int, highest: int) -> Order:
        """The n-grams on some lines, their histories found among the orders already read."""
        fields = [line.split() for _, line in block]
        lengths = np.array([len(words) for words in fields])
        try:
            logprob = np.array([float(words[0]) for words in fields])
            backoff = np.array([float(words[n + 1]) if len(words) == n + 2 else 0.0 for words in fields])
        except ValueError:
            raise self.not_a_number(block, n) from None

        def refuse(bad: np.ndarray | np.bool, what: str, expected: str) -> None:
            if bad.any():
                number, line = block[int(np.argmax(bad))]
                raise self.fail(what, expected, line, number)

        refuse((lengths != n + 1) & ((lengths != n + 2) | (n == highest)), "wrong number of fields",
               f"probability, {n} words{', back-off or none' if n < highest else ''}")
        refuse(~((logprob <= HIGHEST) & np.isfinite(logprob) & np.isfinite(backoff)), "impossible value",
               "log10 probability <= 0, finite numbers")
        if n == 1:
            first = len(self.ids)
            for (number, _), words in zip(block, fields):
                if self.ids.setdefault(words[1], len(self.ids)) != first:
                    raise self.fail("n-gram given twice", "each n-gram once", words[1], number)
                first += 1
            word = np.arange(first - len(block), first, dtype=np.int32)
            return Order(np.zeros(len(block), np.int32), word, logprob, backoff)
        get = self.ids.get
        flat = [get(word, -1) for words in fields for word in words[1:n + 1]]
        grams = np.array(flat, np.int64).reshape(-1, n)
        refuse((grams < 0).any(axis=1), "word without a unigram", "words of the unigrams")
        lower = NgramModel(list(self.ids), self.orders)
        row: np.ndarray = grams[:, 0]
        for k in range(1, n - 1):
            row = lower.find(k + 1, row, grams[:, k])
        refuse(row < 0, f"history is no {n - 1}-gram", f"its first {n - 1} words among the {n - 1}-grams")
        return Order(row.astype(np.int32), grams[:, -1].astype(np.int32), logprob, backoff)

    def not_a_number(self, block: list[tuple[int, str]], n: int) -> RecipeError:
        """The error for the first line whose probability or back-off weight is none."""
        for number, line in block:
            words = line.split()
            try:
                _ = [float(words[place]) for place in ([0, n + 1] if len(words) == n + 2 else [0])]
            except ValueError:
                if line[0] == "\\":
                    return self.fail(WRONG_COUNT, f"more {n}-grams", line, number)
                return self.fail("not a number", "<log10 probability> <words> [<back-off>]", line, number)
        raise AssertionError("no line is wrong")

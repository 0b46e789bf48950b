"""Alignment of two networks of words, with the costs and the choices among equals of NIST's sclite (options -F and -D).

A transcript is a network: words in a row, and alternatives {a / b c / @} side by side, which may hold alternatives again.
An optional word (x) may stay out at a lower cost, and then counts as correct. A fragment, x- or -x, is correct for any word
that it begins or ends. @ is the empty alternative.

Costs: correct 0, substitution 4, insertion and deletion 3, of an optional word 2, of @ 0.001.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

from ..io.errors import RecipeError

NOTHING = "@"


class Token(NamedTuple):
    """One pair of an alignment: C, S, D or I, with the words; the empty word where there is none."""

    kind: str
    reference: str
    hypothesis: str


class Aligned:
    """Base of what holds the tokens of an utterance."""

    tokens: Sequence[Any]  # with a kind, as Token

    @property
    def errors(self) -> int:
        return sum(token.kind != "C" for token in self.tokens)

    @property
    def words(self) -> int:
        """Words of the reference as sclite counts them: all but insertions."""
        return sum(token.kind != "I" for token in self.tokens)


@dataclass
class Network:
    """Arcs that hold words, in topological order; arc 0 is the start and holds none.

    before[i]: the arcs that may come before arc i, in the order of the alternatives. last: those a path may end with.
    """

    words: list[str] = field(default_factory=lambda: [""])
    before: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    last: tuple[int, ...] = (0,)

    def add(self, word: str, before: tuple[int, ...]) -> tuple[int, ...]:
        self.words.append(word)
        self.before.append(before)
        return (len(self.words) - 1,)

    def add_text(self, text: str, before: tuple[int, ...]) -> tuple[int, ...]:
        """Appends a transcript after the arcs `before`; returns the arcs it ends with."""
        place = 0
        while place < len(text):
            if text[place] == " ":
                place += 1
            elif text[place] == "{":
                stop = closing_brace(text, place)
                before = sum((self.add_text(part.strip() or NOTHING, before)
                              for part in split_alternatives(text[place + 1:stop])), ())
                place = stop + 1
            else:
                stop = text.find(" ", place) if " " in text[place:] else len(text)
                before = self.add(text[place:stop], before)
                place = stop
        return before

    @classmethod
    def of_text(cls, text: str) -> "Network":
        network = cls()
        network.last = network.add_text(text, (0,))
        return network

    @classmethod
    def of_items(cls, items: Sequence[Sequence[Sequence[str]]]) -> "Network":
        """A row of items, each a choice of word sequences."""
        network = cls()
        for alternatives in items:
            start, network.last = network.last, ()
            for words in alternatives:
                end = start
                for word in words or (NOTHING,):
                    end = network.add(word, end)
                network.last += end
        return network


def closing_brace(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if not depth:
            return place
    raise RecipeError("alternatives without an end", id=text, expected="{a / b}", found="no closing brace")


def split_alternatives(text: str) -> list[str]:
    """The parts between slashes that stand in no inner braces."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "/" and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def is_optional(word: str) -> bool:
    return word[:1] == "(" and word[-1:] == ")"


def is_fragment(word: str) -> bool:
    return word[:1] == "-" or word[-1:] == "-" or is_optional(word) and word[-2:-1] == "-"


def equal(reference: str, hypothesis: str) -> bool:
    """Whether a reference word and a hypothesis word count as the same."""
    first, second = (word[1:-1] if is_optional(word) else word for word in (reference, hypothesis))
    if is_fragment(reference) or is_fragment(hypothesis):
        for fragment, word in ((first, second), (second, first)):
            if len(fragment) > 1 and fragment[0] == "-":
                return word.endswith(fragment[1:])
            if len(fragment) > 1 and fragment[-1] == "-":
                return word.startswith(fragment[:-1])
    return first == second


def cost_alone(word: str) -> float:
    return 0.001 if word == NOTHING else 2.0 if is_optional(word) else 3.0


def cost_together(reference: str, hypothesis: str) -> float:
    if reference == hypothesis == NOTHING:
        return 1.0
    return 0.0 if equal(reference, hypothesis) else 4.0


def align(reference: Network, hypothesis: Network) -> list[Token]:
    """The cheapest alignment of a path of one network with a path of the other.

    Among equals a substitution or match is preferred, then an insertion, and of alternatives the earlier one. sclite adds
    in single precision, which decides some ties as soon as @ is involved; so do we then.
    """
    number: Callable = np.float32 if NOTHING in reference.words or NOTHING in hypothesis.words else float
    insert = [number(cost_alone(word)) for word in hypothesis.words]
    delete = [number(cost_alone(word)) for word in reference.words]
    # cost[a][b], back[a][b]: the cheapest way to end with arc a and arc b, and the pair of arcs before.
    cost: list[list] = []
    back: list[list[tuple[int, int]]] = []
    for a, (word, before_a) in enumerate(zip(reference.words, reference.before)):
        row: list = [number(0)]
        trace = [(-1, -1)]
        cost.append(row)
        back.append(trace)
        if a:
            row[0], trace[0] = min(((cost[p][0], (p, 0)) for p in before_a), key=first)
            row[0] += delete[a]
        for b in range(1, len(hypothesis.words)):
            before_b = hypothesis.before[b]
            inserted, via_b = min(((row[p], p) for p in before_b), key=first)
            inserted += insert[b]
            if not a:
                row.append(inserted)
                trace.append((0, via_b))
                continue
            deleted, via_a = min(((cost[p][b], p) for p in before_a), key=first)
            deleted += delete[a]
            both, pair = min(((cost[p][q], (p, q)) for p in before_a for q in before_b), key=first)
            both += number(cost_together(word, hypothesis.words[b]))
            if both <= deleted and both <= inserted:
                row.append(both)
                trace.append(pair)
            elif deleted < inserted:
                row.append(deleted)
                trace.append((via_a, b))
            else:
                row.append(inserted)
                trace.append((a, via_b))
    ends = [(p, q) for p in reference.last for q in hypothesis.last]
    return read_back(reference, hypothesis, back, min(ends, key=lambda pair: cost[pair[0]][pair[1]]))


def first(pair):
    return pair[0]


def read_back(reference: Network, hypothesis: Network, back: list[list[tuple[int, int]]], end: tuple[int, int]) -> list[Token]:
    """The tokens of the path that ends with the pair of arcs `end`; what is aligned with @ leaves none."""
    tokens = []
    a, b = end
    while a > 0 or b > 0:
        before = back[a][b]
        word, other = reference.words[a], hypothesis.words[b]
        if before[0] == a:
            if other != NOTHING:
                tokens.append(Token("C" if is_optional(other) else "I", "", other))
        elif before[1] == b:
            if word != NOTHING:
                tokens.append(Token("C" if is_optional(word) else "D", word, ""))
        elif not word == other == NOTHING:
            tokens.append(Token("C" if equal(word, other) else "S", word, other))
        a, b = before
    return tokens[::-1]

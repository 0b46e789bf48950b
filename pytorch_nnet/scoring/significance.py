"""How sure a word error rate is, and whether two systems differ.

Bootstrap: M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
    Whole speakers are drawn with replacement, since the errors of one person depend on each other.
Matched pairs: L. Gillick and S. J. Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP
    1989, in the form of NIST's sc_stats (test MAPSSWE): references are cut where both systems have two words right in a row,
    as errors on either side of such a place hardly depend on each other, and the differences of errors in the pieces are
    tested against a mean of zero.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Any, Hashable, Iterator, Sequence

import numpy as np

from ..io.errors import RecipeError
from .network import Token

REPLICATES = 10_000
SEED = 1
BUFFER = 2  # correct words in a row that part two pieces; sc_stats' default


@dataclass
class Errors:
    """One scored utterance of one system. key: equal for the same utterance of another system. group: its speaker.

    tokens: the alignment, where there is one; without it the utterance is a piece of its own.
    """

    key: Hashable
    group: Hashable
    words: int
    errors: int
    tokens: Sequence[Token] | None = None


@dataclass
class MatchedPairs:
    """A test of the difference a - b. z > 0: b has fewer errors. p: two-tailed; 1 where no piece differs from another."""

    pieces: int
    mean: float  # errors a piece
    z: float
    p: float


def draws(groups: int) -> np.ndarray:
    """int64 (REPLICATES, groups): how often each group is drawn; the same for every system."""
    return np.random.default_rng(SEED).multinomial(groups, np.full(groups, 1 / groups), size=REPLICATES)


def by_group(utterances: Sequence[Errors]) -> tuple[list[Any], np.ndarray]:
    """Groups in order, and int64 (groups, 2): words and errors."""
    sums: dict[Any, list[int]] = {}
    for one in utterances:
        total = sums.setdefault(one.group, [0, 0])
        total[0] += one.words
        total[1] += one.errors
    groups = sorted(sums)
    return groups, np.array([sums[group] for group in groups], np.int64)


def replicates(utterances: Sequence[Errors]) -> np.ndarray:
    """WER in percent of every bootstrap sample, float64 (REPLICATES,)."""
    _, sums = by_group(utterances)
    words, errors = (draws(len(sums)) @ sums).T
    if not words.all():
        raise RecipeError("speakers without reference words", expected="words in every sample", found="a sample of none")
    return 100 * errors / words


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 %."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def difference_interval(a: Sequence[Errors], b: Sequence[Errors]) -> tuple[float, float]:
    """The middle 95 % of WER(a) - WER(b), both on the same samples. Raises RecipeError if their speakers differ."""
    if by_group(a)[0] != by_group(b)[0]:
        raise RecipeError("systems scored on different speakers", expected="the same test set", found="others")
    return interval(replicates(a) - replicates(b))


def matched_pairs(a: Sequence[Errors], b: Sequence[Errors]) -> MatchedPairs:
    """The test over all utterances. Raises RecipeError if the systems were not scored on the same ones."""
    if [one.key for one in a] != [one.key for one in b]:
        raise RecipeError("systems scored on different utterances", expected=f"the same {len(a)}", found=f"{len(b)}, or others",
                          next="score both on the same test set")
    found = [pair for first, second in zip(a, b) for pair in pieces(first, second)]
    differences = np.array([one - other for one, other in found], np.float64)
    if len(differences) < 2 or not differences.std():
        return MatchedPairs(len(found), float(differences.mean()) if found else 0.0, 0.0, 1.0)
    mean, deviation = differences.mean(), differences.std(ddof=1)
    z = float(mean / (deviation / math.sqrt(len(found))))
    return MatchedPairs(len(found), float(mean), z, math.erfc(abs(z) / math.sqrt(2)))


def pieces(a: Errors, b: Errors) -> list[tuple[int, int]]:
    """Errors of both systems in each piece of one utterance; pieces without an error are left out."""
    if a.tokens is None or b.tokens is None:
        return [(a.errors, b.errors)] if a.errors or b.errors else []
    result: list[tuple[int, int]] = []
    errors, good = (0, 0), 0
    for wrong in steps(a.tokens, b.tokens):
        if any(wrong):
            errors, good = (errors[0] + wrong[0], errors[1] + wrong[1]), 0
            continue
        good += 1
        if good == BUFFER and any(errors):
            result.append(errors)
            errors = (0, 0)
    return [*result, errors] if any(errors) else result


def steps(a: Sequence[Token], b: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Errors of two alignments of the same reference at each of its words, (0, 0) where both are right.

    Insertions are a step of their own, before the word that follows. Where the systems took different alternatives of the
    reference, what lies between words in common is one step.
    """
    groups = [words_with_insertions(tokens) for tokens in (a, b)]
    words = [[group[-1].reference for group in side] for side in groups]
    for kind, i, j, k, m in difflib.SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        if kind != "equal":
            yield sum(map(errors_in, groups[0][i:j])), sum(map(errors_in, groups[1][k:m]))
            continue
        for first, second in zip(groups[0][i:j], groups[1][k:m]):
            if len(first) > 1 or len(second) > 1:
                yield len(first) - 1, len(second) - 1
            yield errors_in(first[-1:]), errors_in(second[-1:])


def errors_in(tokens: Sequence[Token]) -> int:
    return sum(token.kind != "C" for token in tokens)


def words_with_insertions(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens in groups that end with a reference word, the insertions before it with it; the last group ends with none.

    Optional words of the hypothesis that stayed out of the alignment have no reference word either, and err nowhere.
    """
    groups: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "I" or token.reference:
            groups[-1].append(token)
        if token.kind != "I" and token.reference:
            groups.append([])
    groups[-1].append(Token("C", "", ""))
    return groups

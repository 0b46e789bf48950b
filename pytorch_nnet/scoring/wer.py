"""Word error rates: counts, and the wer_LMWT_WIP files in the form of Kaldi's compute-wer."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from typing import Container, Mapping, Sequence

import kaldialign

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish

WER_LINE = re.compile(r"%WER \S+ \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]")
SER_LINE = re.compile(r"%SER \S+ \[ (\d+) / (\d+) \]")
SCORED_LINE = re.compile(r"Scored (\d+) sentences, (\d+) not present in hyp\.")


@dataclass
class Counts:
    """Errors summed over utterances."""

    words: int = 0  # of the references
    ins: int = 0
    dels: int = 0
    sub: int = 0
    sentences: int = 0
    wrong: int = 0  # sentences with an error
    failed: int = 0  # sentences without a hypothesis; all their words are deletions

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other))))

    @property
    def errors(self) -> int:
        return self.ins + self.dels + self.sub

    @property
    def wer(self) -> float:
        """Percent."""
        return 100.0 * self.errors / self.words

    def report(self) -> str:
        return f"%WER {self.wer:.2f} [ {self.errors} / {self.words}, {self.ins} ins, {self.dels} del, {self.sub} sub ]"


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """(insertions, deletions, substitutions) of an alignment with the fewest errors.

    Several alignments may share that number and differ in its parts. As in Kaldi's compute-wer, cell by cell from the
    left, a substitution or match is taken only if it is strictly better than both others, a deletion only if strictly
    better than an insertion.
    """
    found = kaldialign.edit_distance(reference, hypothesis)
    return found["ins"], found["del"], found["sub"]


def edits_by_utterance(references: Mapping[str, Sequence[str]],
                       hypotheses: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int, int]]:
    """`edits` of every reference; one without a hypothesis has all its words deleted."""
    return {utt: edits(reference, hypotheses.get(utt) or ()) for utt, reference in references.items()}


def count_errors(references: Mapping[str, Sequence[str]], found: Mapping[str, tuple[int, int, int]],
                 failed: Container[str] = ()) -> Counts:
    """Sums `edits_by_utterance`; utterances in `failed` have no hypothesis."""
    counts = Counts()
    for utt, reference in references.items():
        ins, dels, sub = found[utt]
        counts.words += len(reference)
        counts.ins += ins
        counts.dels += dels
        counts.sub += sub
        counts.sentences += 1
        counts.failed += utt in failed
        counts.wrong += utt in failed or ins + dels + sub > 0
    if not counts.words:
        raise RecipeError("no reference words to score against", expected="at least one word",
                          found=f"{counts.sentences} empty sentences")
    return counts


def write_wer(path, counts: Counts, title: str, failed: Mapping[str, str]) -> None:
    """Publishes a wer file: a free first line, Kaldi's three lines, then the failed utterances with their reasons."""
    with publish(path) as file:
        file.write(f"{title}\n{counts.report()}\n")
        file.write(f"%SER {100.0 * counts.wrong / counts.sentences:.2f} [ {counts.wrong} / {counts.sentences} ]\n")
        file.write(f"Scored {counts.sentences} sentences, {counts.failed} not present in hyp.\n")
        file.writelines(f"failed: {utt} {reason}\n" for utt, reason in failed.items())


def read_wer(path) -> Counts:
    """Reads a wer file, ours or Kaldi's. Raises RecipeError if it is none or contradicts itself."""
    with reading(path, "not a wer file"), open(require_file(path), encoding="utf-8") as file:
        content = file.read()
    wer, ser, scored = (line.search(content) for line in (WER_LINE, SER_LINE, SCORED_LINE))
    if not (wer and ser and scored):
        raise RecipeError("not a wer file", file=path, expected="lines with %WER, %SER and Scored",
                          found=repr(content[:80]),
                          next="steps/score <data> <lang> <decode-dir>")
    errors, words, ins, dels, sub = map(int, wer.groups())
    counts = Counts(words, ins, dels, sub, int(scored[1]), int(ser[1]), int(scored[2]))
    if counts.errors != errors or not words or int(ser[2]) != counts.sentences:
        raise RecipeError("wer file contradicts itself", file=path,
                          expected="ins + del + sub errors of at least one word", found=wer[0],
                          next="steps/score <data> <lang> <decode-dir>")
    return counts

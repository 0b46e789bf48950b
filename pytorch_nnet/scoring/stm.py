"""References and hypotheses of NIST's scorers: STM segments, CTM words, and both as a GLM makes them (csrfilt.sh of SCTK).

STM: `<file> <channel> <speaker> <begin> <end> [<label,label>] <words>`, where words may hold alternatives {a / b c / @}
(@: nothing) and (optional words). CTM: `<file> <channel> <begin> <duration> <word> [<confidence>]`. Times in seconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Iterable, NamedTuple

import numpy as np

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish
from .glm import Glm

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
LONGEST = 1e7  # seconds, of a recording
Side = tuple[str, str]  # file, channel


class CtmWord(NamedTuple):
    file: str
    channel: str
    begin: float
    duration: float
    word: str
    confidence: float | None = None  # 0 to 1


@dataclass
class Segment:
    """One line of an STM file; `text` as it is to be scored, after the GLM."""

    file: str
    channel: str
    speaker: str
    begin: float
    end: float
    labels: str  # "<o,sw>", or empty
    text: str

    @property
    def side(self) -> Side:
        return self.file, self.channel

    @property
    def ignored(self) -> bool:
        return IGNORED in self.text


@dataclass
class HypothesisItem:
    """What became of one CTM word: alternatives, each a list of words; most often one of one word.

    middle: seconds, the time by which it belongs to a segment: that of its word, with alternatives the latest.
    """

    alternatives: list[list[str]]
    middle: float


def read_stm(path, glm: Glm) -> dict[Side, list[Segment]]:
    """Segments of each side in order of time, sides in C order. Raises RecipeError on a malformed line."""
    sides: dict[Side, list[Segment]] = defaultdict(list)
    with open(require_file(path), encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            if line.startswith(";;") or not line.strip():
                continue
            found = re.match(r"\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+(<\S+>))?(.*)$", line)
            malformed = RecipeError("malformed stm line", file=f"{path}:{number}", found=repr(line.strip()),
                                    expected="<file> <channel> <speaker> <begin> <end> <words>")
            if found is None:
                raise malformed
            try:
                begin, end = float(found[4]), float(found[5])
                if not 0 <= begin <= end < LONGEST:
                    raise ValueError
            except ValueError:
                raise malformed from None
            text = glm.words(found[7])
            sides[found[1], found[2]].append(Segment(found[1], found[2], found[3], begin, end, found[6] or "", text))
    if not sides:
        raise RecipeError("stm file without segments", file=path, expected="lines that are no comments", found="none")
    return {side: sorted(sides[side], key=lambda segment: segment.begin) for side in sorted(sides)}


def read_ctm(path) -> list[CtmWord]:
    """Raises RecipeError on a line without the five fields; a sixth, the confidence, is not read."""
    words = []
    with reading(path, "not a text file of UTF-8"), open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not fields or line.startswith(";;"):
                continue
            try:
                words.append(CtmWord(fields[0], fields[1], float(fields[2]), float(fields[3]), fields[4]))
                if not (0 <= words[-1].begin < LONGEST and 0 <= words[-1].duration < LONGEST):
                    raise ValueError
            except (IndexError, ValueError):
                raise RecipeError("malformed ctm line", file=f"{path}:{number}", found=repr(line.strip()[:200]),
                                  expected="<file> <channel> <begin> <duration> <word>") from None
    return words


def write_ctm(path, words: Iterable[CtmWord]) -> None:
    """Publishes the words in order of file, channel and time."""
    with publish(path) as file:
        for w in sorted(words, key=lambda w: (w.file, w.channel, round(w.begin, 2))):
            sure = "" if w.confidence is None else f" {w.confidence:.4f}"
            file.write(f"{w.file} {w.channel} {w.begin:.2f} {w.duration:.2f} {w.word}{sure}\n")


def filtered(words: Iterable[CtmWord], glm: Glm) -> dict[Side, list[HypothesisItem]]:
    """CTM words after the GLM, by side, in order of time.

    Each is rewritten for itself, so rules about several words never apply. Where one becomes several they share its time,
    written with three decimals, and count as separate words; with alternatives they stay together.
    """
    sides: dict[Side, list[HypothesisItem]] = defaultdict(list)
    for word in sorted(words, key=lambda w: w[:3]):
        items = sides[word.file, word.channel]
        alternatives = [part.replace("{", " ").replace("}", " ").split() for part in glm.words(word.word).split("/")]
        if len(alternatives) > 1:
            items.append(HypothesisItem(alternatives, max(middle for part in alternatives for middle in middles(word, len(part)))))
        elif len(alternatives[0]) > 1:
            items += [HypothesisItem([[part]], middle) for part, middle in zip(alternatives[0], middles(word, len(alternatives[0])))]
        elif alternatives[0]:
            items.append(HypothesisItem(alternatives, word.begin + word.duration / 2))
    return sides


def middles(word: CtmWord, count: int) -> list[float]:
    """Middles of `count` equal parts of a word, from begins and durations with three decimals."""
    duration = word.duration / max(count, 1)
    return [float(f"{word.begin + duration * place:.3f}") + float(f"{duration:.3f}") / 2 for place in range(count)]


def assign(segments: list[Segment], items: list[HypothesisItem]) -> list[list[HypothesisItem]]:
    """The items that belong to each segment of one side (sclite's rule).

    A segment takes, in order, what has its middle before the segment's end, beginning where the last one stopped: words
    between two segments go to the later one, and the last segment takes all that is left.
    """
    shares, place = [], 0
    for number, segment in enumerate(segments):
        end = float(np.float32(segment.end))  # sclite holds these times in single precision, middles in double
        stop = place
        while stop < len(items) and (number == len(segments) - 1 or items[stop].middle < end):
            stop += 1
        shares.append(items[place:stop])
        place = stop
    return shares

"""What was said beside what was heard, word by word, with the times of what was heard: for reading errors, not for counting them.

Words are aligned as the basic scorer counts them (steps/score), after the recipe's scoring rules; times are those of the best path of
each lattice (scoring.ctm).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

import kaldialign

from ..corpus.datadir import DataDir
from ..decoding.search import FRAMES_PER_SECOND
from ..io.errors import RecipeError
from .ctm import timed_words
from .glm import Glm, apply_rules
from .lattice_jobs import Words, ask_jobs, check_complete, read_failed
from .letters import Letters, read_letters
from .network import Aligned
from .scored import basic_figure
from .tune import Pair

NOTHING = ""  # no transcript has an empty word


class TimedToken(NamedTuple):
    """One pair of an alignment. kind: C, S, D or I. begin: of the hypothesis' word in the recording, in seconds; None for D."""

    kind: str
    reference: str
    hypothesis: str
    begin: float | None


@dataclass
class Transcript(Aligned):
    """One utterance. begin, end: its place in the recording, in seconds. failed: why it has no hypothesis, or empty."""

    utt: str
    speaker: str
    file: str
    channel: str
    begin: float
    end: float
    tokens: list[TimedToken]
    failed: str = ""


def transcripts(data_dir, words_dir, decode_dir, pair: Pair, *, rules_file=None, nj: int = 1, cmd: str) -> list[Transcript]:
    """Every utterance of a decoding directory, at one LM weight and penalty, in the data directory's order.

    Raises RecipeError if an utterance has other errors than the scorer counted: then text or rules have changed since.
    """
    data, folder = DataDir.load(data_dir, need=("text",)), Path(decode_dir)
    symbols, letters = Words(words_dir), read_letters(data_dir)
    rules = Glm.read(rules_file) if rules_file else None
    found = {utt: (frames, path) for utt, frames, path, _ in ask_jobs(folder, "ctm", *pair, nj=nj, cmd=cmd)}
    failed = read_failed(folder / "failed.txt")
    check_complete(set(data.utts), set(found), failed, folder)
    result = []
    for utt in data.utts:
        file, channel, begin = data.ctm_place(utt)
        frames, path = found.get(utt, (0, []))
        end = data.segments[utt].end if utt in data.segments else begin + data.num_frames.get(utt, frames) / FRAMES_PER_SECOND
        heard = spelled_times(((symbols[number], start) for number, start, _ in timed_words(path, frames, begin)), letters)
        scored = with_times(apply_rules([word for word, _ in heard], rules), heard)
        reference = apply_rules(data.text[utt], rules)
        result.append(Transcript(utt, data.utt2spk[utt], file, channel, begin, end, aligned(reference, scored), failed.get(utt, "")))
    check_counts(result, folder, pair)
    return result


def spelled_times(words: Iterable[tuple[str, float]], letters: Letters) -> list[tuple[str, float]]:
    """(word, begin) with every acronym as its letters, all at its beginning."""
    return [(part, begin) for word, begin in words for part in letters.get(word, (word,))]


def with_times(words: Sequence[str], timed: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Times for words that rules may have made of others: of the word in the same place, or of the next one."""
    result: list[tuple[str, float]] = []
    place = 0
    for heard, word in kaldialign.align([word for word, _ in timed], list(words), NOTHING):
        if word != NOTHING:
            result.append((word, timed[min(place, len(timed) - 1)][1]))
        place += heard != NOTHING
    return result


def aligned(reference: Sequence[str], hypothesis: Sequence[tuple[str, float]]) -> list[TimedToken]:
    """An alignment with the fewest errors."""
    tokens, times = [], iter(hypothesis)
    for said, heard in kaldialign.align(list(reference), [word for word, _ in hypothesis], NOTHING):
        begin = next(times)[1] if heard != NOTHING else None
        kind = "C" if said == heard else "D" if heard == NOTHING else "I" if said == NOTHING else "S"
        tokens.append(TimedToken(kind, said, heard, begin))
    return tokens


def check_counts(found: Sequence[Transcript], folder: Path, pair: Pair) -> None:
    figure = basic_figure(folder, pair)
    counted = {one.key: one.errors for one in figure.utterances} if figure else {}
    for one in found:
        if counted and counted.get(one.utt) != one.errors:
            raise RecipeError("an utterance has other errors than were counted", file=folder, id=one.utt,
                              expected=f"{counted.get(one.utt)}, as steps/score found", found=one.errors,
                              next="score again with the same text and rules (steps/score)")


def frequent(found: Iterable[Transcript], kind: str) -> list[tuple[tuple[str, str], int]]:
    """Pairs of words of one kind of error and how often each occurs, the most frequent first, of equals in C order."""
    counts = Counter((token.reference, token.hypothesis) for one in found for token in one.tokens if token.kind == kind)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

"""The Mississippi State transcripts and dictionary of Switchboard-1 (swb_ms98_transcriptions)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError, require_file
from ..io.publish import publish_folder
from .findfiles import find_files
from .markup import plain_word, plain_words

TRANSCRIPT = re.compile(r"^sw(\d{4})([ab])-ms98-a-trans\.text$", re.IGNORECASE)
DICTIONARY = "sw-ms98-dict.text"
SILENCE_PHONES = ("sil", "spn", "nsn", "lau")
MAX_BAD_ENTRIES = 0.005  # share of dictionary lines that may be unusable
SPECIAL_WORDS = {"[silence]": "sil", "[noise]": "nsn", "[vocalized-noise]": "spn", "[laughter]": "lau", "<unk>": "spn"}


@dataclass
class Turn:
    """One line of a transcript, as plain words."""

    side: str  # recording-id of the conversation side, such as sw02001-A
    start: float  # seconds
    end: float
    words: list[str]
    source: str  # file:line


def read_transcripts(folder, counts: Counter) -> list[Turn]:
    """Reads every sw????[AB]-ms98-a-trans.text under `folder`, by side and time, without the lines that are silence only.

    Args:
      counts: filled with how often each rule changed a word, and how many lines were dropped.
    Raises:
      RecipeError: no transcripts, a side found twice, a line that is malformed, has no words or bad times.
    """
    files = find_files(folder, TRANSCRIPT.pattern, what="ms98 transcripts", expected="sw2001A-ms98-a-trans.text and its like")
    turns = []
    for name, path in files.items():
        number, letter = TRANSCRIPT.match(name).groups()  # type: ignore[union-attr]
        side, clock = f"sw0{number}-{letter.upper()}", 0.0
        with open(require_file(path), encoding="latin-1") as file:
            for index, line in enumerate(file, 1):
                turn = parse_line(line, side, f"{path}:{index}", counts)
                if turn.start < clock - 0.005:
                    counts["lines that begin before the one above ends"] += 1
                clock = turn.end
                if turn.words:
                    turns.append(turn)
                else:
                    counts["lines of silence only dropped"] += 1
    return turns


def parse_line(line: str, side: str, source: str, counts: Counter) -> Turn:
    """`id start end word ...` as a Turn."""
    fields = line.split()
    try:
        start, end = float(fields[1]), float(fields[2])
    except (IndexError, ValueError):
        raise RecipeError("malformed transcript line", file=source, id=side, expected="<id> <start> <end> <word> ...",
                          found=repr(line.strip())) from None
    if len(fields) < 4:
        raise RecipeError("empty transcript", file=source, id=fields[0], expected="words, or [silence]", found="nothing",
                          next="mark the line [silence] or restore the transcript")
    if not 0 <= start < end:
        raise RecipeError("bad times in a transcript", file=source, id=fields[0], expected="0 <= start < end",
                          found=f"{start} {end}")
    return Turn(side, start, end, plain_words(fields[3:], counts), source)


def read_dictionary(folder, counts: Counter) -> list[tuple[str, str]]:
    """The dictionary as C-sorted, distinct (word, 'phone phone ...') pairs with Kaldi's words for noises added.

    Its own entries of [silence], [noise] and the like, all with the phone sil, give way to ours. Lines without
    phones, or with something that is no phone, are dropped and counted.
    Raises:
      RecipeError: no dictionary, or more than MAX_BAD_ENTRIES of its lines are unusable.
    """
    path, = find_files(folder, re.escape(DICTIONARY), what="the ms98 dictionary", expected=DICTIONARY).values()
    entries, bad, total = set(SPECIAL_WORDS.items()), [], 0
    with open(require_file(path), encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            word, *phones = line.lower().replace("&amp;", "&").split() or ["#"]
            if word.startswith("#"):
                continue
            total += 1
            if word in SPECIAL_WORDS or word == "!sil":
                counts["dictionary: own entries of noises replaced"] += 1
            elif not phones or any(not phone.isalpha() or phone in SILENCE_PHONES for phone in phones):
                bad.append((number, line.strip()))
            else:
                entries.add((plain_word(word), " ".join(phones)))
    counts["dictionary: lines without a usable pronunciation dropped"] += len(bad)
    if len(bad) > MAX_BAD_ENTRIES * total:
        raise RecipeError("dictionary lines without a usable pronunciation", file=f"{path}:{bad[0][0]}",
                          id=bad[0][1].split()[0], expected="<word> <phone> ..., letters only, no sil",
                          found=f"{bad[0][1]!r}, {len(bad)} of {total} lines", next="restore sw-ms98-dict.text")
    return sorted(entries, key=lambda entry: f"{entry[0]} {entry[1]}".encode())


def write_dict_folder(folder, entries: list[tuple[str, str]], unknown: Counter) -> None:
    """Publishes data/local/dict in Kaldi's form, with oov_counts.txt: words of the transcripts that the lexicon lacks."""
    nonsilence = sorted({phone for _, phones in entries for phone in phones.split()} - set(SILENCE_PHONES))
    with publish_folder(folder) as temporary:
        def lines(name: str, content: list[str]) -> None:
            Path(temporary / name).write_text("".join(f"{line}\n" for line in content))

        lines("lexicon.txt", [f"{word} {phones}" for word, phones in entries])
        lines("silence_phones.txt", list(SILENCE_PHONES))
        lines("optional_silence.txt", ["sil"])
        lines("nonsilence_phones.txt", nonsilence)
        lines("extra_questions.txt", [])
        most_first = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
        lines("oov_counts.txt", [f"{word} {count}" for word, count in most_first])

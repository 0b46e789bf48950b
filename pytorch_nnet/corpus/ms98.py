"""The Mississippi State transcripts and dictionary of Switchboard-1 (swb_ms98_transcriptions)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .acronyms import Acronyms, Entry, find_acronyms, write_acronyms
from .faults import Faults
from .findfiles import find_files
from .markup import TextRules, rewrite
from .textfile import read_lines, read_seconds

TRANSCRIPT = re.compile(r"^sw(\d{4})([ab])-ms98-a-trans\.text$", re.IGNORECASE)
DICTIONARY = "sw-ms98-dict.text"
SILENCE_PHONES = ("sil", "spn", "nsn", "lau")
MAX_BAD_ENTRIES = 0.005  # share of dictionary lines that may be unusable
SPECIAL_WORDS = {"[silence]": "sil", "[noise]": "nsn", "[vocalized-noise]": "spn", "[laughter]": "lau", "<unk>": "spn"}
WHERE_FROM = ("check the folder given as --ms98; to get it: wget http://www.openslr.org/resources/5/switchboard_word_alignments.tar.gz "
              "(or the same file from http://www.isip.piconepress.com/projects/switchboard/releases), tar -xf it, "
              "and give swb_ms98_transcriptions")


@dataclass
class Turn:
    """One line of a transcript, as plain words."""

    side: str  # recording-id of the conversation side, such as sw02001-A
    start: float  # seconds
    end: float
    words: list[str]
    source: str  # file:line


@dataclass
class Pronunciations:
    entries: list[tuple[str, str]]  # (word, "phone phone ..."), distinct, in C order
    acronyms: Acronyms  # IBM -> (i._b._m., i b m); keys keep their case


def read_transcripts(folder, rules: TextRules, counts: Counter, faults: Faults) -> list[Turn]:
    """Reads every sw????[AB]-ms98-a-trans.text under `folder`, by side and time, without the lines that are silence only.

    Args:
      rules: applied to the words. counts: filled with the numbers of lines that are dropped or odd.
      faults: filled with lines that are malformed, have no words or bad times.
    Raises:
      RecipeError: no transcripts, a side with two transcripts.
    """
    files = find_files(folder, TRANSCRIPT.pattern, what="ms98 transcripts", expected="sw2001A-ms98-a-trans.text and its like",
                       option="--ms98", counts=counts, next=WHERE_FROM)
    turns = []
    for name, path in files.items():
        number, letter = TRANSCRIPT.match(name).groups()  # type: ignore[union-attr]
        side, clock = f"sw0{number}-{letter.upper()}", 0.0
        for index, line in read_lines(path, counts):
            if not line.strip():
                continue
            try:
                turn = parse_line(line, side, f"{path}:{index}", rules)
            except RecipeError as error:
                faults.add(error)
                continue
            if turn.start < clock - 0.005:
                counts["lines that begin before the one above ends"] += 1
            clock = turn.end
            if turn.words:
                turns.append(turn)
            else:
                counts["lines of silence only dropped"] += 1
    return turns


def parse_line(line: str, side: str, source: str, rules: TextRules) -> Turn:
    """`id start end word ...` as a Turn."""
    fields = line.split()
    try:
        start, end = read_seconds(fields[1]), read_seconds(fields[2])
    except (IndexError, ValueError):
        raise RecipeError("malformed transcript line", file=source, id=side, expected="<id> <start> <end> <word> ...",
                          found=repr(line.strip()[:200])) from None
    if len(fields) < 4:
        raise RecipeError("empty transcript", file=source, id=fields[0], expected="words, or [silence]", found="nothing",
                          next="mark the line [silence] or restore the transcript")
    if not 0 <= start < end:
        raise RecipeError("bad times in a transcript", file=source, id=fields[0], expected="0 <= start < end",
                          found=f"{start} {end}")
    return Turn(side, start, end, rules.words(fields[3:]), source)


def read_dictionary(folder, counts: Counter) -> Pronunciations:
    """The dictionary under `folder`, its words as the rules make them, with Kaldi's words for noises added.

    Its own entries of [silence], [noise] and the like, all with the phone sil, give way to ours. Lines without
    phones, or with something that is no phone, are dropped and counted.
    Raises:
      RecipeError: no dictionary, or more than MAX_BAD_ENTRIES of its lines are unusable.
    """
    path, = find_files(folder, re.escape(DICTIONARY), what="the ms98 dictionary", expected=DICTIONARY, option="--ms98",
                       counts=counts, next=WHERE_FROM).values()
    entries: list[Entry] = []
    bad, total = [], 0
    for number, line in read_lines(path, counts):
        word, *phones = line.replace("&amp;", "&").split() or ["#"]
        if word.startswith("#"):
            continue
        total += 1
        phones = [phone.lower() for phone in phones]
        if word.lower() in SPECIAL_WORDS or word.lower() == "!sil":
            counts["dictionary: own entries of noises replaced"] += 1
        elif not phones or any(not phone.isalpha() or phone in SILENCE_PHONES for phone in phones):
            bad.append((number, line.strip()))
        else:
            entries.append((rewrite(word)[0], tuple(phones)))
    counts["dictionary: lines without a usable pronunciation dropped"] += len(bad)
    if len(bad) > MAX_BAD_ENTRIES * total:
        raise RecipeError("dictionary lines without a usable pronunciation", file=f"{path}:{bad[0][0]}",
                          id=bad[0][1].split()[0], expected="<word> <phone> ..., letters only, no sil",
                          found=f"{bad[0][1]!r}, {len(bad)} of {total} lines", next="restore sw-ms98-dict.text")
    entries, acronyms = find_acronyms(entries)
    distinct = set(SPECIAL_WORDS.items()) | {(word.lower(), " ".join(phones)) for word, phones in entries}
    return Pronunciations(sorted(distinct, key=lambda entry: f"{entry[0]} {entry[1]}".encode()), acronyms)


def write_dict_folder(folder, dictionary: Pronunciations, unknown: Counter) -> None:
    """Publishes data/local/dict in Kaldi's form, with acronyms.map and oov_counts.txt.

    acronyms.map has tabs between a word of the transcripts, what it is in the lexicon, and its letters for scoring: Hub5's
    references write letters apart. oov_counts.txt: words of the transcripts that the lexicon lacks.
    """
    entries = dictionary.entries
    nonsilence = sorted({phone for _, phones in entries for phone in phones.split()} - set(SILENCE_PHONES))
    with publish_folder(folder) as temporary:
        def lines(name: str, content: list[str]) -> None:
            Path(temporary / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")

        lines("lexicon.txt", [f"{word} {phones}" for word, phones in entries])
        lines("silence_phones.txt", list(SILENCE_PHONES))
        lines("optional_silence.txt", ["sil"])
        lines("nonsilence_phones.txt", nonsilence)
        lines("extra_questions.txt", [])
        write_acronyms(temporary / "acronyms.map", dictionary.acronyms)
        most_first = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
        lines("oov_counts.txt", [f"{word} {count}" for word, count in most_first])

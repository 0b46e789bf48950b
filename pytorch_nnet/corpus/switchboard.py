"""Switchboard-1 and Hub5'00 as Kaldi data directories, from the LDC's releases.

Every conversation side is a speaker of its own, as in Kaldi: sw02001-A. Utterances are sw02001-A_000123-000456, in
centiseconds of the conversation. The audio stays where it is; wav.scp names the two-channel SPHERE file.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable

from ..io.errors import RecipeError
from ..io.publish import publish, publish_folder
from .datadir import DataDir
from .faults import DEFAULT_MAX_BAD_PERCENT, Faults
from .findfiles import find_files
from .markup import TextRules
from .ms98 import Turn, read_dictionary, read_transcripts, write_dict_folder
from .sets import compare, kaldi_sets, measure, split_conversations
from .telephone import add_utterance, in_order, read_telephone
from .testsets import read_eval2000

AUDIO = re.compile(r"sw0?(\d{4})\.sph")
# Transcripts are of 2438 conversations; many copies of the audio lack three of them, and no disc is as small as that.
MAX_MISSING_SHARE = 1 / 500
REPORT = "prepare_switchboard.txt"


@dataclass
class Report:
    """What was read, changed and dropped."""

    rules: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)  # words of the training data outside the lexicon
    faults: Faults = field(default_factory=Faults)
    missing: list[str] = field(default_factory=list)  # conversations without audio
    sets: dict[str, DataDir] = field(default_factory=dict)
    sizes: dict[str, dict[str, float]] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        lines = [f"  {count:8d}  {name}" for name, count in sorted(self.rules.items()) if count]
        for name, size in self.sizes.items():
            lines.append(f"{name}: {size['segments']} segments, {size['hours']:.2f} h, {size['sides']} sides, "
                         f"{size['conversations']} conversations, {size['words']} words, {size['distinct words']} distinct")
        most = ", ".join(f"{word} {count}" for word, count in self.unknown.most_common(8))
        lines.append(f"outside the lexicon: {sum(self.unknown.values())} words of the training data, {len(self.unknown)} distinct"
                     + (f" ({most})" if most else ""))
        return lines + self.published

    def named(self) -> list[str]:
        """What was dropped, one by one."""
        return [f"conversation without audio: {name}" for name in self.missing] + self.faults.lines()


def prepare(swbd1, ms98, eval2000: Iterable, data, *, dev: float | None = None, max_oov_percent: float = 1.0,
            max_missing: int | None = None, max_bad_percent: float = DEFAULT_MAX_BAD_PERCENT, check_figures: bool = True) -> Report:
    """Reads the three releases and publishes data/{train,dev,train_dev,train_nodev,train_nodup,eval2000} and data/local/dict.

    The report also goes to data/local/prepare_switchboard.txt, with the name of everything that was dropped.
    Args:
      dev: conversations for dev, see `sets.split_conversations`.
      max_oov_percent: stop if more of the training words than this are outside the lexicon.
      max_missing: conversations whose audio may be missing (they are dropped and counted); None: MAX_MISSING_SHARE of them.
      max_bad_percent: stop if more segments than this cannot be used, see `faults`.
      check_figures: stop if a complete release does not have its published size, see `sets.compare`.
    Raises:
      RecipeError: anything that is missing, cut short or does not fit together; nothing is published then.
    """
    data, report = Path(data), Report()
    dictionary = read_dictionary(ms98, report.rules)
    rules = TextRules({word: written for word, (written, _) in dictionary.acronyms.items()})
    turns = read_transcripts(ms98, rules, report.rules, report.faults)
    segments = len(turns) + len(report.faults.errors)
    audio = find_audio(swbd1, report.rules)
    turns = drop_missing(turns, audio, max_missing, report)
    both = training_data(turns, audio, report)
    report.faults.check(segments, max_bad_percent)
    report.rules["segments that cannot be used, dropped"] += len(report.faults.errors)
    report.rules.update(rules.counts())
    check_words(both, {word for word, _ in dictionary.entries}, max_oov_percent, report)
    train, kept_out = split_conversations(both, dev)
    test = read_eval2000(eval2000, report.rules)
    report.sets = {"train": train, "dev": kept_out, **kaldi_sets(both), "eval2000": test.data}
    report.sizes = {"all": measure(both), **{name: measure(part) for name, part in report.sets.items()}}
    report.published = compare(report.sizes, asserted=check_figures)

    write_dict_folder(data / "local" / "dict", dictionary, report.unknown)
    for name, part in report.sets.items():
        if name == "eval2000":
            test.publish(data / name)
        else:
            with publish_folder(data / name) as folder:
                part.write(folder)
            part.path = data / name
    with publish(data / "local" / REPORT) as file:
        file.writelines(f"{line}\n" for line in [*report.lines(), *report.named()])
    return report


def find_audio(folder, counts: Counter) -> dict[str, str]:
    """Conversation, such as sw02001, -> path; discs name it sw02001.sph or sw2001.sph, in any case."""
    files = find_files(folder, AUDIO.pattern, what="Switchboard audio", expected="sw02001.sph and its like", option="--swbd1", counts=counts)
    audio: dict[str, str] = {}
    for name, path in files.items():
        conversation = f"sw0{AUDIO.fullmatch(name)[1]}"  # type: ignore[index]
        if audio.setdefault(conversation, path) != path:
            raise RecipeError("a conversation with two audio files", file=path, id=conversation, expected="one file",
                              found=audio[conversation], next="name the folder that holds one of them only")
    return audio


def drop_missing(turns: list[Turn], audio: dict[str, str], allowed: int | None, report: Report) -> list[Turn]:
    """Turns whose conversation has audio; more missing than allowed is an error. Audio without a transcript is counted."""
    transcribed = {turn.side[:-2] for turn in turns}
    missing = sorted(transcribed - audio.keys())
    allowed = int(len(transcribed) * MAX_MISSING_SHARE) if allowed is None else allowed
    if len(missing) > allowed:
        first = next(turn for turn in turns if turn.side.startswith(missing[0]))
        folders = Counter(os.path.dirname(path) for path in audio.values())
        raise RecipeError("transcript without audio", file=first.source, id=missing[0], expected=f"{missing[0]}.sph under --swbd1",
                          found=f"no such file; {len(missing)} of {len(transcribed)} conversations have none ({spans(missing)}); "
                                "audio is in " + ", ".join(f"{folder}: {number}" for folder, number in sorted(folders.items())),
                          next="complete the audio (is a disc missing?), or call again with "
                               f"--max-missing {len(missing)} to leave them out")
    report.missing = missing
    report.rules["conversations without audio dropped"] += len(missing)
    report.rules["audio files without a transcript not used"] += len(audio.keys() - transcribed)
    gone = set(missing)
    return [turn for turn in turns if turn.side[:-2] not in gone]


def spans(names: list[str], most: int = 5) -> str:
    """Sorted names such as sw02001 with neighbours put together: `sw02001 to sw02120, sw02289`."""
    groups: list[list[str]] = []
    for name in names:
        if groups and int(name[2:]) == int(groups[-1][-1][2:]) + 1:
            groups[-1].append(name)
        else:
            groups.append([name])
    shown = [group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}" for group in groups[:most]]
    return ", ".join(shown) + (", ..." if len(groups) > most else "")


def training_data(turns: list[Turn], audio: dict[str, str], report: Report) -> DataDir:
    """All transcribed conversations as one data directory in memory; segments that cannot be used go to the faults."""
    data, files = DataDir(Path("train"), {}), {}
    for turn in turns:
        name = turn.side[:-2]
        if name not in files:
            files[name] = read_telephone(audio[name], report.rules)
        times = (turn.start, turn.end)
        try:
            add_utterance(data, turn.side, times, times, turn.words, files[name], turn.source, report.rules)
        except RecipeError as error:
            report.faults.add(error)
    if not data.utt2spk and not report.faults.errors:
        raise RecipeError("no transcript has a word", expected="at least one line that is not [silence]", found="none")
    return in_order(data)


def check_words(data: DataDir, known: set[str], max_percent: float, report: Report) -> None:
    """Counts words outside the lexicon (they are trained as <unk>); too many mean that dictionary and transcripts do not fit."""
    words = Counter(word for text in data.text.values() for word in text)
    report.unknown = Counter({word: count for word, count in words.items() if word not in known})
    percent = 100 * sum(report.unknown.values()) / sum(words.values())
    if percent > max_percent:
        word = report.unknown.most_common(1)[0][0]
        utt = next(utt for utt, words in data.text.items() if word in words)
        raise RecipeError("words outside the lexicon", id=f"'{word}' in {utt}", expected=f"at most {max_percent} % of the words",
                          found=f"{percent:.2f} %, {len(report.unknown)} distinct",
                          next="add them to sw-ms98-dict.text, or allow more with --max-oov-percent")

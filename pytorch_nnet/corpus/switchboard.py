"""Switchboard-1 and Hub5'00 as Kaldi data directories: train, dev (whole conversations kept out of training) and eval2000.

Every conversation side is a speaker of its own, as in Kaldi: sw02001-A. Utterances are sw02001-A_000123-000456, in
centiseconds of the conversation. The audio stays where it is; wav.scp names the two-channel SPHERE file.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .datadir import DataDir, Segment
from .findfiles import find_files
from .hub5 import check_pem, padded_times, read_stm
from .markup import NOISES
from .ms98 import Turn, read_dictionary, read_transcripts, write_dict_folder
from .sphere import Sphere, read_sphere

MAX_OVERHANG = 0.5  # seconds a segment may run beyond its file and be clipped; more means that file and transcript do not match
DEFAULT_DEV = 10  # conversations, about an hour of Switchboard ...
DEFAULT_DEV_SHARE = 1 / 8  # ... but no more than this share of a small corpus
MAX_SAME_TEXT = 300  # Kaldi's duplicate removal keeps this many utterances of one text


@dataclass
class Report:
    """What was read, changed and dropped."""

    rules: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)  # words of train and dev outside the lexicon
    sets: dict[str, DataDir] = field(default_factory=dict)

    def lines(self) -> list[str]:
        lines = [f"  {count:8d}  {name}" for name, count in sorted(self.rules.items()) if count]
        for name, data in self.sets.items():
            hours = sum(s.end - s.start for s in data.segments.values()) / 3600
            texts = Counter(" ".join(words) for words in data.text.values())
            words = Counter(word for text in data.text.values() for word in text if word not in NOISES)
            unlike = sum(min(number, MAX_SAME_TEXT) for number in texts.values())
            lines.append(f"{name}: {len(data.utts)} utterances ({unlike} with at most {MAX_SAME_TEXT} of the same text), "
                         f"{hours:.2f} h, {len(data.spk2utt)} sides, {sum(words.values())} words, {len(words)} distinct")
        most = ", ".join(f"{word} {count}" for word, count in self.unknown.most_common(8))
        lines.append(f"outside the lexicon: {sum(self.unknown.values())} words of train and dev, {len(self.unknown)} distinct"
                     + (f" ({most})" if most else ""))
        return lines


def prepare(swbd1, ms98, eval2000: Iterable, data, *, dev: float | None = None, max_oov_percent: float = 1.0,
            max_missing: int = 0) -> Report:
    """Reads the three releases and publishes data/{train,dev,eval2000} and data/local/dict.

    Args:
      dev: conversations for dev: a number if at least 1, else a share of all; None: DEFAULT_DEV, DEFAULT_DEV_SHARE.
      max_oov_percent: stop if more of the training words than this are outside the lexicon.
      max_missing: conversations whose audio may be missing (they are dropped and counted).
    Raises:
      RecipeError: anything that is missing, cut short or does not fit together; nothing is published then.
    """
    data, report = Path(data), Report()
    turns = read_transcripts(ms98, report.rules)
    lexicon = read_dictionary(ms98, report.rules)
    audio = find_files(swbd1, r".*\.sph", what="Switchboard audio", expected="sw02001.sph and its like")
    turns = drop_missing(turns, audio, max_missing, report.rules)
    both = training_data(turns, audio, report.rules)
    check_words(both, {word for word, _ in lexicon}, max_oov_percent, report)
    train, kept_out = split_conversations(both, dev)
    test, stm, glm = test_data(eval2000, report.rules)
    report.sets = {"train": train, "dev": kept_out, "eval2000": test}

    write_dict_folder(data / "local" / "dict", lexicon, report.unknown)
    for name, part in report.sets.items():
        with publish_folder(data / name) as folder:
            part.write(folder)
            if name == "eval2000":
                (folder / "stm").write_text(stm, encoding="latin-1")
                (folder / "glm").write_text(glm, encoding="latin-1")
        part.path = data / name
    return report


def drop_missing(turns: list[Turn], audio: dict[str, str], allowed: int, counts: Counter) -> list[Turn]:
    """Turns whose conversation has audio; more missing than allowed is an error. Audio without a transcript is counted."""
    transcribed = {turn.side[:-2] for turn in turns}
    present = {name[:-len(".sph")] for name in audio}
    missing = sorted(transcribed - present)
    if len(missing) > allowed:
        first = next(turn for turn in turns if turn.side.startswith(missing[0]))
        raise RecipeError("transcript without audio", file=first.source, id=missing[0], expected=f"{missing[0]}.sph under --swbd1",
                          found=f"no such file; {len(missing)} of {len(transcribed)} conversations have none",
                          next=f"complete the audio, or call again with --max-missing {len(missing)} to leave them out")
    counts["conversations without audio dropped"] += len(missing)
    counts["audio files without a transcript not used"] += len(present - transcribed)
    return [turn for turn in turns if turn.side[:-2] not in missing]


def training_data(turns: list[Turn], audio: dict[str, str], counts: Counter) -> DataDir:
    """All transcribed conversations as one data directory in memory."""
    data, files = DataDir(Path("train"), {}), {}
    for turn in turns:
        name = turn.side[:-2]
        if name not in files:
            files[name] = read_sphere(audio[f"{name}.sph"])
        times = (turn.start, turn.end)
        add_utterance(data, turn.side, times, times, turn.words, files[name], turn.source, counts)
    if not data.utt2spk:
        raise RecipeError("no transcript has a word", expected="at least one line that is not [silence]", found="none")
    return in_order(data)


def add_utterance(data: DataDir, side: str, named: tuple[float, float], times: tuple[float, float], words: list[str],
                  file: Sphere, source: str, counts: Counter) -> None:
    """Adds one segment from `times`, clipped to the file; its id carries `named`, the times in the transcript."""
    start, end = named
    if end > file.duration + MAX_OVERHANG:
        raise RecipeError("segment runs beyond the end of its recording", file=source, id=side,
                          expected=f"an end of at most {file.duration:.2f} s ({file.path})", found=f"{end:.2f} s",
                          next="transcript and audio do not belong together, or the audio is cut short: restore them")
    if end > file.duration:
        counts["segments clipped to the end of the recording"] += 1
    last = int(file.duration * 100)
    utt = f"{side}_{int(start * 100 + 0.5):06d}-{int(end * 100 + 0.5):06d}"
    segment = Segment(side, int(times[0] * 100 + 0.5) / 100, min(int(times[1] * 100 + 0.5), last) / 100)
    if segment.end <= segment.start:
        counts["segments shorter than a centisecond dropped"] += 1
        return
    if utt in data.utt2spk:
        raise RecipeError("two segments with the same times", file=source, id=utt, expected="each segment once",
                          found="a second one")
    data.utt2spk[utt], data.text[utt], data.segments[utt] = side, words, segment
    data.wav[side] = file.path
    data.channel[side] = (side[:-2], side[-1])


def in_order(data: DataDir) -> DataDir:
    """The same directory with every table in C order."""
    for table in (data.utt2spk, data.text, data.segments, data.wav, data.channel):
        entries = sorted(table.items(), key=lambda item: item[0].encode())
        table.clear()
        table.update(entries)  # type: ignore[call-overload]
    return data


def check_words(data: DataDir, known: set[str], max_percent: float, report: Report) -> None:
    """Counts words outside the lexicon (they are trained as <unk>); too many mean that dictionary and transcripts do not fit."""
    total = 0
    for words in data.text.values():
        total += len(words)
        report.unknown.update(word for word in words if word not in known)
    percent = 100 * sum(report.unknown.values()) / total
    if percent > max_percent:
        word = report.unknown.most_common(1)[0][0]
        utt = next(utt for utt, words in data.text.items() if word in words)
        raise RecipeError("words outside the lexicon", id=f"'{word}' in {utt}", expected=f"at most {max_percent} % of the words",
                          found=f"{percent:.2f} %, {len(report.unknown)} distinct",
                          next="add them to sw-ms98-dict.text, or allow more with --max-oov-percent")


def split_conversations(data: DataDir, dev: float | None) -> tuple[DataDir, DataDir]:
    """Splits off whole conversations, evenly spread over the corpus, as dev."""
    conversations = sorted({recording[:-2] for recording in data.wav})
    if dev is None:
        number = min(DEFAULT_DEV, round(len(conversations) * DEFAULT_DEV_SHARE))
    else:
        number = round(dev if dev >= 1 else dev * len(conversations))
    number = max(number, 1)
    if number >= len(conversations):
        raise RecipeError("no conversation left for training", expected=f"fewer than {len(conversations)} conversations for dev",
                          found=number, next="call again with a smaller --dev-conversations, or give a larger corpus")
    chosen = {conversations[(2 * k + 1) * len(conversations) // (2 * number)] for k in range(number)}
    train = data.subset(utt for utt, side in data.utt2spk.items() if side[:-2] not in chosen)
    return train, data.subset(utt for utt, side in data.utt2spk.items() if side[:-2] in chosen)


def test_data(folders: Iterable, counts: Counter) -> tuple[DataDir, str, str]:
    """Hub5'00 in memory: the data directory, the stm (less what upsets hubscr) and the glm, as text."""
    folders = list(folders)
    stm_path, = find_files(folders, r"hub5e00\.english.*\.stm", what="Hub5'00 references",
                           expected="hub5e00.english.000405.stm").values()
    glm_path, = find_files(folders, r"en20000405_hub5\.glm", what="Hub5'00 mapping rules",
                           expected="en20000405_hub5.glm").values()
    audio = find_files(folders, r".*\.sph", what="Hub5'00 audio", expected="sw_4390.sph and its like")
    segments = read_stm(stm_path, counts)
    pems = find_files(folders, r"hub5e_00\.pem", what="Hub5'00 segments", expected="hub5e_00.pem", required=False)
    for path in pems.values():
        check_pem(path, segments)
    if not pems:
        counts["no hub5e_00.pem: stm segments not cross-checked"] += 1
    data, files = DataDir(Path("eval2000"), {}), {}
    for segment, times in zip(segments, padded_times(segments)):
        name = f"{segment.file.lower()}.sph"
        if name not in audio:
            raise RecipeError("reference without audio", file=segment.source, id=segment.file, expected=f"{name} under --eval2000",
                              found="no such file", next="give the folders of both LDC2002S09 and LDC2002T43 in --eval2000")
        if name not in files:
            files[name] = read_sphere(audio[name])
        if segment.words:
            named = (segment.start, segment.end)
            add_utterance(data, segment.recording, named, times, segment.words, files[name], segment.source, counts)
    text = Path(stm_path).read_text(encoding="latin-1")
    text = re.sub(r"<[be]_aside>", "", text, flags=re.IGNORECASE).replace("((", "(")  # hubscr stumbles over both
    return in_order(data), text, Path(glm_path).read_text(encoding="latin-1")

"""What a recogniser heard, and the forms it is written in: text, CTM, SRT, JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Iterator, Sequence

PAUSE = 0.8  # seconds of silence that end a caption
CAPTION_WORDS, CAPTION_SECONDS = 10, 6.0


@dataclass(frozen=True)
class Word:
    word: str
    begin: float  # seconds from the start of the file
    duration: float  # seconds
    confidence: float  # 0 to 1: the posterior probability of the word in its lattice

    @property
    def end(self) -> float:
        return self.begin + self.duration


@dataclass(frozen=True)
class Transcript:
    """One channel of one file. failed: (begin, end) in seconds of the pieces that no path of the graph fits: no words there."""

    file: str
    channel: int  # from 1
    duration: float  # seconds
    words: list[Word] = field(default_factory=list)
    failed: list[tuple[float, float]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


def to_text(transcripts: Sequence[Transcript]) -> str:
    """A line a channel: its words, after file and channel if there are several."""
    if len(transcripts) == 1:
        return transcripts[0].text + "\n"
    return "".join(f"{t.file} {t.channel} {t.text}".rstrip() + "\n" for t in transcripts)


def to_ctm(transcripts: Sequence[Transcript]) -> str:
    """file channel begin duration word confidence; a blank in a file's name becomes an underscore, as fields end at blanks."""
    return "".join(f"{'_'.join(t.file.split())} {t.channel} {w.begin:.2f} {w.duration:.2f} {w.word} {w.confidence:.2f}\n"
                   for t in transcripts for w in t.words)


def to_srt(transcripts: Sequence[Transcript]) -> str:
    """Subtitles of one file, in order of time; of two channels each line names its speaker."""
    captions = sorted(((words, t.channel) for t in transcripts for words in captions_of(t.words)), key=lambda one: one[0][0].begin)
    several = len({t.channel for t in transcripts}) > 1
    return "".join(
        f"{number}\n{clock(words[0].begin)} --> {clock(words[-1].end)}\n"
        f"{f'speaker {channel}: ' if several else ''}{' '.join(word.word for word in words)}\n\n"
        for number, (words, channel) in enumerate(captions, 1))


def captions_of(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Words of one channel in groups short enough to read, ended by pauses."""
    caption: list[Word] = []
    for word in words:
        if caption and (word.begin - caption[-1].end > PAUSE or len(caption) == CAPTION_WORDS
                        or word.end - caption[0].begin > CAPTION_SECONDS):
            yield caption
            caption = []
        caption.append(word)
    if caption:
        yield caption


def clock(seconds: float) -> str:
    """SRT's time: 01:02:03,456."""
    thousandths = round(seconds * 1000)
    return f"{thousandths // 3_600_000:02d}:{thousandths // 60_000 % 60:02d}:{thousandths // 1000 % 60:02d},{thousandths % 1000:03d}"


def to_json(transcripts: Sequence[Transcript]) -> str:
    """A list with an object a channel: its fields, and `text`."""
    return json.dumps([{**rounded(asdict(t)), "text": t.text} for t in transcripts], indent=1, ensure_ascii=False) + "\n"


def rounded(value):
    """The same with every number at three decimals; times come in hundredths of a second."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


FORMATS = {"text": to_text, "ctm": to_ctm, "srt": to_srt, "json": to_json}

"""Utterances of an alignment directory with their phones, words and places in the recordings, for exports and views."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import read_alignments
from ..io.errors import RecipeError, reading
from ..lang.lang_dir import LangDir
from .convert import Segments, phone_segments, word_segments
from .model import AcousticModel

FRAME_SHIFT = 0.01  # seconds


class Span(NamedTuple):
    """A phone or word, its first frame in the utterance and its number of frames."""

    name: str
    start: int
    frames: int


@dataclass
class AlignedUtterance:
    """One utterance; `phones` and `words` are spans in order of time. Optional silence is a phone but no word.

    alignment: transition-ids (T,). recording: its id in wav.scp. file, channel: as CTM names them. begin: seconds from
    the start of the recording to frame 0.
    """

    utt: str
    recording: str
    file: str
    channel: str
    begin: float
    alignment: np.ndarray
    segments: Segments
    source: "AlignmentDir"

    @cached_property
    def phones(self) -> list[Span]:
        names = self.source.lang.id2phone
        return [Span(names[phone], start, frames) for phone, start, frames
                in zip(self.segments.phones.tolist(), self.segments.starts.tolist(), self.segments.lengths.tolist())]

    @cached_property
    def words(self) -> list[Span]:
        """Words of the transcript; the lang directory's word for unknown ones in place of those the lexicon lacks."""
        source = self.source
        known = [word if word in source.pronunciations else source.oov for word in source.data.text[self.utt]]
        found = word_segments(self.segments, known, source.pronunciations, source.lang.optional_silence, self.utt)
        return [Span(*item) for item in found]


class AlignmentDir:
    """An alignment directory with the data and lang directories it was made from; iterates over utterances in C order.

    failed: reason by utterance that has no alignment, as far as the directory tells.
    """

    def __init__(self, data, lang, folder):
        self.folder, self.data, self.lang = Path(folder), DataDir.load(data, need=("text",)), LangDir(lang)
        self.alignments = read_alignments(folder)
        self.model = AcousticModel.load(folder)
        self.failed = read_failed(folder)
        unnamed = set(self.model.table.topology.phones.tolist()) - (self.lang.id2phone.keys() - set(self.lang.disambig))
        if unnamed:
            raise RecipeError("alignment and lang directory have different phones", file=self.folder / "final.mdl",
                              id=f"phone {min(unnamed)}", expected=f"the phones of {self.lang.path('phones.txt')}",
                              found=f"{len(unnamed)} others", next="name the lang directory the model was trained with")
        unknown = self.alignments.keys() - self.data.utt2spk.keys()
        if unknown:
            raise RecipeError("alignment of an utterance that the data directory lacks", file=self.folder,
                              id=min(unknown), expected=f"utterances of {self.data.path}",
                              found=f"{len(unknown)} others", next="name the data directory that was aligned")

    @cached_property
    def pronunciations(self) -> dict[str, list[tuple[int, ...]]]:
        """Phone ids of every pronunciation of each word."""
        table: dict[str, list[tuple[int, ...]]] = {}
        for word, phones in self.lang.lexicon:
            table.setdefault(word, []).append(tuple(self.lang.phones[phone] for phone in phones))
        return table

    @cached_property
    def oov(self) -> str:
        return self.lang.id2word[self.lang.oov]

    def __iter__(self) -> Iterator[AlignedUtterance]:
        return (self[utt] for utt in self.data.utts if utt in self.alignments)

    def __getitem__(self, utt: str) -> AlignedUtterance:
        """Raises RecipeError for an utterance without alignment: why it has none, or the nearest names."""
        if utt not in self.alignments:
            raise self.missing(utt)
        segment = self.data.segments.get(utt)
        recording = segment.recording if segment else utt
        file, channel, begin = self.data.ctm_place(utt)
        alignment = self.alignments[utt]
        return AlignedUtterance(utt, recording, file, channel, begin, alignment,
                                phone_segments(alignment, self.model.table, utt), self)

    def missing(self, utt: str) -> RecipeError:
        if utt in self.data.utt2spk:
            reason = self.failed.get(utt, "none, and no reason in 'failed': was another data directory aligned?")
            return RecipeError("utterance without an alignment", file=self.folder, id=utt, expected="one in ali.JOB.gz",
                               found=reason)
        near = difflib.get_close_matches(utt, self.data.utts, n=3)
        return RecipeError("no such utterance", file=self.data.path / "utt2spk", id=utt,
                           expected=f"did you mean {' or '.join(near)}?" if near else
                           f"an id such as {self.data.utts[0]} (of {len(self.data.utts)})")

    def unaligned(self) -> list[str]:
        """Utterances of the data directory without an alignment."""
        return [utt for utt in self.data.utts if utt not in self.alignments]


def read_failed(folder) -> dict[str, str]:
    """Reason by utterance from an alignment directory's `failed`; empty if it has none (Kaldi writes no such file)."""
    path = Path(folder) / "failed"
    with reading(path, "not a text file of UTF-8"):
        pairs = [line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return {utt: reason for utt, _, reason in pairs}

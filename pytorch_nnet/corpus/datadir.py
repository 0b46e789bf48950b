"""Kaldi data directories: read, check, write.

data/<set>/: wav.scp, segments (optional), text, utt2spk, spk2utt, reco2file_and_channel, reco2speed (optional), feats.scp,
cmvn.scp, utt2num_frames; one 'key value...' line each, sorted in C order. Kaldi: egs/wsj/s5/utils/validate_data_dir.sh.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable, Iterator, Mapping

from ..io.archives import read_scp
from ..io.errors import RecipeError, reading, require_file
from ..io.ids import check_id
from ..io.publish import publish

INDEXES = ("feats.scp", "cmvn.scp")  # of archives: no command has a place there
MAX_SECONDS = 1e7  # of a recording: what lies beyond has no milliseconds in double precision's text


@dataclass
class Segment:
    recording: str
    start: float  # seconds
    end: float  # seconds


@dataclass
class DataDir:
    """One data directory in memory; every table is keyed by utterance unless said otherwise."""

    path: Path
    utt2spk: dict[str, str]
    text: dict[str, list[str]] = field(default_factory=dict)
    wav: dict[str, str] = field(default_factory=dict)  # recording -> path
    segments: dict[str, Segment] = field(default_factory=dict)
    channel: dict[str, tuple[str, str]] = field(default_factory=dict)  # recording -> (file, "A" or "B")
    speed: dict[str, float] = field(default_factory=dict)  # recording -> played how many times as fast (corpus.speed)
    feats: dict[str, str] = field(default_factory=dict)  # -> archive.ark:offset
    cmvn: dict[str, str] = field(default_factory=dict)  # speaker -> archive.ark:offset
    num_frames: dict[str, int] = field(default_factory=dict)

    @property
    def utts(self) -> list[str]:
        """Utterance ids in C order."""
        return list(self.utt2spk)

    @property
    def spk2utt(self) -> dict[str, list[str]]:
        speakers: dict[str, list[str]] = {}
        for utt, speaker in self.utt2spk.items():
            speakers.setdefault(speaker, []).append(utt)
        return dict(sorted(speakers.items(), key=lambda item: item[0].encode()))

    def ctm_place(self, utt: str) -> tuple[str, str, float]:
        """File and channel as NIST's formats name them, and the seconds from the file's start to the utterance's."""
        segment = self.segments.get(utt)
        recording, begin = (segment.recording, segment.start) if segment else (utt, 0.0)
        return *self.channel.get(recording, (recording, "1")), begin

    @classmethod
    def load(cls, path, need: Iterable[str] = ()) -> "DataDir":
        """Reads what is there and checks that the tables agree.

        A command in wav.scp is only a name here: `corpus.placement` refuses it before anything would run it.

        Args:
          need: files that must exist, such as ("text", "feats.scp").
        Raises:
          RecipeError: a missing or unsorted file, an empty transcript, an id in one table and not in another.
        """
        path = Path(path)
        if not path.is_dir():
            raise RecipeError("no such data directory", file=path, next="run the stage that makes it (run.sh --stage 0)")
        for name in ("utt2spk", *need):
            require_file(path / name, next=f"utils/validate_data_dir {path}")

        def table(name: str) -> dict[str, str]:
            return read_scp(path / name, allow_pipes=name not in INDEXES) if (path / name).exists() else {}

        data = cls(path, table("utt2spk"))
        for speaker in set(data.utt2spk.values()):
            check_id(speaker, file=path / "utt2spk")
        data.text = read_text(path / "text") if (path / "text").exists() else {}
        data.wav, data.feats, data.cmvn = table("wav.scp"), table("feats.scp"), table("cmvn.scp")
        with reading(path / "utt2num_frames", expected="<utterance> <number>"):
            data.num_frames = {utt: read_count(n) for utt, n in table("utt2num_frames").items()}
        for utt, value in table("segments").items():
            with reading(path / "segments", expected="<utterance> <recording> <start> <end>"):
                recording, start, end = value.split()
                data.segments[utt] = Segment(recording, float(start), float(end))
            check_id(recording, file=path / "segments")
            if not good_times(float(start), float(end)):
                raise RecipeError("bad segment times", file=path / "segments", id=utt, expected="0 <= start < end", found=value,
                                  next=f"correct the times, or remove the line and call utils/fix_data_dir {path}")
        for recording, value in table("reco2file_and_channel").items():
            with reading(path / "reco2file_and_channel", id=recording, expected="<recording> <file> <channel>"):
                name, channel = (check_id(word, file=path / "reco2file_and_channel") for word in value.split())
            data.channel[recording] = (name, channel)
        data.speed = {recording: read_speed(path / "reco2speed", recording, value)
                      for recording, value in table("reco2speed").items()}
        data.check_agreement()
        return data

    def check_agreement(self) -> None:
        """Raises RecipeError where two tables do not hold the same ids, or a speaker id is no prefix of its utterance's."""
        utts, speakers = self.utt2spk.keys(), set(self.utt2spk.values())
        for name, table, ids in (("text", self.text, utts), ("segments", self.segments, utts), ("feats.scp", self.feats, utts),
                                 ("utt2num_frames", self.num_frames, utts), ("cmvn.scp", self.cmvn, speakers),
                                 ("wav.scp", {} if self.segments else self.wav, utts)):
            if table and table.keys() != ids:
                missing = sorted(ids - table.keys())
                surplus = sorted(table.keys() - ids)
                raise RecipeError(f"utt2spk and {name} disagree", file=self.path / name, id=(missing or surplus)[0],
                                  expected=f"the {len(ids)} {'speakers' if ids is speakers else 'utterances'} of utt2spk",
                                  found=f"{len(missing)} missing, {len(surplus)} unknown", next=f"utils/fix_data_dir {self.path}")
        if self.speed and self.wav and self.speed.keys() != self.wav.keys():
            raise RecipeError("wav.scp and reco2speed disagree", file=self.path / "reco2speed",
                              id=min(self.speed.keys() ^ self.wav.keys()), expected=f"the {len(self.wav)} recordings of wav.scp",
                              found=f"{len(self.speed)} recordings", next=f"utils/fix_data_dir {self.path}")
        for utt, segment in self.segments.items():
            if self.wav and segment.recording not in self.wav:
                raise RecipeError("segment of an unknown recording", file=self.path / "segments", id=utt,
                                  expected="a recording of wav.scp", found=segment.recording,
                                  next=f"utils/fix_data_dir {self.path}")
        for utt, speaker in self.utt2spk.items():
            if not utt.startswith(speaker):
                raise RecipeError("speaker id is not a prefix of the utterance id", file=self.path / "utt2spk", id=utt,
                                  expected="<speaker>...", found=speaker)

    def subset(self, utts: Iterable[str], path=None) -> "DataDir":
        """The same directory restricted to `utts`; tables of recordings and speakers shrink with them."""
        keep = set(utts)

        def pick(table: Mapping) -> dict:
            return {key: value for key, value in table.items() if key in keep}

        part = DataDir(Path(path or self.path), pick(self.utt2spk), pick(self.text), segments=pick(self.segments),
                       feats=pick(self.feats), num_frames=pick(self.num_frames))
        recordings = {s.recording for s in part.segments.values()} if self.segments else keep
        speakers = set(part.utt2spk.values())
        part.wav = {r: v for r, v in self.wav.items() if r in recordings}
        part.channel = {r: v for r, v in self.channel.items() if r in recordings}
        part.speed = {r: v for r, v in self.speed.items() if r in recordings}
        part.cmvn = {s: v for s, v in self.cmvn.items() if s in speakers}
        return part

    def write(self, path=None) -> "DataDir":
        """Publishes every non-empty table in C order under `path` (default: where it was read)."""
        self.path = Path(path or self.path)
        lines = {
            "utt2spk": self.utt2spk,
            "spk2utt": {spk: " ".join(utts) for spk, utts in self.spk2utt.items()},
            "text": {utt: " ".join(words) for utt, words in self.text.items()},
            "wav.scp": self.wav,
            "segments": {utt: f"{s.recording} {s.start:.3f} {s.end:.3f}" for utt, s in self.segments.items()},
            "reco2file_and_channel": {r: " ".join(fc) for r, fc in self.channel.items()},
            "reco2speed": {r: f"{factor:g}" for r, factor in self.speed.items()},
            "feats.scp": self.feats, "cmvn.scp": self.cmvn,
            "utt2num_frames": {utt: str(n) for utt, n in self.num_frames.items()},
        }
        for name, table in lines.items():
            if table:
                write_table(self.path / name, table)
        return self

    def at_most(self, jobs: int) -> int:
        """`jobs`, or the number of speakers if that is smaller: a job has at least one."""
        speakers = len(set(self.utt2spk.values()))
        if jobs > speakers:
            print(f"{self.path}: {speakers} speakers, so {speakers} jobs instead of {jobs}", file=sys.stderr)
        return min(jobs, speakers)

    def split(self, jobs: int) -> list["DataDir"]:
        """Splits by speaker into `jobs` parts of about equal numbers of utterances, in C order, never inside a speaker.

        Fewer speakers than jobs: raises RecipeError.
        """
        speakers = self.spk2utt
        if len(speakers) < jobs:
            raise RecipeError("more jobs than speakers", file=self.path / "spk2utt", expected=f"nj at most {len(speakers)}",
                              found=f"nj {jobs}")
        parts: list[list[str]] = [[] for _ in range(jobs)]
        done, total, job = 0, len(self.utt2spk), 0
        for index, utts in enumerate(speakers.values()):
            left = len(speakers) - index
            if parts[job] and (done >= total * (job + 1) / jobs or left <= jobs - job - 1):
                job = min(job + 1, jobs - 1)
            parts[job] += utts
            done += len(utts)
        return [self.subset(part) for part in parts]


def good_times(start: float, end: float) -> bool:
    """Whether a segment has a length in whole milliseconds, in which it is written."""
    return 0 <= start < end < MAX_SECONDS and round(start, 3) < round(end, 3)


def read_speed(file, recording: str, value: str) -> float:
    """Reads one factor of reco2speed."""
    try:
        factor = float(value)
    except ValueError:
        factor = math.nan
    if not 0.5 <= factor <= 2:
        raise RecipeError("not a speed", file=file, id=recording, expected="a factor from 0.5 to 2, such as 0.9", found=value,
                          next="make the directory again: utils/perturb_data_dir_speed")
    return factor


def read_text(path) -> dict[str, list[str]]:
    """Reads a transcript table; an utterance without words is an error, not a silence."""
    return dict(iterate_text(path))


def iterate_text(path) -> Iterator[tuple[str, list[str]]]:
    """Like `read_text`, an utterance at a time."""
    previous = None
    with reading(path, "not a text file of UTF-8"), open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if len(words) < 2:
                raise RecipeError("empty transcript", file=f"{path}:{number}", id=words[0] if words else None,
                                  expected="<utterance> <word> ...", found=repr(line),
                                  next=f"utils/fix_data_dir {Path(path).parent} drops such utterances")
            if previous is not None and words[0].encode() <= previous.encode():
                raise RecipeError("not sorted in C order, or repeated", file=f"{path}:{number}", id=words[0],
                                  expected=f"an id after '{previous}'", found=words[0],
                                  next=f"utils/fix_data_dir {Path(path).parent}")
            yield check_id(words[0], file=f"{path}:{number}"), words[1:]
            previous = words[0]


def read_count(text: str) -> int:
    """A number of frames; raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError(f"no number of frames: {text[:40]!r}")
    return int(text)


def check_apart(source, target) -> None:
    """Raises RecipeError if publishing `target`, which replaces that folder, would remove `source`."""
    if Path(source).resolve().is_relative_to(Path(target).resolve()):
        raise RecipeError("the target would replace its source", file=target, expected="a folder of its own", found=f"{source} is there, or in it",
                          next="name another target")


def write_table(path, table: Mapping[str, str]) -> None:
    """Publishes 'key value' lines sorted in C order. Raises RecipeError for a key or a value that would not stay in its line."""
    with publish(path) as file:
        for key in sorted(table, key=str.encode):
            if not table[key].strip() or "\n" in table[key] or "\r" in table[key]:
                raise RecipeError("a value that is no part of one line", file=path, id=check_id(key), expected="text without line ends",
                                  found=repr(table[key]))
            file.write(f"{check_id(key, file=path)} {table[key]}\n")

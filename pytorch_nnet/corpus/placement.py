"""Where each utterance's samples are: which file, which channel, from when to when."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ..io.archives import refuse_pipe
from ..io.errors import RecipeError
from .audio import AudioInfo, inspect_audio
from .datadir import DataDir, Segment
from .speed import samples_after

# reco2file_and_channel names telephone sides A and B; NIST's tools write 1 and 2.
SIDES = {"A": 0, "1": 0, "B": 1, "2": 1}
# Segment times are often rounded to centiseconds, so they may end this much after the audio does.
MAX_OVERSHOOT = 0.01


@dataclass(frozen=True)
class Placement:
    utt: str
    recording: str  # as in wav.scp
    audio: AudioInfo
    channel: int  # row of the samples
    start: float  # seconds
    end: float  # seconds, not after the end of the audio
    speed: float = 1.0  # the audio is played so many times as fast; the times and samples here are those after

    @property
    def samples(self) -> slice:
        """First and last sample, times rounded to the nearest one."""
        rate = self.audio.sampling_rate
        return slice(round(self.start * rate), min(round(self.end * rate), samples_after(self.audio.samples, self.speed)))


def place_utterances(data: DataDir, *, sampling_rate: int | None = None, allow_pipes: bool = False,
                     max_overshoot: float = MAX_OVERSHOOT) -> list[Placement]:
    """Places every utterance of a data directory, in C order, after checking each audio file once.

    Args:
      sampling_rate: what every file must have, Hz. allow_pipes: run the commands in wav.scp (each is run here,
        and again when its samples are read).
      max_overshoot: a segment that ends at most this many seconds after the audio is cut at its end; the number of such
        segments goes to stderr.
    Raises:
      RecipeError: bad audio (see `inspect_audio`), a side that the file does not have, a segment beyond the end.
    """
    if not data.wav:
        raise RecipeError("missing input", file=data.path / "wav.scp", expected="one line per recording",
                          found="nothing",
                          next="run the stage that prepares the data (run.sh --stage 0)")
    known: dict[str, AudioInfo] = {}
    placements, clipped = [], []
    for utt in data.utts:
        segment = data.segments.get(utt)
        recording = segment.recording if segment else utt
        if recording not in data.wav:
            raise RecipeError("utterance without a recording", file=data.path / "wav.scp", id=recording,
                              expected="a line for it", found="nothing", next=f"utils/fix_data_dir {data.path}")
        source = data.wav[recording]
        refuse_pipe(source, file=data.path / "wav.scp", id=recording, allow=allow_pipes)
        if source not in known:
            known[source] = inspect_audio(source, id=recording, sampling_rate=sampling_rate, allow_pipes=allow_pipes)
        audio = known[source]
        speed = data.speed.get(recording, 1.0)
        end = samples_after(audio.samples, speed) / audio.sampling_rate
        segment = segment or Segment(recording, 0.0, end)
        if segment.end > end + max_overshoot or segment.start >= end:
            raise RecipeError("segment beyond the end of the recording", file=data.path / "segments", id=utt,
                              expected=f"an end at or before {end:.3f} s",
                              found=f"{segment.start:.3f} to {segment.end:.3f} s",
                              next=f"correct the segment, or allow more with --max-overshoot (now {max_overshoot:g} s)")
        if segment.end > end:
            clipped.append(utt)
        placements.append(Placement(utt, recording, audio, channel_of(data, recording, audio), segment.start,
                                    min(segment.end, end), speed))
    if clipped:
        print(f"{len(clipped)} segments end up to {max_overshoot:g} s after their recording and are cut there, "
              f"the first is {clipped[0]}", file=sys.stderr)
    return placements


def channel_of(data: DataDir, recording: str, audio: AudioInfo) -> int:
    """The row of a recording in its file: by its side where the file has several channels, 0 in a file with one."""
    table = data.path / "reco2file_and_channel"
    if audio.channels == 1:
        return 0
    if recording not in data.channel:
        raise RecipeError("recording with several channels and no side", file=table, id=recording,
                          expected="<recording> <file> A or B", found=f"{audio.channels} channels in {audio.source}",
                          next=f"add the line '{recording} <file> A' (or B)")
    side = data.channel[recording][1]
    if SIDES.get(side, audio.channels) >= audio.channels:
        raise RecipeError("no such side", file=table, id=recording,
                          expected=f"one of {audio.channels} channels, A or B",
                          found=side)
    return SIDES[side]

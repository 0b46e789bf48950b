"""Telephone conversations as data directories: one recording and one speaker per side."""

from __future__ import annotations

from collections import Counter

from ..io.errors import RecipeError
from .datadir import DataDir, Segment
from .sphere import Sphere, read_sphere

RATE, CHANNELS = 8000, 2
MAX_OVERHANG = 0.5  # seconds a segment may run beyond its file and be clipped; more means that file and transcript do not match


def read_telephone(path, counts: Counter) -> Sphere:
    """The header of a conversation's file; raises RecipeError unless it has 8 kHz and two channels."""
    sphere = read_sphere(path)
    for name, found, expected in (("sample rate", sphere.rate, RATE), ("channel count", sphere.channels, CHANNELS)):
        if found != expected:
            raise RecipeError(f"SPHERE file with another {name}", file=path, expected=expected, found=found,
                              next=f"convert to {RATE} Hz, {CHANNELS} channels with sox; the recipe is for telephone speech")
    counts["audio files compressed with shorten, expanded by sph2pipe when they are read"] += sphere.compressed
    return sphere


def add_utterance(data: DataDir, side: str, named: tuple[float, float], times: tuple[float, float], words: list[str],
                  file: Sphere, source: str, counts: Counter) -> None:
    """Adds one segment from `times`, clipped to the file; its id carries `named`, the times in the transcript.

    Args:
      side: recording and speaker, such as sw02001-A. source: file:line, for messages.
    Raises:
      RecipeError: the segment ends more than MAX_OVERHANG seconds after the file, or is there already.
    """
    start, end = named
    utt = f"{side}_{int(start * 100 + 0.5):06d}-{int(end * 100 + 0.5):06d}"
    if end > file.duration + MAX_OVERHANG:
        raise RecipeError("segment runs beyond the end of its recording", file=source, id=utt,
                          expected=f"an end of at most {file.duration:.2f} s ({file.path})", found=f"{end:.2f} s",
                          next="transcript and audio do not belong together, or the audio is cut short: restore them")
    if utt in data.utt2spk:
        raise RecipeError("two segments with the same times", file=source, id=utt, expected="each segment once",
                          found="a second one")
    counts["segments clipped to the end of the recording"] += end > file.duration
    last = int(file.duration * 100)
    segment = Segment(side, int(times[0] * 100 + 0.5) / 100, min(int(times[1] * 100 + 0.5), last) / 100)
    if segment.end <= segment.start:
        counts["segments shorter than a centisecond dropped"] += 1
        return
    data.utt2spk[utt], data.text[utt], data.segments[utt] = side, words, segment
    data.wav[side] = file.path
    data.channel[side] = (side[:-2], side[-1])


def in_order(data: DataDir) -> DataDir:
    """The same directory with every table in C order."""
    for table in (data.utt2spk, data.text, data.segments, data.wav, data.channel):
        entries = sorted(table.items(), key=lambda item: item[0].encode())
        table.clear()
        table.update(entries)  # type: ignore[arg-type]
    return data

"""Praat's TextGrid (long text form): tiers of words and phones with times (Praat manual, "TextGrid file formats")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

from ..io.publish import publish
from .aligned import FRAME_SHIFT, AlignedUtterance, AlignmentDir, Span

DIGITS = 6  # after the decimal point: microseconds, finer than a sample


@dataclass
class Interval:
    start: float  # seconds
    end: float
    text: str


@dataclass
class Tier:
    name: str
    intervals: list[Interval]


def write_textgrids(data: str, lang: str, ali_dir: str, out: str, *, per_utterance: bool,
                    frame_shift: float = FRAME_SHIFT) -> tuple[int, list[str]]:
    """Publishes <out>/<recording or utterance>.TextGrid files.

    Times count from the start of the recording, or of the utterance. A grid ends with its recording's last
    segment, since the audio itself is not read; without `segments` it ends with the last frame.

    Returns:
      The number of files, and the utterances without an alignment, whose time is left empty.
    """
    source = AlignmentDir(data, lang, ali_dir)
    groups: dict[str, list[AlignedUtterance]] = {}
    for utterance in source:
        groups.setdefault(utterance.utt if per_utterance else utterance.recording, []).append(utterance)
    limits: dict[str, float] = {}
    for utt, segment in source.data.segments.items():
        name = utt if per_utterance else segment.recording
        limits[name] = max(limits.get(name, 0.0), segment.end)
    for name, utterances in groups.items():
        origin = utterances[0].begin if per_utterance else 0.0
        end = max(limits.get(name, 0.0), *(end_of(item, frame_shift) for item in utterances)) - origin
        with publish(Path(out) / f"{name}.TextGrid") as file:
            file.write(grid_text(tiers(utterances, origin, round(end, DIGITS), frame_shift), round(end, DIGITS)))
    return len(groups), source.unaligned()


def end_of(utterance: AlignedUtterance, frame_shift: float) -> float:
    """Seconds from the start of the recording to the end of the last frame."""
    return round(utterance.begin + len(utterance.alignment) * frame_shift, DIGITS)


def tiers(utterances: Sequence[AlignedUtterance], origin: float, end: float, frame_shift: float) -> list[Tier]:
    """Tiers 'words' and 'phones'; more pairs, numbered from 2, take the utterances that overlap others in time."""
    layers: list[list[AlignedUtterance]] = []
    for utterance in sorted(utterances, key=lambda item: item.begin):
        for layer in layers:
            if end_of(layer[-1], frame_shift) <= round(utterance.begin, DIGITS):
                layer.append(utterance)
                break
        else:
            layers.append([utterance])
    result = []
    for number, layer in enumerate(layers, 1):
        for name in ("words", "phones"):
            spans = [interval for item in layer
                     for interval in intervals(getattr(item, name), item.begin - origin, frame_shift)]
            result.append(Tier(name if number == 1 else f"{name} {number}", filled(spans, end)))
    return result


def intervals(spans: Iterable[Span], begin: float, frame_shift: float) -> list[Interval]:
    """Spans in seconds. Neighbours share the very same time, as it is computed the same way from the same frame."""
    return [Interval(round(begin + start * frame_shift, DIGITS), round(begin + (start + frames) * frame_shift, DIGITS), name)
            for name, start, frames in spans]


def filled(spans: Sequence[Interval], end: float) -> list[Interval]:
    """The intervals with empty ones between them, from 0 to `end` without a gap, as Praat demands."""
    result, now = [], 0.0
    for span in spans:
        if span.start > now:
            result.append(Interval(now, span.start, ""))
        result.append(span)
        now = span.end
    if now < end or not result:
        result.append(Interval(now, end, ""))
    return result


def grid_text(grid: Sequence[Tier], end: float) -> str:
    """The file's text; a quotation mark in a label is doubled."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds(end)}",
             "tiers? <exists>", f"size = {len(grid)}", "item []:"]
    for number, tier in enumerate(grid, 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {quoted(tier.name)}",
                  "        xmin = 0", f"        xmax = {seconds(end)}",
                  f"        intervals: size = {len(tier.intervals)}"]
        for index, interval in enumerate(tier.intervals, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {seconds(interval.start)}",
                      f"            xmax = {seconds(interval.end)}", f"            text = {quoted(interval.text)}"]
    return "\n".join([*lines, ""])


def seconds(value: float) -> str:
    return f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

"""NIST's reference files of telephone test sets: the scored segments of an stm, checked against a pem.

The segmentation is the stm's, which the scorer uses, not that of the .txt transcripts; the pem file must agree with it.
Kaldi: egs/swbd/s5c/local/eval2000_data_prep.sh and rt03_data_prep.sh.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from ..io.errors import RecipeError
from .textfile import read_lines, read_seconds

IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
GAP = "inter_segment_gap"  # the speaker of RT-03's lines between the segments
SIDES = {"1": "A", "2": "B"}
PADDING = 0.1  # seconds added on both sides of a segment, at most half-way to its neighbour, as Kaldi does


@dataclass
class Scored:
    file: str  # such as sw_4390
    side: str  # "A" or "B"
    start: float  # seconds, as in the stm
    end: float
    words: list[str]  # lower case; empty where the stm says that the segment is not scored
    source: str

    @property
    def recording(self) -> str:
        return f"{self.file}-{self.side}"


def read_stm(path, counts: Counter) -> list[Scored]:
    """Reads the segments of an stm file; `file channel speaker start end [<labels>] words`, comments begin with ;;."""
    segments = []
    for number, line in read_lines(path, counts):
        if line.startswith(";;") or not line.strip():
            continue
        if GAP in line:
            counts[f"stm lines of gaps between segments ({GAP}) dropped"] += 1
            continue
        fields = line.split()
        source = f"{path}:{number}"
        try:
            name, side, start, end = fields[0], fields[1].upper(), read_seconds(fields[3]), read_seconds(fields[4])
        except (IndexError, ValueError):
            raise RecipeError("malformed stm line", file=source, expected="<file> <channel> <speaker> <start> <end> <words>",
                              found=repr(line.strip())) from None
        side = SIDES.get(side, side)
        if side not in ("A", "B") or not 0 <= start < end:
            raise RecipeError("bad stm line", file=source, id=name, expected="channel A or B, 0 <= start < end",
                              found=line.strip())
        text = fields[6:] if len(fields) > 5 and fields[5].startswith("<") else fields[5:]
        if not text:
            raise RecipeError("empty transcript", file=source, id=name, expected=f"words, or {IGNORED}", found="nothing",
                              next="restore the stm file from its release")
        segments.append(Scored(name, side, start, end, reference_words(" ".join(text), counts), source))
    if not segments:
        raise RecipeError("stm file without segments", file=path, expected="lines that are no comments", found="none")
    return segments


def reference_words(text: str, counts: Counter) -> list[str]:
    """Words of an stm line for training-style use: lower case, no asides, first of several alternatives, no parentheses.

    hubscr reads the stm itself; only the basic scorer and the lexicon statistics read these words.
    """
    if IGNORED.lower() in text.lower():
        counts["segments not scored (IGNORE_TIME_SEGMENT) dropped"] += 1
        return []
    text, number = re.subn(r"<[be]_aside>", " ", text, flags=re.IGNORECASE)
    counts["<b_aside>, <e_aside> dropped"] += number
    text, number = re.subn(r"\{([^/{}]*)/[^{}]*\}", r"\1", text)
    counts["first of several alternatives taken"] += number
    counts["optional words: (word) -> word"] += text.count("(")
    words = text.replace("(", " ").replace(")", " ").lower().split()
    return [word for word in words if word != "@"]  # '@' is the empty alternative


def check_pem(path, segments: list[Scored]) -> None:
    """Raises RecipeError where the pem's segments (`file channel speaker start end`) are not those of the stm."""
    found = set()
    for number, line in read_lines(path, Counter()):
        if line.startswith(";;") or not line.strip():
            continue
        try:
            name, side, _, start, end = line.split()
            found.add((name, SIDES.get(side, side.upper()), round(read_seconds(start) * 100), round(read_seconds(end) * 100)))
        except ValueError:
            raise RecipeError("malformed pem line", file=f"{path}:{number}",
                              expected="<file> <channel> <speaker> <start> <end>", found=repr(line.strip())) from None
    expected = {(s.file, s.side, round(s.start * 100), round(s.end * 100)): s.source for s in segments}
    differing = sorted(found ^ expected.keys())
    if differing:
        named = [f"{name} {side} {first / 100:.2f} to {last / 100:.2f} only in the {'stm' if key in expected else 'pem'}"
                 for key in differing[:5] for name, side, first, last in [key]]
        raise RecipeError("pem and stm disagree", file=path, id=f"{differing[0][0]} {differing[0][1]}", expected="the same segments in both",
                          found=f"{'; '.join(named)} ({len(differing)} such segments)", next="use the pem and stm files of one release")


def scorer_stm(path) -> list[str]:
    """The lines of an stm as hubscr can read them: no asides, no doubled parentheses, channels A and B, no gaps."""
    lines = []
    for _, line in read_lines(path, Counter()):
        if line.startswith(";;"):
            lines.append(line)
        elif line.strip() and GAP not in line:
            line = re.sub(r"<[be]_aside>", "", line, flags=re.IGNORECASE).replace("((", "(")
            name, side, rest = line.split(None, 2)
            lines.append(f"{name} {SIDES[side]} {rest}" if side in SIDES else line)
    return lines


def padded_times(segments: list[Scored]) -> list[tuple[float, float]]:
    """Times widened by PADDING where there is room: at most half-way to the neighbours on the same side, not below 0."""
    times: dict[int, tuple[float, float]] = {}
    order = sorted(range(len(segments)), key=lambda i: (segments[i].recording, segments[i].start))
    for place, index in enumerate(order):
        segment = segments[index]
        start, end = max(0.0, segment.start - PADDING), segment.end + PADDING
        for other, is_before in ((place - 1, True), (place + 1, False)):
            if not 0 <= other < len(order) or segments[order[other]].recording != segment.recording:
                continue
            neighbour = segments[order[other]]
            if is_before:
                start = max(start, min(segment.start, (neighbour.end + segment.start) / 2))
            else:
                end = min(end, max(segment.end, (segment.end + neighbour.start) / 2))
        times[index] = (start, end)
    return [times[index] for index in range(len(segments))]

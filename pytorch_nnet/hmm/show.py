"""An utterance's alignment as a table for the terminal: words, phones, times, HMM states (Kaldi: show-alignments)."""

from __future__ import annotations

import itertools
import string
import textwrap
import unicodedata

from .aligned import FRAME_SHIFT, AlignedUtterance

SYMBOLS = string.digits + string.ascii_lowercase  # of HMM states 0, 1, ...
NARROWEST = 20  # columns for the states, however narrow the terminal


def show(utterance: AlignedUtterance, width: int, frame_shift: float = FRAME_SHIFT) -> str:
    """The transcript, then a line a phone: start in the recording, duration, frames, word, phone, state of each frame.

    width: columns of the terminal. A word is cut at a third of it, as the transcript above has it whole.
    """
    frames, begin = len(utterance.alignment), utterance.begin
    text = " ".join(utterance.source.data.text[utterance.utt])
    lines = textwrap.wrap(f"{utterance.utt}: {text}", width, subsequent_indent="  ", break_on_hyphens=False)
    lines.append(f"{utterance.recording}, {begin:.3f} to {begin + frames * frame_shift:.3f} s, {frames} frames")
    words = {span.start: span.name for span in utterance.words}
    cells = max([4, *(columns(name) for name in words.values())])
    cells = min(cells, max(4, width // 3))
    names = max([5, *(columns(span.name) for span in utterance.phones)])
    head = f"{'start':>8} {'dur':>6} {'fr':>4}  {padded('word', cells)} {padded('phone', names)}  "
    room = max(width - len(head), NARROWEST)
    lines += ["", head + "HMM state, by frame"]
    states = utterance.source.model.hmm_state[utterance.alignment].tolist()
    for name, start, length in utterance.phones:
        strip = "".join(symbol(state) for state in states[start:start + length])
        times = f"{begin + start * frame_shift:8.3f} {length * frame_shift:6.3f} {length:4d}"
        lines.append(f"{times}  {padded(words.get(start, ''), cells)} {padded(name, names)}  {strip[:room]}")
        lines += [" " * len(head) + strip[low:low + room] for low in range(room, length, room)]
    return "\n".join(lines) + "\n"


def symbol(state: int) -> str:
    return SYMBOLS[state] if state < len(SYMBOLS) else "+"


def columns(text: str) -> int:
    """Columns that a terminal takes for a text: none for combining marks, two for wide (East Asian) characters."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    """The text in exactly `width` columns, with a mark where it was cut."""
    if columns(text) > width:
        sizes = itertools.accumulate(columns(c) for c in text)
        text = "".join(c for c, size in zip(text, sizes) if size < width) + "~"
    return text + " " * (width - columns(text))

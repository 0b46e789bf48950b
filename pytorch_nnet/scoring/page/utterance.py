"""Features of one utterance with the words and phones of its alignment, as in the paper's Figure 3."""

from __future__ import annotations

import io
from typing import Any, Sequence

import numpy as np

from ...frames.store import FrameStore
from ...hmm.aligned import FRAME_SHIFT, AlignedUtterance, AlignmentDir, Span
from .elements import data_url, escape, figure
from .svg import Drawing, plain, ticks

LENGTH = 300  # frames: the utterance nearest to this is shown
FRAME, CHANNEL = 3.0, 6.0  # pixels
LEFT, TOP = 34.0, 44.0


def chosen(store: FrameStore) -> int:
    return int(np.argmin(np.abs(np.diff(store.offsets) - LENGTH)))


def feature_picture(store: FrameStore, alignments: AlignmentDir) -> str:
    """Raises RecipeError if the alignment lacks the utterance."""
    index = chosen(store)
    _, features, _ = next(store.utterances([index]))
    utterance = alignments[store.utts[index]]
    return figure(f'<div class="scroll" tabindex="0"><div class="wide">{draw(np.asarray(features, np.float32), utterance)}</div></div>',
                  f"{escape(utterance.utt)}, from {utterance.begin:.2f} s of {escape(utterance.file)}, channel {escape(utterance.channel)}. "
                  "Lines: borders of the alignment's phones; below, words and seconds.")


def draw(features: np.ndarray, utterance: AlignedUtterance) -> Drawing:
    """features: (frames, channels)."""
    frames, channels = features.shape
    width, height = FRAME * frames, CHANNEL * channels
    bottom = TOP + height
    drawing = Drawing(LEFT + width + 8, bottom + 56, f"features and phones of {utterance.utt}")
    drawing.picture(LEFT, TOP, width, height, data_url(png(features)))
    for channel in (1, *range(10, channels + 1, 10)):
        drawing.text(LEFT - 5, bottom - CHANNEL * (channel - 0.5) + 4, str(channel), "tick", anchor="end")
    for span in utterance.phones:
        x = LEFT + FRAME * span.start
        if span.start:
            drawing.line([(x, TOP), (x, bottom)], "border")
        drawing.text(x + FRAME * span.frames / 2 + 4, TOP - 5, span.name, "tick", turn=-90)
    words(drawing, utterance.words, bottom)
    for second in ticks(0, frames * FRAME_SHIFT, 8):
        x = LEFT + FRAME * second / FRAME_SHIFT
        drawing.line([(x, bottom + 32), (x, bottom + 36)], "axis")
        drawing.text(x, bottom + 50, f"{plain(second)} s" if second else "0", "tick", anchor="middle")
    drawing.line([(LEFT, bottom + 32), (LEFT + width, bottom + 32)], "axis")
    drawing.text(0, TOP - 5, "mel", "tick")
    return drawing


def words(drawing: Drawing, spans: Sequence[Span], top: float) -> None:
    for span in spans:
        x, width = LEFT + FRAME * span.start, FRAME * span.frames
        drawing.rectangle(x + 0.5, top + 4, max(width - 1, 1), 20, "word")
        drawing.text(x + width / 2, top + 18, span.name, "inword", anchor="middle", most=width - 4)


def png(features: np.ndarray) -> bytes:
    """(frames, channels) as a picture of a pixel each, time to the right, low channels below."""
    from matplotlib.image import imsave

    low, high = np.percentile(features, (1, 99))
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None}  # no version: equal input, equal bytes
    imsave(buffer, features.T, vmin=low, vmax=high, cmap="magma", origin="lower", format="png", metadata=metadata)
    return buffer.getvalue()

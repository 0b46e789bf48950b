"""Cuts long audio at its quietest places, so that each piece is short enough to search and no word is cut in two."""

from __future__ import annotations

import numpy as np

SHORTEST, LONGEST = 5.0, 20.0  # seconds of a piece; what is left at the end may be shorter
QUIET = 0.25  # seconds that have to be quiet together: longer than the closure of a stop


def cut_at_pauses(energy: np.ndarray, frames_per_second: int) -> list[tuple[int, int]]:
    """Pieces [begin, end) in frames that cover the recording without gap or overlap.

    Args:
      energy: (T,) of each frame, on any rising scale, such as the sum of compressed filterbank channels.
    """
    width = max(int(QUIET * frames_per_second), 1)
    # The loudest frame of the pause decides: one syllable within makes it no pause.
    padded = np.pad(energy, width // 2, mode="edge")
    loudest = np.lib.stride_tricks.sliding_window_view(padded, width)[:len(energy)].max(axis=1)
    shortest, longest = int(SHORTEST * frames_per_second), int(LONGEST * frames_per_second)
    pieces, begin = [], 0
    while len(energy) - begin > longest:
        window = loudest[begin + shortest:begin + longest]
        end = begin + shortest + int(window.argmin())
        pieces.append((begin, end))
        begin = end
    pieces.append((begin, len(energy)))
    return pieces

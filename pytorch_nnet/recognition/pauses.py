"""Where a recording has speech, and where it is quiet enough to be cut, by the energy of its frames.

Energies are on any rising scale, such as the sum of compressed filterbank channels.
"""

from __future__ import annotations

import numpy as np

SHORTEST, LONGEST = 5.0, 20.0  # seconds of a piece; what is left at the end may be shorter
QUIET = 0.25  # seconds that have to be quiet together: longer than the closure of a stop
SPEECH = 0.5  # of the way from the quietest to the loudest twentieth: above it is speech
AROUND = 0.3  # seconds before and after speech that a transcriber's segments would hold, too


def cut_at_pauses(energy: np.ndarray, frames_per_second: int) -> list[tuple[int, int]]:
    """Pieces [begin, end) in frames that cover the recording without gap or overlap.

    Args:
      energy: (T,) of each frame.
    """
    # The loudest frame of the pause decides: one syllable within makes it no pause.
    loudest = largest_around(energy, int(QUIET * frames_per_second))
    shortest, longest = int(SHORTEST * frames_per_second), int(LONGEST * frames_per_second)
    pieces, begin = [], 0
    while len(energy) - begin > longest:
        window = loudest[begin + shortest:begin + longest]
        end = begin + shortest + int(window.argmin())
        pieces.append((begin, end))
        begin = end
    pieces.append((begin, len(energy)))
    return pieces


def with_speech(energy: np.ndarray, frames_per_second: int) -> np.ndarray:
    """(T,) bool: the frames with speech and a little around them, as in the segments that a network has been trained on.

    Its features are normalised over segments; a telephone side, half of it silence, would be normalised otherwise as a whole.
    """
    quiet, loud = np.percentile(energy, [5, 95])
    return largest_around(energy, int(2 * AROUND * frames_per_second)) > quiet + SPEECH * (loud - quiet)


def largest_around(values: np.ndarray, width: int) -> np.ndarray:
    """(T,) the largest of the `width` values around each."""
    padded = np.pad(values, (width // 2, (width - 1) // 2), mode="edge") if width > 1 else values
    return np.lib.stride_tricks.sliding_window_view(padded, max(width, 1)).max(axis=1)

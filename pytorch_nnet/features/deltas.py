"""Context around each frame: time derivatives and splicing, edges repeated (Kaldi: feat/feature-functions.cc)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def delta_scales(order: int, window: int) -> tuple[np.ndarray, ...]:
    """Filter taps for derivatives 0..order.

    Each derivative is a regression over `window` frames on both sides, and a higher one is the same filter applied
    again to the taps, so that the edges of the signal are clamped once, not once per order.
    """
    slope = np.arange(-window, window + 1, dtype=np.float64)
    slope /= np.sum(slope ** 2)
    scales = [np.ones(1)]
    for _ in range(order):
        scales.append(np.convolve(scales[-1], slope))
    return tuple(scales)


def clamped(num_frames: int, reach: int) -> np.ndarray:
    """Frame indices -reach .. num_frames-1+reach with those outside moved to the nearest edge."""
    return np.clip(np.arange(-reach, num_frames + reach), 0, num_frames - 1)


def add_deltas(feats: np.ndarray, order: int = 2, window: int = 2) -> np.ndarray:
    """Appends derivatives: (T, D) -> (T, (order + 1) D) float32, as Kaldi's add-deltas."""
    feats = np.asarray(feats, dtype=np.float32)
    reach = order * window
    padded = feats[clamped(len(feats), reach)]
    columns = [feats]
    for taps in delta_scales(order, window)[1:]:
        first = reach - len(taps) // 2
        columns.append(sum(np.float32(tap) * padded[first + k:first + k + len(feats)]
                           for k, tap in enumerate(taps) if tap))
    return np.concatenate(columns, axis=1)


def splice(feats: np.ndarray, left: int, right: int) -> np.ndarray:
    """Puts `left` frames before and `right` after beside each, oldest first: (T, D) -> (T, (left + 1 + right) D)."""
    feats = np.asarray(feats, dtype=np.float32)
    index = np.arange(len(feats))[:, None] + np.arange(-left, right + 1)
    return feats[np.clip(index, 0, len(feats) - 1)].reshape(len(feats), -1)

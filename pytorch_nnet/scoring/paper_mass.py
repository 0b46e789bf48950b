"""How a model's probability mass is spread over its classes (paper, Eq. 2 and Figure 2, right)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..frames.store import FrameStore
from ..io.progress import Progress
from ..training.evaluate import check_same_labels


def spread_utterances(store: FrameStore, frames: int) -> list[int]:
    """Utterances at equal distances in the store, with about so many frames in all; every one if frames is 0 or too many."""
    if not 0 < frames < store.num_frames:
        return list(range(store.num_utts))
    count = max(1, round(frames * store.num_utts / store.num_frames))
    return sorted(set(np.linspace(0, store.num_utts - 1, count).round().astype(int).tolist()))


def mass_by_rank(model, store: FrameStore, frames: int) -> dict[str, Any]:
    """Mean mass of the most probable class, of the second, ... over about `frames` frames of the store.

    Returns:
      {"model":, "store":, "frames":, "mass": K shares that sum to 1}; M(C) of Eq. 2 is the sum of the first C.
    """
    check_same_labels(model, store)
    total, count = np.zeros(store.num_classes), 0
    chosen = spread_utterances(store, frames)
    wanted = int(sum(store.offsets[index + 1] - store.offsets[index] for index in chosen))
    with Progress("posterior mass", wanted, "frames") as progress:
        for _, features, _ in store.utterances(chosen):
            total += np.sort(model.posteriors(features), 1)[:, ::-1].sum(0, dtype=np.float64)
            count += len(features)
            progress.add(len(features))
    return {"model": str(model.path), "store": store.path.name, "frames": count, "mass": (total / total.sum()).tolist()}


def classes_for(mass: np.ndarray, share: float) -> int:
    """The number of classes that cover this share of the mass: mass (K,) by falling rank."""
    return int(np.searchsorted(np.cumsum(mass), share) + 1)

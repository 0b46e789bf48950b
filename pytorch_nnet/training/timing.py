"""How long a model takes for a frame, whole utterances at a time (the run times of the paper's Table 1)."""

from __future__ import annotations

import json
import time
from typing import Any, Sequence

import torch

from ..frames.ctc_store import CtcStore
from ..frames.store import FrameStore
from ..io.publish import publish
from ..models import load_model
from .evaluate import check_same_labels


def time_models(store: FrameStore | CtcStore, folders: Sequence[str], *, frames: int, rounds: int) -> dict[str, Any]:
    """Times `posteriors` on the store's first utterances that together have at least `frames` frames.

    Models take turns, so that a slow moment of the machine hits all alike; the least time of `rounds` is reported.

    Returns:
      {"frames":, "rounds":, "threads": 1, "seconds_per_frame": {folder: seconds}}
    """
    torch.set_num_threads(1)
    models = [load_model(folder) for folder in folders]
    for model in models:
        check_same_labels(model, store)
    utterances, count = [], 0
    for _, features, _ in store.utterances():
        utterances.append(features)
        count += len(features)
        if count >= frames:
            break
    best = [float("inf")] * len(models)
    for _ in range(rounds):
        for index, model in enumerate(models):
            start = time.perf_counter()
            for features in utterances:
                model.posteriors(features)
            best[index] = min(best[index], time.perf_counter() - start)
    return {"frames": count, "rounds": rounds, "threads": 1,
            "seconds_per_frame": {str(folder): seconds / count for folder, seconds in zip(folders, best)}}


def write_timing(path, result: dict[str, Any]) -> None:
    with publish(path) as file:
        json.dump(result, file, indent=1)
        file.write("\n")

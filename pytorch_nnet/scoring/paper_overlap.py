"""How alike the errors of networks are, frame by frame (paper, section 5.2)."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.progress import track
from ..io.publish import publish
from ..training.evaluate import check_same_labels

KINDS = {"vision": "CNN", "blstm": "LSTM"}


def decisions(models: Sequence, store: FrameStore) -> np.ndarray:
    """(models, frames) uint16: each model's most probable class for every frame of the store."""
    for model in models:
        check_same_labels(model, store)
    result = np.empty((len(models), store.num_frames), np.uint16)
    for index, features, _ in track(store.utterances(), "compare errors", store.num_utts):
        for row, model in zip(result, models):
            row[store.utt_slice(index)] = model.posteriors(features).argmax(1)
    return result


def overlap(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How the errors of two systems coincide. Arguments: (frames,) classes decided on, and the labels.

    Returns:
      Shares of the frames: `first_wrong`, `second_wrong`, `both_wrong`, `same_wrong` (both wrong with the same class);
      `chance` (both wrong, were the errors independent); `kappa`, Cohen's, of "wrong" against "wrong": 0 if they coincide
      as chance has it, 1 if they are the same frames, so that systems of different error rates compare; nan if
      undefined; `same_share`, the part of what both get wrong that they get wrong alike, nan if there is none.
    """
    wrong = np.stack([first != labels, second != labels])
    a, b = wrong.mean(1)
    both = float((wrong[0] & wrong[1]).mean())
    same = float((wrong[0] & (first == second)).mean())
    agreed, by_chance = 1 - a - b + 2 * both, a * b + (1 - a) * (1 - b)
    return {"first_wrong": float(a), "second_wrong": float(b), "both_wrong": both, "same_wrong": same, "chance": float(a * b),
            "kappa": float((agreed - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan"),
            "same_share": same / both if both else float("nan")}


def compare_errors(models: Sequence, store: FrameStore) -> dict[str, Any]:
    """Every pair of the networks: {"frames":, "store":, "pairs": [{"first":, "second":, "kinds": "CNN-LSTM", ...}]}.

    Raises:
      RecipeError: fewer than two networks, or two whose weights are the same.
    """
    seen: dict[str, Path] = {}
    for model in models:
        if model.sha256 in seen:
            raise RecipeError("two networks are the same", file=model.path, expected="networks that differ",
                              found=f"the weights of {seen[model.sha256]}", next="train one of them with another seed")
        seen[model.sha256] = model.path
    if len(models) < 2:
        raise RecipeError("errors of one network cannot be compared", expected="two networks or more", found=len(models))
    classes, labels = decisions(models, store), np.asarray(store.labels)
    pairs = []
    for i, j in combinations(range(len(models)), 2):
        kinds = sorted(KINDS.get(models[k].config.get("arch"), str(models[k].config.get("arch", "ensemble"))) for k in (i, j))
        pairs.append({"first": str(models[i].path), "second": str(models[j].path), "kinds": "-".join(kinds),
                      **overlap(classes[i], classes[j], labels)})
    return {"frames": store.num_frames, "store": store.path.name, "store_identity": store.identity, "pairs": pairs}


def write_json(path, value: dict[str, Any]) -> None:
    with publish(path) as file:
        json.dump(value, file, indent=1)
        file.write("\n")

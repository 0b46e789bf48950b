"""Frame error rate and cross-entropy of models, networks or ensembles, over every frame of a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Sequence

import numpy as np

from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.progress import track
from ..io.publish import publish
from ..models.ensemble import posteriors_of

FLOOR = 1e-20  # of a probability, before its logarithm


def check_same_labels(model, store: FrameStore) -> None:
    """Raises RecipeError unless the model's classes and features are those of the store."""
    for what in ("num_classes", "label_map", "dim", "cmvn"):
        expected, found = getattr(model, what), getattr(store, what)
        if expected != found:
            raise RecipeError(f"model and frame store differ in {what}", file=store.path, id=model.path,
                              expected=f"{expected} as in the model", found=found,
                              next="make the store from the alignment of the model's training (steps/make_frame_store)")


def evaluate(models: Sequence, store: FrameStore) -> list[dict[str, float]]:
    """Of each model {"frames":, "fer": share of frames whose most probable class is not the label, "cross_entropy": nats
    a frame}. A network that several ensembles share is computed once."""
    for model in models:
        check_same_labels(model, store)
    errors, loss = np.zeros(len(models), int), np.zeros(len(models))
    what = ", ".join(model.path.name for model in models)
    for _, features, labels in track(store.utterances(), f"evaluate {what}", store.num_utts):
        for index, posteriors in enumerate(posteriors_of(models, features)):
            errors[index] += int((posteriors.argmax(1) != labels).sum())
            chosen = posteriors[np.arange(len(labels)), labels]
            loss[index] -= float(np.log(np.maximum(chosen, FLOOR), dtype=np.float64).sum())
    frames = store.num_frames
    return [{"frames": frames, "fer": float(e) / frames, "cross_entropy": float(x) / frames} for e, x in zip(errors, loss)]


def write_evaluation(path, result: dict[str, float], store: FrameStore) -> None:
    """Publishes the result as JSON, with the store it was measured on."""
    with publish(path) as file:
        json.dump({**result, "store": Path(store.path).name, "store_identity": store.identity}, file, indent=1)
        file.write("\n")

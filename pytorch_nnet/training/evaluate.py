"""Frame error rate and cross-entropy of a model, network or ensemble, over every frame of a store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.progress import track
from ..io.publish import publish

FLOOR = 1e-20  # of a probability, before its logarithm


def check_same_labels(model, store: FrameStore) -> None:
    """Raises RecipeError unless the model's classes and features are those of the store."""
    for what in ("num_classes", "label_map", "dim", "cmvn"):
        expected, found = getattr(model, what), getattr(store, what)
        if expected != found:
            raise RecipeError(f"model and frame store differ in {what}", file=store.path, id=model.path,
                              expected=f"{expected} as in the model", found=found,
                              next="make the store from the alignment of the model's training (steps/make_frame_store)")


def evaluate(model, store: FrameStore) -> dict[str, float]:
    """{"frames":, "fer": share of frames whose most probable class is not the label, "cross_entropy": nats a frame}."""
    check_same_labels(model, store)
    errors, loss = 0, 0.0
    for _, features, labels in track(store.utterances(), f"evaluate {model.path.name}", store.num_utts):
        posteriors = model.posteriors(features)
        errors += int((posteriors.argmax(1) != labels).sum())
        chosen = posteriors[np.arange(len(labels)), labels]
        loss -= float(np.log(np.maximum(chosen, FLOOR), dtype=np.float64).sum())
    return {"frames": store.num_frames, "fer": errors / store.num_frames, "cross_entropy": loss / store.num_frames}


def write_evaluation(path, result: dict[str, float], store: FrameStore) -> None:
    """Publishes the result as JSON, with the store it was measured on."""
    with publish(path) as file:
        json.dump({**result, "store": Path(store.path).name, "store_identity": store.identity}, file, indent=1)
        file.write("\n")

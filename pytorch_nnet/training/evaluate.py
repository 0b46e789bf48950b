"""Error rate and cross-entropy of models, networks or ensembles, over every frame of a store; of CTC networks the errors of units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch

from ..frames.ctc_store import CtcStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.progress import track
from ..io.publish import publish
from ..models.ensemble import posteriors_of
from .ctc import measure

FLOOR = 1e-20  # of a probability, before its logarithm


def check_same_labels(model, store: FrameStore | CtcStore) -> None:
    """Raises RecipeError unless the model's classes and features are those of the store."""
    for what in ("num_classes", "label_map", "dim", "cmvn"):
        expected, found = getattr(model, what), getattr(store, what)
        if expected != found:
            raise RecipeError(f"model and frame store differ in {what}", file=store.path, id=model.path,
                              expected=f"{expected} as in the model", found=found,
                              next="name a store of the labels, or the units, that the model was trained on")


def evaluate(models: Sequence, store: FrameStore | CtcStore) -> list[dict[str, float]]:
    """Of each model {"frames":, "fer": share of frames whose most probable class is not the label, "cross_entropy": nats
    a frame}, or of CTC what `evaluate_units` gives. A network that several ensembles share is computed once."""
    for model in models:
        check_same_labels(model, store)
    what = ", ".join(model.path.name for model in models)
    if isinstance(store, CtcStore):
        return evaluate_units(models, store, what)
    errors, loss = np.zeros(len(models), int), np.zeros(len(models))
    for _, features, labels in track(store.utterances(), f"evaluate {what}", store.num_utts):
        for index, posteriors in enumerate(posteriors_of(models, features)):
            errors[index] += int((posteriors.argmax(1) != labels).sum())
            chosen = posteriors[np.arange(len(labels)), labels]
            loss[index] -= float(np.log(np.maximum(chosen, FLOOR), dtype=np.float64).sum())
    frames = store.num_frames
    return [{"frames": frames, "fer": float(e) / frames, "cross_entropy": float(x) / frames} for e, x in zip(errors, loss)]


def evaluate_units(models: Sequence, store: CtcStore, what: str) -> list[dict[str, float]]:
    """Of each model {"units": of the targets, "uer": substitutions, deletions and insertions of the best paths for each of them, "outputs":,
    "ctc_loss": nats an output, of utterances whose targets fit}."""
    sums = np.zeros((len(models), 4))
    for _, features, target in track(store.utterances(), f"evaluate {what}", store.num_utts):
        for index, posteriors in enumerate(posteriors_of(models, features)):
            sums[index] += measure(torch.from_numpy(posteriors).clamp_min(FLOOR).log(), torch.from_numpy(target))
    return [{"units": int(units), "uer": errors / units, "outputs": int(outputs), "ctc_loss": loss / outputs}
            for loss, outputs, errors, units in sums.tolist()]


def told(result: dict[str, Any]) -> str:
    """A result in words."""
    if "uer" in result:
        return f"UER {100 * result['uer']:.2f} % of {result['units']} units, CTC loss {result['ctc_loss']:.4f} an output"
    return f"FER {100 * result['fer']:.2f} %, cross-entropy {result['cross_entropy']:.4f} on {result['frames']} frames"


def write_evaluation(path, result: dict[str, float], store: FrameStore | CtcStore) -> None:
    """Publishes the result as JSON, with the store it was measured on."""
    with publish(path) as file:
        json.dump({**result, "store": Path(store.path).name, "store_identity": store.identity}, file, indent=1)
        file.write("\n")

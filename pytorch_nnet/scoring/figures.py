"""Figures: learning curves, and frame error against word error."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Sequence

from ..io.publish import publish_path
from .results import System


def draw(out, exp, systems: Sequence[System]) -> list[str]:
    """Publishes the figures there is material for in the folder `out`; returns their names."""
    import matplotlib

    matplotlib.use("Agg")
    names = []
    curves = {system.display: records for system in systems
              if (records := read_records(Path(exp) / system.name / "train.jsonl"))}
    if curves:
        names.append(draw_learning_curves(Path(out) / "learning_curves.png", curves))
    points = [(system.display, system.fer, system.errors.test.wer) for system in systems
              if system.fer is not None and system.errors]
    if points:
        names.append(draw_fer_wer(Path(out) / "fer_wer.png", points))
    return names


def read_records(path: Path) -> list[dict]:
    """One record an epoch, or none if the system was not trained by steps/train_nnet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def millions_seen(records: list[dict]) -> list[float]:
    """Millions of frames trained on by the end of each epoch; a record of train.jsonl counts those of its own epoch."""
    return [total / 1e6 for total in accumulate(record["frames"] for record in records)]


def draw_learning_curves(path: Path, curves: dict[str, list[dict]]) -> str:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for index, (label, records) in enumerate(curves.items()):
        frames = millions_seen(records)
        style = dict(color=f"C{index % 10}", linestyle=("-", "--", ":")[index // 10 % 3], linewidth=1.4)
        axes[0].plot(frames, [record["valid_loss"] for record in records], label=label, **style)
        axes[1].plot(frames, [100 * record["valid_fer"] for record in records], **style)
    for axis, title in zip(axes, ("cross-entropy, dev (nats per frame)", "FER, dev (%)")):
        axis.set(title=title, xlabel="training frames (millions)")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return save(figure, path)


def draw_fer_wer(path: Path, points: Sequence[tuple[str, float, float]]) -> str:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for index, (label, fer, wer) in enumerate(points):
        axis.scatter(fer, wer, s=45, color=f"C{index % 10}", marker="osD^v"[index // 10 % 5], label=label)
    axis.set(xlabel="FER, dev (%)", ylabel="WER, test (%)", title="Frame error against word error")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return save(figure, path)


def save(figure, path: Path) -> str:
    from matplotlib import pyplot

    with publish_path(path) as temporary:
        figure.savefig(temporary, dpi=130, metadata={"Software": None})  # no version: equal input, equal bytes
    pyplot.close(figure)
    return path.name

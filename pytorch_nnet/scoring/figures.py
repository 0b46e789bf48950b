"""Figures: learning curves, and frame error against word error."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from ..io.publish import publish_path
from ..training.records import changes, error_rate, millions_seen, rate_names, read_records
from .results import System


def draw(out, exp, systems: Sequence[System]) -> list[str]:
    """Publishes the figures there is material for in the folder `out`; returns their names."""
    names = []
    curves = {system.display: records for system in systems
              if (records := read_records(Path(exp) / system.name))}
    if curves:
        names.append(draw_learning_curves(Path(out) / "learning_curves.png", curves))
    points = [(system.display, system.fer, system.errors.test.wer) for system in systems
              if system.fer is not None and system.errors]
    if points:
        names.append(draw_fer_wer(Path(out) / "fer_wer.png", points))
    return names


def draw_learning_curves(path: Path, curves: dict[str, list[dict]]) -> str:
    """Dots where the rate fell, crosses where the weights of the best epoch came back. The suffix, .png or .svg, says the format."""
    figure, axes = start().subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for index, (label, records) in enumerate(curves.items()):
        frames, found = millions_seen(records), changes(records)
        style = dict(color=f"C{index % 10}", linestyle=("-", "--", ":")[index // 10 % 3], linewidth=1.4)
        for axis, values in zip(axes, ([record["valid_loss"] for record in records], [100 * error_rate(record)[1] for record in records])):
            axis.plot(frames, values, label=label, **style)
            for marker, epochs in ((".", [one.epoch for one in found if one.rate is not None]),
                                   ("x", [one.epoch for one in found if one.rollback])):
                axis.plot([frames[epoch - 1] for epoch in epochs], [values[epoch - 1] for epoch in epochs], marker, color=style["color"])
    kinds = rate_names(record for records in curves.values() for record in records)
    for axis, title in zip(axes, ("cross-entropy, dev (nats per frame)", f"{kinds}, dev (%)")):
        axis.set(title=title, xlabel="training frames (millions)")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return save(figure, path)


def draw_fer_wer(path: Path, points: Sequence[tuple[str, float, float]]) -> str:
    figure, axis = start().subplots(figsize=(8, 4.5), layout="constrained")
    for index, (label, fer, wer) in enumerate(points):
        axis.scatter(fer, wer, s=45, color=f"C{index % 10}", marker="osD^v"[index // 10 % 5], label=label)
    axis.set(xlabel="FER, dev (%)", ylabel="WER, test (%)", title="Frame error against word error")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return save(figure, path)


def start():
    """pyplot, for files alone."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure, path: Path) -> str:
    from matplotlib import pyplot

    # No version, no date, no chance names: equal input, equal bytes.
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    with publish_path(path) as temporary, pyplot.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(temporary, dpi=130, metadata=metadata)
    pyplot.close(figure)
    return path.name

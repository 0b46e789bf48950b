"""Learning curves: a drawing for each network, and all networks together."""

from __future__ import annotations

from typing import Callable, Mapping, Sequence

from ...training.records import Change, changes, error_rate, millions_seen, rate_names
from .elements import escape, figure, legend, sample
from .svg import Drawing, Panel, padded, series

WIDTH, LEFT, RIGHT = 360.0, 58.0, 10.0
STRIPS = {"loss": (30.0, 110.0), "fer": (170.0, 90.0), "rate": (290.0, 44.0)}  # top and height
HEIGHT = 372.0
XLABEL = "training frames (millions)"
MARKS = {"dev": sample('<polyline class="line c0" points="1,5 23,5"/>'), "training": sample('<polyline class="line c1 thin" points="1,5 23,5"/>'),
         "the rate fell": sample('<polyline class="decay" points="12,-2 12,12"/>'),
         "back to the weights of the best epoch": sample('<polygon class="rollback" points="12,10 7,1 17,1"/>')}


def network_curves(name: str, records: Sequence[dict]) -> str:
    """Cross-entropy and FER by frames seen, with the rate below; a line where the rate fell, a triangle where weights went back."""
    seen = millions_seen(records)
    drawing = Drawing(WIDTH, HEIGHT, f"learning curves of {name}")
    x = (0.0, seen[-1])
    width = WIDTH - LEFT - RIGHT
    losses = [record[key] for record in records for key in ("train_loss", "valid_loss")]
    rates, errors, kind = [record["lr"] for record in records], [100 * error_rate(record)[1] for record in records], rate_names(records)
    panels = {
        "loss": Panel(drawing, (LEFT, STRIPS["loss"][0], width, STRIPS["loss"][1]), x, padded(losses)),
        "fer": Panel(drawing, (LEFT, STRIPS["fer"][0], width, STRIPS["fer"][1]), x, padded(errors)),
        "rate": Panel(drawing, (LEFT, STRIPS["rate"][0], width, STRIPS["rate"][1]), x, (min(rates) / 2, max(rates) * 2), log="y")}
    panels["loss"].axes("cross-entropy (nats per frame)", xticks=False)
    panels["fer"].axes(f"{kind} on dev (%)", xticks=False)
    panels["rate"].axes("learning rate", xlabel=XLABEL, at=sorted({max(rates), min(rates)}))
    for change in changes(records):
        mark(panels, change, seen)
    panels["loss"].curve(list(zip(seen, (record["train_loss"] for record in records))), "c1 thin")
    panels["loss"].curve(list(zip(seen, (record["valid_loss"] for record in records))), "c0")
    panels["fer"].curve(list(zip(seen, errors)), "c0")
    steps = [point for begin, end, rate in zip([0.0, *seen], seen, rates) for point in ((begin, rate), (end, rate))]
    panels["rate"].curve(steps, "c0")
    told = f"{len(records)} epochs; {kind} {errors[-1]:.2f}\u00a0%, at best {min(errors):.2f}\u00a0%"
    return figure(str(drawing), f"<strong>{escape(name)}</strong> {escape(told)}", "panel")


def mark(panels: dict[str, Panel], change: Change, seen: Sequence[float]) -> None:
    """A change at the end of an epoch, through the curves."""
    place = seen[change.epoch - 1]
    for key in ("loss", "fer"):
        panel = panels[key]
        ends = [panel.at(place, value) for value in panel.y]
        if change.rate is not None:
            panel.drawing.line(ends, "decay")
        if change.rollback:
            x, y = panel.at(place, panel.y[1])
            panel.drawing.triangle(x, y + 9, 5, "rollback", title=f"epoch {change.epoch}: back to the weights of epoch {change.rollback}")


def all_curves(curves: Mapping[str, Sequence[dict]]) -> str:
    """Cross-entropy and FER, or UER, of every network in one frame each."""
    styles = [series(index) for index in range(len(curves))]
    samples = {name: sample(f'<polyline class="line {style}" points="1,5 23,5"/>') for name, style in zip(curves, styles)}
    drawings = []
    kinds = rate_names(record for records in curves.values() for record in records)
    lines: dict[str, Callable[[dict], float]] = {"cross-entropy on dev (nats per frame)": lambda record: record["valid_loss"],
                                                 f"{kinds} on dev (%)": lambda record: 100 * error_rate(record)[1]}
    for title, value in lines.items():
        drawing = Drawing(460, 320, f"{title} of all networks")
        seen = {name: millions_seen(records) for name, records in curves.items()}
        values = [value(record) for records in curves.values() for record in records]
        reach = min(own[0] for own in seen.values()), max(own[-1] for own in seen.values())
        panel = Panel(drawing, (46, 28, 404, 248), (reach[0] / 1.1, reach[1] * 1.1), padded(values), log="x")
        panel.axes(title, xlabel=f"{XLABEL}, logarithmic", marks=6)
        for style, (name, records) in zip(styles, curves.items()):
            panel.curve(list(zip(seen[name], map(value, records))), style)
        drawings.append(str(drawing))
    return figure(f'<div class="pair">{"".join(drawings)}</div>{legend(samples)}')

"""Systems beside one another: WER with its interval, and frame error against word error."""

from __future__ import annotations

import re
from typing import Mapping, Sequence

from .elements import escape, figure
from .svg import Drawing, Panel, padded, ticks

Row = Mapping[str, str]  # of table1.tsv, by column


def value(row: Row, column: str) -> float | None:
    return None if row[column] == "n/a" else float(row[column])


def interval(row: Row) -> tuple[float, float] | None:
    found = re.fullmatch(r"\[([\d.]+), ([\d.]+)\]", row["95 % interval"])
    return (float(found[1]), float(found[2])) if found else None


def wer_chart(rows: Sequence[Row]) -> str:
    """A line a system: a dot at the test WER and a bar for its interval, all on one scale that begins at 0."""
    known = [(row["system"], wer, interval(row) or (wer, wer)) for row in rows if (wer := value(row, "test WER %")) is not None]
    if not known:
        return ""
    most = 1.04 * max(high for _, _, (_, high) in known) or 1.0
    lines = []
    for name, wer, (low, high) in known:
        bar = f'<i style="left:{100 * low / most:.2f}%;width:{100 * (high - low) / most:.2f}%"></i><b style="left:{100 * wer / most:.2f}%"></b>'
        lines.append(f'<li><span>{escape(name)}</span><div class="track">{bar}</div><span class="n">{wer:.2f}</span></li>')
    marks = "".join(f'<u style="left:{100 * mark / most:.2f}%">{mark:g}</u>' for mark in ticks(0, most, 6))
    scale = f'<li class="scale" aria-hidden="true"><span></span><div class="track">{marks}</div><span></span></li>'
    return figure(f'<ol class="wer">{"".join(lines)}{scale}</ol>', "WER on the test set in percent; the bar is the 95 % interval of Table 1.")


def fer_wer(rows: Sequence[Row]) -> str:
    """A numbered dot a system that has both."""
    points = [(row["system"], fer, wer) for row in rows
              if (fer := value(row, "FER %")) is not None and (wer := value(row, "test WER %")) is not None]
    if not points:
        return ""
    drawing = Drawing(480, 380, "frame error rate against word error rate of every network")
    panel = Panel(drawing, (44, 28, 424, 308), padded([fer for _, fer, _ in points], 0.1), padded([wer for _, _, wer in points], 0.1))
    panel.axes("WER, test (%)", xlabel="FER, dev (%)", marks=6, xmarks=6)
    taken: list[tuple[float, float]] = []
    for number, (name, fer, wer) in enumerate(points, 1):
        x, y = panel.at(fer, wer)
        drawing.dot(x, y, 4.5, "dot c0", f"{name}: FER {fer:.2f} %, WER {wer:.2f} %")
        beside = free_place(x, y, taken)
        drawing.text(*beside, str(number), "number", anchor="middle")
    names = "".join(f'<li>{escape(name)} <span class="quiet">{fer:.2f} / {wer:.2f}</span></li>' for name, fer, wer in points)
    return figure(f'<div class="beside">{drawing}<ol class="numbers">{names}</ol></div>')


def free_place(x: float, y: float, taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Where a dot's number goes: to the right of it, or around it where another's already is."""
    places = [(x + 13, y + 4), (x - 13, y + 4), (x, y - 9), (x, y + 18)]
    free = [place for place in places if all(abs(place[0] - a) > 15 or abs(place[1] - b) > 12 for a, b in taken)]
    taken.append(free[0] if free else places[0])
    return taken[-1]

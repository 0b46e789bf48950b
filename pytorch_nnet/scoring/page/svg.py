"""Small drawings as SVG inside a page: they take the page's colours, light or dark, and its fonts.

Lengths are in the drawing's own units, one pixel at its natural width; on a narrower screen the whole drawing shrinks.
"""

from __future__ import annotations

import html
import math
from typing import Iterable, Sequence

LETTER = 7.2  # width of one, about
COLOURS = 8  # classes c0 to c7 of the style sheet; after these, lines are dashed


def short(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def plain(value: float) -> str:
    """A number at a tick: 1500, 0.25, 1e-05."""
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.6g}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers, at least two, from `low` to `high`: steps of 1, 2 or 5 times a power of ten."""
    if not low < high:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    found: list[float] = []
    for step in (power * factor for factor in (5, 2, 1, 0.5, 0.2, 0.1)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        found = [number * step for number in range(first, last + 1)]
        if len(found) >= max(2, 0.7 * count):
            break
    return found


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`; the powers alone where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if math.log10(high / low) < 2.2 else (1,)
    return [value for power in powers for factor in factors if low <= (value := factor * 10.0 ** power) * 1.0000001 and value <= high * 1.0000001]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """The range of the values with a margin on either side."""
    values = list(values)
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin


def series(index: int) -> str:
    """CSS classes that tell the curve of that number from its neighbours."""
    return f"c{index % COLOURS}" + (f" dash{index // COLOURS}" if index >= COLOURS else "")


class Drawing:
    """Shapes in the order in which they are drawn; `label` says in words what is to be seen."""

    def __init__(self, width: float, height: float, label: str):
        self.width, self.height, self.label = width, height, label
        self.parts: list[str] = []

    def line(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A line through the points. style: classes of the style sheet."""
        self.parts.append(f'<polyline class="{style}" points="{" ".join(f"{short(x)},{short(y)}" for x, y in points)}"/>')

    def rectangle(self, x: float, y: float, width: float, height: float, style: str, *, opacity: float = 1.0, title: str = "") -> None:
        shade = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        told = f"><title>{html.escape(title)}</title></rect>" if title else "/>"
        self.parts.append(f'<rect class="{style}" x="{short(x)}" y="{short(y)}" width="{short(width)}" height="{short(height)}"{shade}{told}')

    def dot(self, x: float, y: float, radius: float, style: str, title: str = "") -> None:
        told = f"><title>{html.escape(title)}</title></circle>" if title else "/>"
        self.parts.append(f'<circle class="{style}" cx="{short(x)}" cy="{short(y)}" r="{short(radius)}"{told}')

    def triangle(self, x: float, y: float, size: float, style: str, *, title: str) -> None:
        """Points down at (x, y)."""
        corners = f"{short(x)},{short(y)} {short(x - size)},{short(y - 1.6 * size)} {short(x + size)},{short(y - 1.6 * size)}"
        self.parts.append(f'<polygon class="{style}" points="{corners}"><title>{html.escape(title)}</title></polygon>')

    def text(self, x: float, y: float, content: str, style: str = "", *, anchor: str = "", turn: float = 0,
             most: float = math.inf) -> None:
        """anchor: '' (the text begins at x), middle or end. turn: degrees, clockwise, around (x, y). most: wider text is squeezed."""
        extra = (f' class="{style}"' if style else "") + (f' text-anchor="{anchor}"' if anchor else "")
        extra += f' transform="rotate({turn:g} {short(x)} {short(y)})"' if turn else ""
        if LETTER * len(content) > most:
            extra += f' textLength="{short(most)}" lengthAdjust="spacingAndGlyphs"'
        self.parts.append(f'<text x="{short(x)}" y="{short(y)}"{extra}>{html.escape(content)}</text>')

    def picture(self, x: float, y: float, width: float, height: float, url: str) -> None:
        """A picture stretched into a rectangle, its pixels as they are."""
        self.parts.append(f'<image class="pixels" x="{short(x)}" y="{short(y)}" width="{short(width)}" height="{short(height)}" '
                          f'preserveAspectRatio="none" href="{url}"/>')

    def __str__(self) -> str:
        return (f'<svg viewBox="0 0 {short(self.width)} {short(self.height)}" style="max-width:{short(self.width)}px" role="img" '
                f'aria-label="{html.escape(self.label)}">{"".join(self.parts)}</svg>')


def share(value: float, limits: tuple[float, float], log: bool) -> float:
    """How far a value is from the lower limit to the upper one: 0 to 1."""
    low, high, value = (math.log10(number) for number in (*limits, value)) if log else (*limits, value)
    return (value - low) / (high - low)


class Panel:
    """A rectangle of a drawing with axes: from values to places.

    box: left, top, width, height. x, y: ranges. log: the axes that are logarithmic, "x", "y" or "xy".
    """

    def __init__(self, drawing: Drawing, box: tuple[float, float, float, float], x: tuple[float, float], y: tuple[float, float], *,
                 log: str = ""):
        self.drawing, self.box, self.log, self.x, self.y = drawing, box, log, x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, width, height = self.box
        return left + width * share(x, self.x, "x" in self.log), top + height * (1 - share(y, self.y, "y" in self.log))

    def axes(self, title: str, *, xlabel: str = "", marks: int = 4, xmarks: int = 5, at: Sequence[float] | None = None,
             xticks: bool = True) -> None:
        """Grid, numbers, the panel's title above it and the name of x below. at: values of y to mark, in place of round ones."""
        left, top, width, height = self.box
        bottom = top + height
        for value in at if at is not None else ticks(*self.y, marks):
            place = self.at(self.x[0], value)[1]
            self.drawing.line([(left, place), (left + width, place)], "grid")
            self.drawing.text(left - 5, place + 4, plain(value), "tick", anchor="end")
        for value in log_ticks(*self.x) if "x" in self.log else ticks(*self.x, xmarks):
            place = self.at(value, self.y[0])[0]
            self.drawing.line([(place, top), (place, bottom)], "grid")
            if xticks:
                self.drawing.text(place, bottom + 15, plain(value), "tick", anchor="middle")
        self.drawing.text(left, top - 7, title, "name")
        if xlabel:
            self.drawing.text(left + width, bottom + 31, xlabel, "tick", anchor="end")

    def curve(self, points: Sequence[tuple[float, float]], style: str) -> None:
        places = [self.at(*point) for point in points]
        self.drawing.line(places, f"line {style}") if len(places) > 1 else self.drawing.dot(*places[0], 3, f"dot {style}")

"""A network's phone confusions as a picture of shades, and the worst of them as a table."""

from __future__ import annotations

import numpy as np

from ..confusions import Confusions
from .elements import escape, figure, table
from .svg import Drawing

CELL = 15.0
MARGIN = 40.0
LEAST = 0.005  # of a label's frames: what is rarer is not drawn
WORST = 15


def confusion_picture(found: Confusions) -> str:
    count, rates = len(found.phones), found.rates
    size = MARGIN + CELL * count + 6
    drawing = Drawing(size, size, "phone confusions: a row for each phone of the labels, a column for each of the network's")
    drawing.rectangle(MARGIN, MARGIN, CELL * count, CELL * count, "field")
    for a, b in zip(*np.nonzero(rates >= LEAST)):
        told = f"{found.phones[a]} taken for {found.phones[b]}: {100 * rates[a, b]:.1f} % ({found.frames[a, b]} frames)"
        drawing.rectangle(MARGIN + CELL * b, MARGIN + CELL * a, CELL, CELL, "right" if a == b else "wrong",
                          opacity=min(0.99, 0.08 + 0.92 * float(rates[a, b]) ** 0.6), title=told)
    for place, phone in enumerate(found.phones):
        middle = MARGIN + CELL * (place + 0.5)
        drawing.text(MARGIN - 4, middle + 4, phone, "tick", anchor="end")
        drawing.text(middle + 4, MARGIN - 4, phone, "tick", turn=-90)
    return figure(f'<div class="scroll" tabindex="0"><div class="wide">{drawing}</div></div>',
                  "Rows: phone of the label; columns: phone of the network's most probable class. Darker: a larger share of the row's frames; "
                  f"shares below {100 * LEAST:g} % are left white.")


def worst_table(found: Confusions) -> str:
    """The pairs with the most frames."""
    rates = found.rates
    pairs = [(int(found.frames[a, b]), a, b) for a, b in zip(*np.nonzero(found.frames)) if a != b]
    rows = [[escape(found.phones[a]), escape(found.phones[b]), str(frames), f"{100 * rates[a, b]:.1f}"]
            for frames, a, b in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:WORST]]
    return table(["label", "taken for", "frames", "% of the label's"], rows, [False, False, True, True])

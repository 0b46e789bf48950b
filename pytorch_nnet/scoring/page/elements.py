"""HTML that several sections use."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Mapping, Sequence

SHORT = 16  # characters: columns of such cells are not broken into lines


def escape(value) -> str:
    return html.escape(str(value))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A table that scrolls by itself where it is too wide; cells are HTML. right: columns that stand right, as numbers do."""
    short = [all(len(row[column]) <= SHORT for row in rows) for column in range(len(header))]
    align = [' class="n"' if side else ' class="s"' if narrow else "" for side, narrow in zip(right, short)]
    head = "".join(f'<th scope="col"{kind}>{cell}</th>' for kind, cell in zip(align, header))
    body = "".join("<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(align, row)) + "</tr>\n" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def figure(content: str, caption: str = "", style: str = "") -> str:
    """caption: HTML."""
    told = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{content}{told}</figure>'


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture_file(path: Path, words: str) -> str:
    """A PNG file as a part of the page."""
    return figure(f'<img class="paper" alt="{escape(words)}" src="{data_url(path.read_bytes())}">')


def sample(shapes: str) -> str:
    """A small drawing, 24 by 10, for a legend."""
    return f'<svg class="key" viewBox="0 0 24 10" aria-hidden="true">{shapes}</svg>'


def legend(keys: Mapping[str, str]) -> str:
    """keys: drawings by what they mean."""
    return '<ul class="legend">' + "".join(f"<li>{drawing}{escape(name)}</li>" for name, drawing in keys.items()) + "</ul>"

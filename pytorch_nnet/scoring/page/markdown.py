"""The part of Markdown that our own reports are written in, as HTML.

Headings, tables, lists (numbered ones hold plain ones), pictures on a line of their own, paragraphs; in a line `code`, *emphasis*,
**strong**.
"""

from __future__ import annotations

import html
import re
from typing import Callable, Iterable, Sequence

from .elements import table

Picture = Callable[[str, str], str]  # (file, words) -> HTML
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
HEADING = re.compile(r"(#+) (.*)")
ITEM = re.compile(r"( *)(-|\d+\.) (.*)")
SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])")


def inline(text: str) -> str:
    """A line's text with its markup, which does not nest; nothing in it is taken for HTML."""

    def span(match: re.Match[str]) -> str:
        tag, content = next((tag, content) for tag, content in zip(("code", "strong", "em"), match.groups()) if content)
        return f"<{tag}>{content}</{tag}>"

    return SPAN.sub(span, html.escape(text))


def kind_of(line: str) -> str:
    for kind, found in (("heading", HEADING.fullmatch(line)), ("picture", PICTURE.fullmatch(line.strip())), ("item", ITEM.match(line)),
                        ("table", line.startswith("|"))):
        if found:
            return kind
    return "text"


def blocks(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """(kind, lines) of every heading, picture, table, paragraph and list. Items with blank lines between them are one list."""
    found: list[tuple[str, list[str]]] = []
    joined = False  # the line before was not blank
    for line in lines:
        kind, last = kind_of(line), found[-1][0] if found else ""
        if line.strip():
            if kind == last == "item" and same_list(found[-1][1][0], line) or joined and last == kind in ("table", "text") or (
                    joined and (last, kind) == ("item", "text")):
                found[-1][1].append(line)
            else:
                found.append((kind, [line]))
        joined = bool(line.strip())
    return found


def same_list(first: str, line: str) -> bool:
    """An item belongs to the list that `first` begins if it is indented or of the same kind, numbered or not."""
    one, other = ITEM.match(first), ITEM.match(line)
    return bool(one and other and (len(other[1]) > len(one[1]) or (one[2] == "-") == (other[2] == "-")))


def render(lines: Iterable[str], picture: Picture, *, level: int) -> str:
    """HTML of some lines; a heading of one # gets `level`, as in <h2>."""
    parts = []
    for kind, block in blocks(lines):
        if kind == "heading":
            marks, _, text = block[0].partition(" ")
            size = min(len(marks) + level - 1, 6)
            parts.append(f"<h{size}>{inline(text)}</h{size}>")
        elif kind == "picture":
            words, _, file = block[0].strip()[2:-1].partition("](")
            parts.append(picture(file, words))
        elif kind == "table" and len(block) > 1:
            parts.append(table_html(block))
        elif kind == "item":
            parts.append(list_html(block))
        else:
            parts.append(f"<p>{inline(' '.join(map(str.strip, block)))}</p>")
    return "\n".join(parts)


def table_html(block: Sequence[str]) -> str:
    header, ruler, *rows = [line.strip().removeprefix("|").removesuffix("|").split(" | ") for line in block]
    width = len(header)
    cells = [[inline(cell.strip()) for cell in (row + [""] * width)[:width]] for row in (header, *rows)]
    return table(cells[0], cells[1:], [cell.strip().endswith(":") for cell in (ruler + [""] * width)[:width]])


def list_html(block: Sequence[str]) -> str:
    """Items that are indented are a list in the item before; lines that are no items go on with the one before."""
    depth = len(block[0]) - len(block[0].lstrip())
    items: list[tuple[str, list[str]]] = []  # text, lines of the list in it
    for line in block:
        match = ITEM.match(line)
        if match and len(match[1]) <= depth:
            items.append((match[3], []))
        elif match or items[-1][1]:
            items[-1][1].append(line)
        else:
            items[-1] = (f"{items[-1][0]} {line.strip()}", [])
    tag = "ul" if block[0].lstrip().startswith("-") else "ol"
    return f"<{tag}>" + "".join(f"<li>{inline(text)}{list_html(inner) if inner else ''}</li>" for text, inner in items) + f"</{tag}>"

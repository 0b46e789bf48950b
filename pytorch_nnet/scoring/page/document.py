"""The page around the sections: head, contents, style."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .elements import escape
from .style import STYLE


class Section(NamedTuple):
    """anchor: its id in the page. body: HTML."""

    anchor: str
    title: str
    body: str


def document(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A whole page. title: text. lead: HTML under it. A policy in the page itself forbids it to fetch or to run anything."""
    contents = "".join(f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections)
    body = "\n".join(f'<section aria-labelledby="{section.anchor}">\n<h2 id="{section.anchor}">{escape(section.title)}</h2>\n'
                     f"{section.body}\n</section>" for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{lead}
</header>
<nav aria-label="Contents"><strong>Contents</strong><ol>{contents}</ol></nav>
<main>
{body}
</main>
</body>
</html>
"""

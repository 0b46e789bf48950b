"""Text files of the releases: any line ends, ASCII, UTF-8 or Latin-1."""

from __future__ import annotations

from collections import Counter
from typing import Iterator

from ..io.errors import require_file

CRLF = "text files with CRLF line ends"
LATIN1 = "lines read as Latin-1"
LONGEST = 1e5  # seconds: more than a day
UTF8 = "lines with letters outside ASCII"


def read_seconds(text: str) -> float:
    """A time of a transcript; raises ValueError for one that no conversation has."""
    value = float(text)
    if not 0 <= value < LONGEST or "_" in text or not text.isascii():
        raise ValueError
    return value


def read_lines(path, counts: Counter) -> Iterator[tuple[int, str]]:
    """Yields (line number, line without its end).

    A line that is no UTF-8 is read as Latin-1, which every byte sequence is. UTF-8 comes first because the other way round
    some of its letters hold a byte that is a space in Latin-1, and their words would fall apart.
    Args:
      counts: files with CRLF ends and lines outside ASCII are counted under the names above.
    """
    with open(require_file(path), "rb") as file:
        content = file.read()
    counts[CRLF] += b"\r\n" in content
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.isascii():
            yield number, line.decode("ascii")
            continue
        try:
            text = line.decode("utf-8")
            counts[UTF8] += 1
        except UnicodeDecodeError:
            text = line.decode("latin-1")
            counts[LATIN1] += 1
        yield number, text

"""The text form of Kaldi's files: words between white space, vectors and matrices in brackets (Kaldi: base/io-funcs.cc,
matrix/kaldi-matrix.cc).

A matrix has a row on each line; a vector stands on one line. Numbers carry no marker of their type.
"""

from __future__ import annotations

import re

import numpy as np

from .errors import RecipeError

INT32 = re.compile(r"[-+]?[0-9]{1,10}")
WORD = re.compile(r"\s*(\S+)")
BLANKS = re.compile(r"[^\S\n]*")


def whole(word: str) -> int:
    """An int32; raises ValueError."""
    if not INT32.fullmatch(word) or not -1 << 31 <= int(word) < 1 << 31:
        raise ValueError
    return int(word)


def real(word: str) -> float:
    """A number; raises ValueError for what Python alone takes for one."""
    if "_" in word or not word.isascii():
        raise ValueError
    return float(word)


class TextReader:
    """Reads the parts of one text file in order, with the methods of `kaldi_binary.BinaryReader`; names the line of a surprise."""

    binary = False

    def __init__(self, content: bytes, file=None, start: int = 0):
        self.file, self.position = file, start
        try:
            self.content = content.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise RecipeError("not the Kaldi file it should be", file=file, expected="text, or binary that begins with NUL, 'B'",
                              found=str(problem)) from None

    def error(self, expected: str, found: str) -> RecipeError:
        line = self.content.count("\n", 0, self.position) + 1
        return RecipeError("not the Kaldi file it should be", file=self.file, expected=f"{expected} in line {line}", found=found,
                           next="copy the file again, or make it again")

    @property
    def at_end(self) -> bool:
        return WORD.match(self.content, self.position) is None

    @property
    def at_line_end(self) -> bool:
        """Whether nothing but white space is left of the line."""
        blanks = BLANKS.match(self.content, self.position)
        rest = blanks.end() if blanks else self.position
        return self.content[rest:rest + 1] in ("", "\n")

    def peek(self) -> str:
        """The next word, without moving."""
        return self._next()[1]

    def _next(self) -> re.Match[str]:
        match = WORD.match(self.content, self.position)
        if match is None:
            raise self.error("a word", "the end of the file")
        return match

    def token(self, *expected: str) -> str:
        match = self._next()
        word = match[1]
        if expected and word not in expected:
            raise self.error(" or ".join(expected), repr(word[:40]))
        self.position = match.end()
        return word

    def number(self, convert):
        word = self.peek()
        try:
            value = convert(word)
        except ValueError:
            raise self.error("a number", repr(word[:40])) from None
        self.token()
        return value

    def int32(self) -> int:
        return self.number(whole)

    uint32 = int32

    def float32(self) -> float:
        return self.number(real)

    def int_vector(self) -> np.ndarray:
        """int32 (n,)."""
        return np.array([self.converted(word, whole) for word in self.bracket().split()], np.int32)

    def rest_of_line(self) -> np.ndarray:
        """The numbers up to the line feed: int32 (n,), as in a text archive of integer vectors."""
        end = self.content.find("\n", self.position)
        words, self.position = self.content[self.position:end].split(), end + 1
        if end < 0:
            raise self.error("a line feed", "the end of the file")
        return np.array([self.converted(word, whole) for word in words], np.int32)

    def array(self, *kinds: str) -> np.ndarray:
        """float32 (n,) for vectors, (rows, columns) for matrices."""
        lines = [line.split() for line in self.bracket().split("\n")]
        rows = [[self.converted(word, real) for word in line] for line in lines if line]
        if len({len(row) for row in rows}) > 1 or kinds[0][1] == "V" and len(rows) > 1:
            raise self.error("rows of one length, or one row for a vector", f"rows of {sorted({len(row) for row in rows})} numbers")
        if kinds[0][1] == "V":
            return np.array(rows[0] if rows else [], np.float32)
        return np.array(rows, np.float32).reshape(len(rows), -1 if rows else 0)

    def bracket(self) -> str:
        """What stands between the next pair of brackets."""
        self.token("[")
        end = self.content.find("]", self.position)
        if end < 0:
            raise self.error("']'", "the end of the file")
        inside, self.position = self.content[self.position:end], end + 1
        return inside

    def converted(self, word: str, convert):
        try:
            return convert(word)
        except ValueError:
            raise self.error("a number", repr(word[:40])) from None


def matrix_text(matrix: np.ndarray) -> str:
    """A matrix as Kaldi prints it, with as many digits as give the same numbers back."""
    values = np.asarray(matrix)
    values = values if values.dtype == np.float64 else values.astype(np.float32)
    return " [" + "".join("\n  " + "".join(f"{number!s} " for number in row) for row in values) + "]\n"

"""The tokens and basic types that Kaldi's binary files are made of (Kaldi: base/io-funcs.cc, matrix/kaldi-matrix.cc).

A binary file opens with two bytes, NUL and 'B'. A token is its characters and one space. An int32 is the byte 4 and four bytes,
little endian; an uint32 has -4 in front; a float the byte 4. An integer vector is the byte 4, a bare int32 count and the elements.
A float vector is the token FV, a count and the elements; a matrix FM, rows, columns and the elements row by row.
"""

from __future__ import annotations

import struct

import numpy as np

from .errors import RecipeError

HEADER = b"\0B"


class BinaryReader:
    """Reads the parts of one file in order; every surprise is a RecipeError with the byte position."""

    def __init__(self, content: bytes, file=None):
        self.content, self.file = content, file
        self.position = 2 if content[:2] == HEADER else 0
        if not self.position:
            raise self.error("a binary Kaldi file (NUL, 'B')", repr(content[:8]))

    def error(self, expected: str, found: str) -> RecipeError:
        return RecipeError("not the Kaldi file it should be", file=self.file, expected=f"{expected} at byte {self.position}",
                           found=found, next="make the model again, or convert a text file with Kaldi's --binary=true")

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.content)

    def peek(self) -> str:
        """The next token, without moving."""
        end = self.content.find(b" ", self.position, self.position + 64)
        if end < 0:
            raise self.error("a token", repr(self.content[self.position:self.position + 16]))
        return self.content[self.position:end].decode("ascii", "replace")

    def token(self, *expected: str) -> str:
        word = self.peek()
        if expected and word not in expected:
            raise self.error(" or ".join(expected), repr(word))
        self.position += len(word) + 1
        return word

    def take(self, size: int) -> bytes:
        part = self.content[self.position:self.position + size]
        if len(part) < size:
            raise self.error(f"{size} more bytes", f"the end of the file after {len(part)}")
        self.position += size
        return part

    def basic(self, marker: bytes, layout: str):
        found = self.content[self.position:self.position + 1]
        if found != marker:
            raise self.error(f"a number (byte {marker!r})", repr(found))
        return struct.unpack(layout, self.take(5)[1:])[0]

    def int32(self) -> int:
        return self.basic(b"\x04", "<i")

    def uint32(self) -> int:
        return self.basic(b"\xfc", "<I")

    def float32(self) -> float:
        return self.basic(b"\x04", "<f")

    def int_vector(self) -> np.ndarray:
        """int32 (n,)."""
        count = self.int32()
        return np.frombuffer(self.take(4 * count), "<i4").astype(np.int32)

    def array(self, kind: str) -> np.ndarray:
        """float32 (n,) for kind FV, (rows, columns) for FM."""
        self.token(kind)
        shape = (self.int32(),) if kind == "FV" else (self.int32(), self.int32())
        return np.frombuffer(self.take(4 * int(np.prod(shape))), "<f4").reshape(shape).astype(np.float32)


def token(word: str) -> bytes:
    return word.encode("ascii") + b" "


def int32(value: int) -> bytes:
    return b"\x04" + struct.pack("<i", value)


def uint32(value: int) -> bytes:
    return b"\xfc" + struct.pack("<I", value)


def float32(value: float) -> bytes:
    return b"\x04" + struct.pack("<f", value)


def int_vector(values) -> bytes:
    values = np.asarray(values, "<i4")
    return int32(len(values)) + values.tobytes()


def array(values: np.ndarray) -> bytes:
    """A float vector or matrix in single precision."""
    values = np.ascontiguousarray(values, "<f4")
    return token("FV" if values.ndim == 1 else "FM") + b"".join(map(int32, values.shape)) + values.tobytes()

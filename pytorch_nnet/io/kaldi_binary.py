"""The tokens and basic types that Kaldi's binary files are made of (Kaldi: base/io-funcs.cc, matrix/kaldi-matrix.cc).

A binary file opens with two bytes, NUL and 'B'. A token is its characters and one space. An int32 is the byte 4 and four bytes,
little endian; an uint32 has -4 in front; a float the byte 4. An integer vector is the byte 4, a bare int32 count and the elements.
A float vector is the token FV, a count and the elements; a matrix FM, rows, columns and the elements row by row (DV, DM: in double
precision). The text form of the same objects is read by `kaldi_text.TextReader`, which has the methods of `BinaryReader`.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from .errors import RecipeError, require_file
from .kaldi_text import TextReader, matrix_text
from .publish import publish

HEADER = b"\0B"
NEXT = "copy the file again, or make it again"


class BinaryReader:
    """Reads the parts of one file (or, from `start`, of one entry of an archive) in order; every surprise is a RecipeError with the
    byte position.
    """

    binary = True

    def __init__(self, content: bytes, file=None, start: int = 0):
        self.content, self.file, self.position = content, file, start
        if content[start:start + 2] != HEADER:
            raise self.error("a binary Kaldi file (NUL, 'B')", repr(content[start:start + 8]))
        self.position += 2

    def error(self, expected: str, found: str) -> RecipeError:
        return RecipeError("not the Kaldi file it should be", file=self.file, expected=f"{expected} at byte {self.position}",
                           found=found, next=NEXT)

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
        part = self.content[self.position:self.position + max(size, 0)]
        if size < 0 or len(part) < size:
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

    def array(self, *kinds: str) -> np.ndarray:
        """(n,) for the kinds FV and DV, (rows, columns) for FM and DM; float32, or float64 where a D is allowed and found."""
        kind = self.token(*kinds)
        shape = tuple(self.int32() for _ in kind[1:].replace("M", "MM"))
        if min(shape) < 0:
            raise self.error("a size", str(shape))
        layout = np.dtype("<f4" if kind[0] == "F" else "<f8")
        values = self.take(layout.itemsize * int(np.prod(shape, dtype=object)))
        return np.frombuffer(values, layout).reshape(shape).astype(layout.newbyteorder("="))


def open_reader(path) -> "BinaryReader | TextReader":
    """A reader of a whole file, binary or text as its first two bytes say."""
    content = Path(require_file(path)).read_bytes()
    return BinaryReader(content, path) if content[:2] == HEADER else TextReader(content, path)


def read_matrix_file(path) -> np.ndarray:
    """Reads a file that holds one matrix, such as final.mat: (rows, columns), float32 or as written float64; text is float32."""
    reader = open_reader(path)
    matrix = reader.array("FM", "DM")
    if not reader.at_end:
        raise reader.error("the end of the file", "more than one matrix")
    return matrix


def write_matrix_file(path, matrix: np.ndarray, *, binary: bool = True) -> None:
    """Publishes one matrix as a file of its own, in the precision it has."""
    with publish(path, "wb") as file:
        file.write(HEADER + array(matrix, keep=True) if binary else matrix_text(matrix).encode())


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


def array(values: np.ndarray, *, keep: bool = False) -> bytes:
    """A float vector or matrix in single precision; with `keep`, float64 stays float64."""
    double = keep and np.asarray(values).dtype == np.float64
    values = np.ascontiguousarray(values, "<f8" if double else "<f4")
    kind = ("D" if double else "F") + ("V" if values.ndim == 1 else "M")
    return token(kind) + b"".join(map(int32, values.shape)) + values.tobytes()

"""One matrix or vector where a stream stands: in single or double precision, compressed, or text (Kaldi: matrix/kaldi-matrix.cc,
matrix/compressed-matrix.cc).

A compressed matrix opens with the token CM, CM2 or CM3, then two floats (smallest value, range), rows and columns, without the byte 4
that other numbers have in front. CM2 and CM3 have a uint16 or a byte a value, row by row, between the smallest and the largest. CM
has for every column four uint16 (values at 0, 25, 75 and 100 % of its values), then a byte a value, column by column: 0 to 64 lie between the
first two, to 192 between the next two, to 255 between the last.

Only these forms are read: nothing here can be made to run a command or to build another kind of object.
"""

from __future__ import annotations

import struct
from typing import IO

import numpy as np

from .kaldi_binary import HEADER
from .kaldi_text import TextReader

AT_ONCE = 1 << 24  # bytes: a wrong size costs no more memory than there are bytes to read
KINDS = {b"FV": "<f4", b"DV": "<f8", b"FM": "<f4", b"DM": "<f8"}
STEPS = {b"CM2": ("<u2", 65535), b"CM3": ("|u1", 255)}


def read_object(stream: IO[bytes]) -> np.ndarray:
    """(n,) or (rows, columns), float32 or as written float64. Raises ValueError for anything else, or what is cut short."""
    start = _take(stream, 2)
    if start != HEADER:
        return _text(stream, start)
    kind = b""
    while (letter := _take(stream, 1)) != b" ":
        kind += letter
        if len(kind) > 3:
            raise ValueError(f"{kind!r} instead of one of {' '.join(k.decode() for k in (*KINDS, b'CM', *STEPS))}")
    if kind == b"CM" or kind in STEPS:
        return _compressed(stream, kind)
    if kind not in KINDS:
        raise ValueError(f"{kind!r}, which is no matrix and no vector")
    shape = []
    for _ in range(1 + kind.endswith(b"M")):
        marker, size = struct.unpack("<bi", _take(stream, 5))
        if marker != 4 or size < 0:
            raise ValueError(f"a size of {size}, marked {marker}")
        shape.append(size)
    return _values(stream, KINDS[kind], *shape)


def _take(stream: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left:
        part = stream.read(min(left, AT_ONCE))
        if not part:
            raise ValueError(f"the end, {left} bytes too early")
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _values(stream: IO[bytes], layout: str, *shape: int) -> np.ndarray:
    dtype = np.dtype(layout)
    content = _take(stream, dtype.itemsize * shape[0] * (shape[1] if len(shape) > 1 else 1))
    return np.frombuffer(content, dtype).reshape(shape)


def _compressed(stream: IO[bytes], kind: bytes) -> np.ndarray:
    low, span, rows, columns = struct.unpack("<ffii", _take(stream, 16))
    if rows < 0 or columns < 0:
        raise ValueError(f"a matrix of {rows} x {columns}")
    low, span = np.float32(low), np.float32(span)
    if kind in STEPS:
        layout, steps = STEPS[kind]
        return low + _values(stream, layout, rows, columns).astype(np.float32) * (span * np.float32(1 / steps))
    quantiles = low + _values(stream, "<u2", columns, 4).astype(np.float32) * (span * np.float32(1 / 65535))
    codes = _values(stream, "|u1", columns, rows).astype(np.float32)
    p0, p25, p75, p100 = (quantiles[:, place:place + 1] for place in range(4))
    inner = np.where(codes <= 192, p25 + (p75 - p25) * (codes - 64) * np.float32(1 / 128), p75 + (p100 - p75) * (codes - 192) * np.float32(1 / 63))
    return np.ascontiguousarray(np.where(codes <= 64, p0 + (p25 - p0) * codes * np.float32(1 / 64), inner).T)


def _text(stream: IO[bytes], start: bytes) -> np.ndarray:
    """Text from a bracket to the next: a matrix if it has more lines than one."""
    content = bytearray(start)
    if not content.strip().startswith(b"[") and content.strip():
        raise ValueError(f"{start!r} instead of a matrix")
    part = b""
    while b"]" not in part:
        part = stream.readline()
        if not part:
            raise ValueError("no ']' up to the end")
        content += part
    inside = content.partition(b"[")[2].partition(b"]")[0]
    return TextReader(bytes(content), "the archive").array("FM" if b"\n" in inside else "FV")

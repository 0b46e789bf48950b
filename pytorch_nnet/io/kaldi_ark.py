"""Kaldi archives of integer vectors (ali.JOB.gz) and of matrices (trans.JOB), binary and text (Kaldi: util/kaldi-holder-inl.h).

An archive is `<key> <object>` over and over. A binary object opens with NUL, 'B'. An integer vector is there its count and its
elements, each an int32 of five bytes; in text it is the rest of the line.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Callable, Iterator, Mapping, TypeVar

import numpy as np

from .errors import RecipeError, require_file
from .ids import check_id, fault
from .kaldi_binary import HEADER, BinaryReader, array, int32
from .kaldi_text import TextReader, matrix_text
from .publish import publish

MAX_KEY = 1000  # bytes
INT32 = np.dtype([("size", "u1"), ("value", "<i4")])
Reader = BinaryReader | TextReader
T = TypeVar("T")


def read_int_vectors(path) -> dict[str, np.ndarray]:
    """{key: int32 (n,)} of an archive, gzipped or not."""
    return dict(read_entries(path, _int_vector))


def read_matrices(path) -> dict[str, np.ndarray]:
    """{key: (rows, columns)} of an archive, gzipped or not; float32, or as written float64."""
    return dict(read_entries(path, lambda reader: reader.array("FM", "DM")))


def int_vectors_to_bytes(vectors: Mapping[str, np.ndarray], *, binary: bool = True) -> bytes:
    """An archive of integer vectors, in the order given."""
    parts = []
    for key, values in vectors.items():
        values = np.asarray(values, np.int32)
        if binary:
            records = np.empty(len(values), INT32)
            records["size"], records["value"] = 4, values
            parts += [check_id(key).encode(), b" ", HEADER, int32(len(values)), records.tobytes()]
        else:
            parts.append(f"{check_id(key)} {''.join(f'{value} ' for value in values.tolist())}\n".encode())
    return b"".join(parts)


def write_matrices(path, matrices: Mapping[str, np.ndarray], *, binary: bool = True) -> None:
    """Publishes an archive of matrices, in the order and the precision given."""
    with publish(path, "wb") as file:
        for key, matrix in matrices.items():
            file.write(check_id(key).encode() + b" " + (HEADER + array(matrix, keep=True) if binary else matrix_text(matrix).encode()))


def read_entries(path, read: Callable[[Reader], T]) -> Iterator[tuple[str, T]]:
    """(key, object) of an archive; `read` takes one object from a reader.

    Raises:
      RecipeError: a file that is cut short, damaged or of another kind, or that has a key twice.
    """
    content = Path(require_file(path)).read_bytes()
    try:
        content = gzip.decompress(content) if content[:1] == b"\x1f" else content
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(path, None, "a whole gzip file", f"{type(error).__name__}: {error}") from None
    seen: set[str] = set()
    key = None
    try:
        for key, reader in _binary_entries(content, path) if HEADER in content[:MAX_KEY] else _text_entries(content, path):
            value = read(reader)
            if key in seen:
                raise reader.error("each key once", f"'{key}' again")
            seen.add(key)
            yield key, value
    except RecipeError as error:
        raise _damaged(path, key, error.expected, error.found) from None


def _damaged(path, key, expected, found) -> RecipeError:
    return RecipeError("archive is cut short or damaged", file=path, id=key, expected=expected, found=found,
                       next="copy the file again, or make it again")


def _binary_entries(content: bytes, path) -> Iterator[tuple[str, BinaryReader]]:
    position = 0
    while position < len(content):
        space = content.find(b" ", position, position + MAX_KEY)
        try:
            key = content[position:space].decode() if space > position else ""
        except UnicodeDecodeError:
            key = ""
        if fault(key):
            raise RecipeError("", expected=f"a key at byte {position}", found=repr(content[position:position + 16]))
        reader = BinaryReader(content, path, space + 1)
        yield key, reader
        position = reader.position


def _text_entries(content: bytes, path) -> Iterator[tuple[str, TextReader]]:
    reader = TextReader(content, path)
    while not reader.at_end:
        key = reader.token()
        if reason := fault(key):
            raise reader.error("a key", reason)
        yield key, reader


def _int_vector(reader: Reader) -> np.ndarray:
    if isinstance(reader, TextReader):
        return reader.rest_of_line()
    records = np.frombuffer(reader.take(INT32.itemsize * reader.int32()), INT32)
    if (records["size"] != 4).any():
        raise reader.error("int32 elements of five bytes", "another vector")
    return records["value"].astype(np.int32)

"""Kaldi's archives of posteriors: for every frame pairs of a class and its weight (Kaldi: hmm/posterior.cc, WritePosterior).

Binary: NUL 'B', the number of frames, and for each frame the number of pairs and the pairs. Every number is four bytes behind the
byte 4. Text: a bracket a frame, `[ 3 0.7 12 0.3 ]`, an utterance a line.
"""

from __future__ import annotations

import struct
from typing import Iterator, NamedTuple

import numpy as np

from .ids import check_id
from .kaldi_ark import read_entries
from .kaldi_binary import HEADER, BinaryReader, int32
from .kaldi_text import TextReader, real, whole

FRAME = np.dtype([("size", "u1"), ("count", "<i4")])
PAIR = np.dtype([("id_size", "u1"), ("id", "<i4"), ("weight_size", "u1"), ("weight", "<f4")])


class Posterior(NamedTuple):
    """Of one utterance of T frames: pairs end to end."""

    counts: np.ndarray  # (T,) int64: pairs of each frame
    ids: np.ndarray  # (pairs,) int32
    weights: np.ndarray  # (pairs,) float32


def read_posteriors(path) -> Iterator[tuple[str, Posterior]]:
    """(utterance, posterior) of an archive, gzipped or not, binary or text. Raises RecipeError for a damaged one."""
    return read_entries(path, lambda reader: _from_text(reader) if isinstance(reader, TextReader) else _from_binary(reader))


def posterior_to_bytes(key: str, posterior: Posterior, *, binary: bool = True) -> bytes:
    """One entry of an archive."""
    counts, ids, weights = posterior
    if not binary:
        pairs = [f"{i} {w!s} " for i, w in zip(ids, np.asarray(weights, np.float32))]
        ends = np.cumsum(counts)
        frames = ("[ " + "".join(pairs[end - count:end]) + "] " for count, end in zip(counts, ends))
        return f"{check_id(key)} {''.join(frames)}\n".encode()
    heads, at = _positions(counts)
    body = np.empty(FRAME.itemsize * len(counts) + PAIR.itemsize * len(ids), np.uint8)
    head, pair = np.empty(len(counts), FRAME), np.empty(len(ids), PAIR)
    head["size"], head["count"] = 4, counts
    pair["id_size"], pair["id"], pair["weight_size"], pair["weight"] = 4, ids, 4, weights
    for records, places in ((head, heads), (pair, at)):
        body[places[:, None] + np.arange(records.itemsize)] = records.view(np.uint8).reshape(-1, records.itemsize)
    return check_id(key).encode() + b" " + HEADER + int32(len(counts)) + body.tobytes()


def _positions(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes at which each frame's head and each pair begin, from the first head on."""
    before = np.cumsum(counts) - counts
    heads = FRAME.itemsize * np.arange(len(counts)) + PAIR.itemsize * before
    frame = np.repeat(np.arange(len(counts)), counts)
    return heads, FRAME.itemsize * (frame + 1) + PAIR.itemsize * np.arange(len(frame))


def _from_binary(reader: BinaryReader) -> Posterior:
    frames, start = reader.int32(), reader.position
    sizes: list[int] = []
    for _ in range(frames):
        try:
            size, count = struct.unpack_from("<Bi", reader.content, reader.position)
        except struct.error:
            raise reader.error(f"{frames} frames", f"the end of the file after {len(sizes)}") from None
        if size != 4 or count < 0:
            raise reader.error("a number of pairs", f"{count}, marked {size}")
        sizes.append(count)
        reader.position += FRAME.itemsize
        reader.take(PAIR.itemsize * count)
    counts = np.array(sizes, np.int64)
    body = np.frombuffer(reader.content, np.uint8, reader.position - start, start)
    pairs = body[_positions(counts)[1][:, None] + np.arange(PAIR.itemsize)].reshape(-1).view(PAIR)
    if (pairs["id_size"] != 4).any() or (pairs["weight_size"] != 4).any():
        raise reader.error("pairs of an int32 and a float, as of a Kaldi with single precision", "others")
    return Posterior(counts, pairs["id"].astype(np.int32), pairs["weight"].astype(np.float32))


def _from_text(reader: TextReader) -> Posterior:
    counts: list[int] = []
    ids: list[int] = []
    weights: list[float] = []
    while not reader.at_line_end:
        words = reader.bracket().split()
        if len(words) % 2:
            raise reader.error("pairs of a class and a weight", f"{len(words)} numbers")
        ids += (reader.converted(word, whole) for word in words[::2])
        weights += (reader.converted(word, real) for word in words[1::2])
        counts.append(len(words) // 2)
    return Posterior(np.array(counts, np.int64), np.array(ids, np.int32), np.array(weights, np.float32))

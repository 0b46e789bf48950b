"""OpenFst 'vector' transducers as numpy arrays: reads and writes the binary file without an FST library.

Layout (little-endian; OpenFst fst.h FstHeader and vector-fst.h):
    int32 2125659606; string "vector"; string "standard" (each int32 length, bytes); int32 version 2; int32 flags;
    uint64 properties; int64 start; int64 states; int64 arcs
    then per state: float32 final cost (+inf: not final); int64 n; n records of (int32 ilabel, int32 olabel, float32
    cost, int32 next)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.publish import publish

MAGIC = 2125659606
# kExpanded | kMutable: the only properties that are certain without looking at the arcs.
PROPERTIES = 0x3
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("cost", "<f4"), ("dst", "<i4")])
STATE = struct.Struct("<fq")


@dataclass
class FstArrays:
    """A transducer over the tropical semiring; arcs are ordered by source state.

    src (N,) int32 and arcs (N,) of dtype ARC; final (states,) float32 costs, +inf where a state is not final.
    """

    start: int
    src: np.ndarray
    arcs: np.ndarray
    final: np.ndarray

    @property
    def num_states(self) -> int:
        return len(self.final)


def read_fst(path) -> FstArrays:
    """Reads a file written by OpenFst, kaldifst or Kaldi. Raises RecipeError if it is not a standard vector FST."""
    with open(require_file(path), "rb") as file:
        content = file.read()
    try:
        return parse(content)
    except (struct.error, ValueError) as error:
        raise RecipeError(
            "not a readable FST",
            file=path,
            expected="a whole OpenFst file of type vector, standard arcs",
            found=str(error),
            next="make the graph again (steps/mkgraph)",
        ) from None


def parse(content: bytes) -> FstArrays:
    (magic,), at = struct.unpack_from("<i", content), 4
    if magic != MAGIC:
        raise ValueError(f"magic number {magic}")
    names = []
    for _ in range(2):
        (length,) = struct.unpack_from("<i", content, at)
        names.append(content[at + 4 : at + 4 + length].decode("ascii"))
        at += 4 + length
    version, flags, _, start, states, _ = struct.unpack_from("<iiQqqq", content, at)
    at += struct.calcsize("<iiQqqq")
    if names != ["vector", "standard"] or version != 2 or flags & 3:
        raise ValueError(
            f"type {names[0]}, arcs {names[1]}, version {version}, flags {flags} (symbol tables are not read)"
        )
    final, counts, starts = [], [], []
    # The number of states is -1 when the writer could not seek; then they end with the file.
    while len(final) < states or (states < 0 and at < len(content)):
        cost, n = STATE.unpack_from(content, at)
        at += STATE.size
        if n < 0 or at + n * ARC.itemsize > len(content):
            raise ValueError("file ends inside a state")
        final.append(cost)
        counts.append(n)
        starts.append(at)
        at += n * ARC.itemsize
    # Every field is a multiple of four bytes after the header, so arcs are gathered as rows of four words.
    base = starts[0] - STATE.size if starts else 0
    words = np.frombuffer(content, "<i4", offset=base, count=(at - base) // 4)
    counts = np.array(counts, dtype=np.int64)
    src = np.repeat(np.arange(len(final), dtype=np.int32), counts)
    first = (np.array(starts, dtype=np.int64) - base) // 4
    rows = np.repeat(first - 4 * (np.cumsum(counts) - counts), counts) + 4 * np.arange(len(src))
    arcs = words[rows[:, None] + np.arange(4)].view(ARC)[:, 0] if len(src) else np.zeros(0, ARC)
    return FstArrays(start, src, arcs, np.array(final, dtype=np.float32))


def write_fst(path, fst: FstArrays) -> None:
    """Publishes `fst` as an OpenFst vector FST; arcs must be ordered by source state."""
    header = struct.pack("<i", MAGIC)
    for name in (b"vector", b"standard"):
        header += struct.pack("<i", len(name)) + name
    header += struct.pack("<iiQqqq", 2, 0, PROPERTIES, fst.start, fst.num_states, len(fst.arcs))
    ends = np.searchsorted(fst.src, np.arange(fst.num_states + 1))
    arcs = np.ascontiguousarray(fst.arcs)
    with publish(path, "wb") as file:
        file.write(header)
        for state, cost in enumerate(fst.final.tolist()):
            begin, end = ends[state], ends[state + 1]
            file.write(STATE.pack(cost, end - begin))
            file.write(arcs[begin:end].tobytes())

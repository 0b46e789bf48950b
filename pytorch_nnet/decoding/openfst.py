"""OpenFst transducers as numpy arrays: reads and writes the binary files of L.fst and HCLG.fst without an FST library.

Header (little-endian; OpenFst fst.h, FstHeader):
    int32 2125659606; string type ("vector" or "const"); string arcs ("standard") (each int32 length, bytes); int32 version;
    int32 flags; uint64 properties; int64 start; int64 states; int64 arcs
A vector FST (vector-fst.h) has then, per state: float32 final cost (+inf: not final); int64 n; n arcs.
A const FST (const-fst.h) has all states, of float32 final cost, uint32 first arc, n, n with ilabel 0, n with olabel 0; then
all arcs. If it is aligned (version 1, or flag 4) each of the two blocks begins at a multiple of 16 bytes.
An arc is int32 ilabel, int32 olabel, float32 cost, int32 next.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.publish import publish

MAGIC = 2125659606
# kExpanded | kMutable: the only properties that are certain without looking at the arcs.
MUTABLE = 0x2
PROPERTIES = 0x1 | MUTABLE
ALIGNMENT = 16
SYMBOLS, ALIGNED = 3, 4  # flags
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("cost", "<f4"), ("dst", "<i4")])
STATE = struct.Struct("<fq")
STATE_WORDS, ARC_WORDS = STATE.size // 4, ARC.itemsize // 4
STATES_AT_ONCE = 1 << 18  # memory while writing
CONST_STATE = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("iepsilons", "<u4"), ("oepsilons", "<u4")])
FIELDS = struct.Struct("<iiQqqq")


@dataclass(frozen=True)
class Header:
    """What a file says about itself before the states. OpenFst leaves `arcs` of a vector FST 0, and `states` -1 where it could
    not seek."""

    kind: str
    version: int
    flags: int
    properties: int
    states: int
    arcs: int

    @property
    def aligned(self) -> bool:
        return self.kind == "const" and (self.version == 1 or bool(self.flags & ALIGNED))


@dataclass
class FstArrays:
    """A transducer over the tropical semiring; arcs are ordered by source state.

    src (N,) int32 and arcs (N,) of dtype ARC; final (states,) float32 costs, +inf where a state is not final.
    header: as in the file it was read from, to write it back unchanged; its properties may be wrong once arcs were changed.
    """

    start: int
    src: np.ndarray
    arcs: np.ndarray
    final: np.ndarray
    header: Header | None = None

    @property
    def num_states(self) -> int:
        return len(self.final)


def read_fst(path, next: str = "make the graph again (steps/mkgraph)") -> FstArrays:
    """Reads a file written by OpenFst, kaldifst or Kaldi. Raises RecipeError if it is no vector or const FST with
    standard arcs."""
    with open(require_file(path, next=next), "rb") as file:
        content = file.read()
    try:
        return parse(content)
    except (struct.error, ValueError) as error:
        raise RecipeError(
            "not a readable FST",
            file=path,
            expected="a whole OpenFst file of type vector or const, standard arcs",
            found=str(error),
            next=next,
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
    version, flags, properties, start, states, arcs = FIELDS.unpack_from(content, at)
    at += FIELDS.size
    header = Header(names[0], version, flags, properties, states, arcs)
    if names[0] not in ("vector", "const") or names[1] != "standard" or version not in (1, 2) or flags & SYMBOLS:
        raise ValueError(
            f"type {names[0]}, arcs {names[1]}, version {version}, flags {flags} (symbol tables are not read)"
        )
    fst = parse_vector(content, at, header) if names[0] == "vector" else parse_const(content, at, header)
    fst.start = start
    targets = fst.arcs["dst"]
    if not -1 <= start < fst.num_states or len(targets) and not 0 <= targets.min() <= targets.max() < fst.num_states:
        raise ValueError(f"start or arcs lead beyond the {fst.num_states} states")
    return fst


def parse_const(content: bytes, at: int, header: Header) -> FstArrays:
    if header.states < 0 or header.arcs < 0:
        raise ValueError(f"{header.states} states, {header.arcs} arcs")
    blocks = []
    for dtype, count in ((CONST_STATE, header.states), (ARC, header.arcs)):
        at += -at % ALIGNMENT if header.aligned else 0
        if at + count * dtype.itemsize > len(content):
            raise ValueError(f"file ends before {count} records at byte {at}")
        blocks.append(np.frombuffer(content, dtype, count, at))
        at += count * dtype.itemsize
    states, arcs = blocks
    counts = states["arcs"].astype(np.int64)
    if counts.sum() != len(arcs) or (states["first"] != np.cumsum(counts) - counts).any():
        raise ValueError("the states' arcs do not follow one another")
    src = np.repeat(np.arange(len(states), dtype=np.int32), counts)
    return FstArrays(-1, src, arcs.copy(), states["final"].copy(), header)


def parse_vector(content: bytes, at: int, header: Header) -> FstArrays:
    states = header.states
    final, counts, starts = array("f"), array("q"), array("q")  # a graph has millions of states: no Python numbers
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
    # Every field is a multiple of four bytes after the header, so an arc's fields are gathered as words of four bytes.
    base = starts[0] - STATE.size if starts else 0
    words = np.frombuffer(content, "<i4", offset=base, count=(at - base) // 4)
    arcs_of = np.frombuffer(counts, np.int64)
    src = np.repeat(np.arange(len(final), dtype=np.int32), arcs_of)
    first = (np.frombuffer(starts, np.int64) - base) // 4
    place = np.repeat(first - 4 * (np.cumsum(arcs_of) - arcs_of), arcs_of) + 4 * np.arange(len(src))
    arcs = np.empty(len(src), ARC)
    for field in ARC.names or ():
        arcs[field] = words[place].view(ARC[field])
        place += 1
    return FstArrays(-1, src, arcs, np.array(final, np.float32), header)


def write_fst(path, fst: FstArrays, header: Header | None = None) -> None:
    """Publishes `fst`, as `dump_fst` writes it."""
    with publish(path, "wb") as file:
        dump_fst(file, fst, header)


def dump_fst(file, fst: FstArrays, header: Header | None = None) -> None:
    """Writes `fst` into a binary file at its beginning; arcs must be ordered by source state.

    Args:
      header: `fst.header` writes a file as it was read, byte for byte. Without it the file is a vector FST that claims no
        properties of its arcs, which is right for any.
    """
    if header is None:
        header = Header("vector", 2, 0, PROPERTIES, fst.num_states, len(fst.arcs))
    file.write(struct.pack("<i", MAGIC))
    for name in (header.kind.encode(), b"standard"):
        file.write(struct.pack("<i", len(name)) + name)
    file.write(FIELDS.pack(header.version, header.flags, header.properties, fst.start, header.states, header.arcs))
    ends = first_arcs(fst)
    if header.kind == "const":
        for block in (const_states(fst, ends), np.ascontiguousarray(fst.arcs)):
            file.write(bytes(-file.tell() % ALIGNMENT if header.aligned else 0))
            file.write(block)
    else:
        for first in range(0, fst.num_states, STATES_AT_ONCE):
            file.write(vector_states(fst, ends[first:first + STATES_AT_ONCE + 1], first))


def const_header(fst: FstArrays) -> Header:
    """For `write_fst`: a const FST, which is read many times faster than a vector FST, also by OpenFst."""
    return Header("const", 2, 0, PROPERTIES & ~MUTABLE, fst.num_states, len(fst.arcs))


def vector_states(fst: FstArrays, ends: np.ndarray, first: int) -> np.ndarray:
    """The records of states `first` and following in a vector FST, each with its arcs; arcs of state first + i are ends[i]:ends[i + 1]."""
    counts = np.diff(ends)
    arcs = fst.arcs[ends[0]:ends[-1]]
    heads = STATE_WORDS * np.arange(len(counts)) + ARC_WORDS * (ends[:-1] - ends[0])
    words = np.empty(STATE_WORDS * len(counts) + ARC_WORDS * len(arcs), "<i4")
    words[heads] = fst.final[first:first + len(counts)].view(np.int32)
    words[heads + 1], words[heads + 2] = counts & 0xFFFFFFFF, counts >> 32
    place = STATE_WORDS * (fst.src[ends[0]:ends[-1]].astype(np.int64) - first + 1) + ARC_WORDS * np.arange(len(arcs))
    for field in ARC.names or ():
        words[place] = arcs[field].view(np.int32)
        place += 1
    return words


def const_states(fst: FstArrays, ends: np.ndarray) -> np.ndarray:
    """The state records of a const FST."""
    records = np.zeros(fst.num_states, CONST_STATE)
    records["final"], records["first"], records["arcs"] = fst.final, ends[:-1], np.diff(ends)
    for name, label in (("iepsilons", "ilabel"), ("oepsilons", "olabel")):
        records[name] = np.bincount(fst.src[fst.arcs[label] == 0], minlength=fst.num_states)
    return records


def first_arcs(fst: FstArrays) -> np.ndarray:
    """(states + 1,): arcs of state s are first[s]:first[s + 1]."""
    return np.append(0, np.cumsum(np.bincount(fst.src, minlength=fst.num_states)))


def expand(counts: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every i, `counts[i]` rows: (i repeated, starts[i] + 0, 1, ...)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(len(owner))

"""Kaldi's `tree` file: context width, central position and the map from (phones in context, HMM state) to pdf-id.

Kaldi: tree/event-map.cc, tree/context-dep.cc. An event has the phone at position i of the context window under key i and the
pdf-class of the state (0, 1, 2, ...) under key -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator, Mapping, Sequence, Union

from . import kaldi_binary as kb
from .errors import RecipeError
from .kaldi_text import TextReader
from .publish import publish

PDF_CLASS = -1
MAX_DEPTH = 300  # trees of 9000 leaves have some 30; Python itself gives up at 1000


@dataclass
class Leaf:
    """Kaldi's ConstantEventMap: the answer."""

    pdf: int


@dataclass
class Split:
    """Kaldi's SplitEventMap: is the value under `key` in the sorted tuple `values`?"""

    key: int
    values: tuple[int, ...]
    yes: "EventMap"
    no: "EventMap"


@dataclass
class Table:
    """Kaldi's TableEventMap: one branch per value under `key`; None where there is none."""

    key: int
    branches: list["EventMap | None"]


EventMap = Union[Leaf, Split, Table]


@dataclass
class Tree:
    """A context dependency: `width` phones with the central one at `center`, and the map to pdf-ids."""

    width: int
    center: int
    to_pdf: EventMap

    def pdf(self, context: Sequence[int], pdf_class: int) -> int:
        """The pdf-id of state `pdf_class` of the phone at the centre of `context` (0 = beyond the utterance).

        Raises RecipeError for a phone the tree does not know.
        """
        node: EventMap | None = self.to_pdf
        while not isinstance(node, Leaf):
            if isinstance(node, Split):
                value = pdf_class if node.key == PDF_CLASS else context[node.key]
                node = node.yes if value in node.values else node.no
            elif isinstance(node, Table):
                value = pdf_class if node.key == PDF_CLASS else context[node.key]
                node = node.branches[value] if 0 <= value < len(node.branches) else None
            if node is None:
                raise RecipeError("phone or state unknown to the tree", id=f"{tuple(context)}, state {pdf_class}",
                                  expected="phones of the lang directory it was trained with", found=f"value {value}")
        return node.pdf

    def leaves(self) -> Iterator[Leaf]:
        stack: list[EventMap | None] = [self.to_pdf]
        while stack:
            node = stack.pop()
            if isinstance(node, Leaf):
                yield node
            elif isinstance(node, Split):
                stack += [node.no, node.yes]
            elif node is not None:
                stack += reversed(node.branches)

    @property
    def num_pdfs(self) -> int:
        return 1 + max(leaf.pdf for leaf in self.leaves())

    def phones(self) -> set[int]:
        """Every phone that the tree has a branch for or asks about."""
        found: set[int] = set()
        stack: list[EventMap | None] = [self.to_pdf]
        while stack:
            node = stack.pop()
            if isinstance(node, Split):
                found.update(node.values if node.key != PDF_CLASS else ())
                stack += [node.yes, node.no]
            elif isinstance(node, Table):
                found.update(i for i, branch in enumerate(node.branches) if branch is not None and node.key != PDF_CLASS)
                stack += node.branches
        return found - {0}

    def possible_pdfs(self, phone: int, pdf_class: int) -> set[int]:
        """The pdf-ids of a state of a phone in any context (Kaldi: EventMap::MultiMap); empty if the tree does not know it."""
        found: set[int] = set()
        stack: list[EventMap | None] = [self.to_pdf]
        while stack:
            node = stack.pop()
            if isinstance(node, Leaf):
                found.add(node.pdf)
            elif node is not None:
                branches = [node.no, node.yes] if isinstance(node, Split) else node.branches
                if node.key in (PDF_CLASS, self.center):
                    value = pdf_class if node.key == PDF_CLASS else phone
                    if isinstance(node, Split):
                        value = int(value in node.values)
                    branches = branches[value:value + 1]
                stack += branches
        return found

    def to_bytes(self) -> bytes:
        return b"".join([kb.HEADER, kb.token("ContextDependency"), kb.int32(self.width), kb.int32(self.center),
                         kb.token("ToPdf"), *_serialize(self.to_pdf), kb.token("EndContextDependency")])

    @classmethod
    def from_bytes(cls, content: bytes, file=None) -> "Tree":
        return cls.parse(kb.BinaryReader(content, file))

    @classmethod
    def read(cls, path) -> "Tree":
        """Reads a file, binary or text."""
        return cls.parse(kb.open_reader(path))

    @classmethod
    def parse(cls, reader: kb.BinaryReader | TextReader) -> "Tree":
        reader.token("ContextDependency")
        width, center = reader.int32(), reader.int32()
        if not 0 <= center < width:
            raise reader.error("a central position within the context", f"width {width}, centre {center}")
        reader.token("ToPdf")
        root = _parse(reader, width)
        reader.token("EndContextDependency")
        tree = cls(width, center, root)  # type: ignore[arg-type]  # None has no leaves
        empty = next(tree.leaves(), None) is None
        if empty or not reader.at_end:
            raise reader.error("one tree", "an empty map" if empty else "more after it")
        return tree

    def write(self, path) -> None:
        with publish(path, "wb") as file:
            file.write(self.to_bytes())


def _parse(reader: kb.BinaryReader | TextReader, width: int, depth: int = 0) -> EventMap | None:
    if depth > MAX_DEPTH:
        raise reader.error(f"at most {MAX_DEPTH} questions in one another", "more")
    kind = reader.token("CE", "SE", "TE", "NULL")
    if kind == "NULL":
        return None
    if kind == "CE":
        leaf = Leaf(reader.int32())
        if leaf.pdf < 0:
            raise reader.error("a pdf-id", str(leaf.pdf))
        return leaf
    key = reader.int32()
    if not PDF_CLASS <= key < width:
        raise reader.error(f"a question about one of {width} phones, or about the state ({PDF_CLASS})", str(key))
    if kind == "TE":
        size = reader.uint32()
        reader.token("(")
        branches = [_parse(reader, width, depth + 1) for _ in range(size)]
        reader.token(")")
        return Table(key, branches)
    values = tuple(reader.int_vector().tolist())
    reader.token("{")
    yes, no = _parse(reader, width, depth + 1), _parse(reader, width, depth + 1)
    reader.token("}")
    if yes is None or no is None:
        raise reader.error("two branches of a split", "an empty one")
    return Split(key, values, yes, no)


def _serialize(node: EventMap | None) -> Iterator[bytes]:
    if node is None:
        yield kb.token("NULL")
    elif isinstance(node, Leaf):
        yield kb.token("CE") + kb.int32(node.pdf)
    elif isinstance(node, Table):
        yield kb.token("TE") + kb.int32(node.key) + kb.uint32(len(node.branches)) + kb.token("(")
        for branch in node.branches:
            yield from _serialize(branch)
        yield kb.token(")")
    else:
        yield kb.token("SE") + kb.int32(node.key) + kb.int_vector(node.values) + kb.token("{")
        yield from _serialize(node.yes)
        yield from _serialize(node.no)
        yield kb.token("}")


def monophone_tree(num_pdf_classes: Mapping[int, int], sets: Iterable[Sequence[int]] | None = None) -> Tree:
    """A tree of width 1 with one pdf per (set of phones, pdf-class), numbered set by set; the phones of a set share their pdfs.

    sets: each phone alone, if it is left out (Kaldi: MonophoneContextDependency; with them, MonophoneContextDependencyShared).
    """
    branches: list[EventMap | None] = [None] * (max(num_pdf_classes) + 1)
    pdf = 0
    for phones in [[phone] for phone in sorted(num_pdf_classes)] if sets is None else sets:
        count = num_pdf_classes[phones[0]]
        for phone in phones:
            branches[phone] = Table(PDF_CLASS, [Leaf(pdf + i) for i in range(count)])
        pdf += count
    return Tree(1, 0, Table(0, branches))

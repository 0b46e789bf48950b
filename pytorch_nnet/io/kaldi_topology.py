"""HMM prototypes: a lang directory's `topo`, text or binary, and the first part of a `final.mdl` (Kaldi: hmm/hmm-topology.cc)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kaldi_binary as kb
from .errors import RecipeError
from .kaldi_text import TextReader


@dataclass
class HmmState:
    """One state of a topology: its pdf-class (-1: the final, non-emitting state) and (target, probability) transitions."""

    pdf_class: int
    transitions: list[tuple[int, float]]
    loop_pdf_class: int | None = None  # only where it may differ from pdf_class ("chain" topologies)


@dataclass
class Topology:
    """HMM prototypes: `entries` of states, and which entry each phone uses (`phone_to_entry`, -1 for none)."""

    phones: np.ndarray  # int32, sorted
    phone_to_entry: np.ndarray  # int32, indexed by phone
    entries: list[list[HmmState]]

    def states(self, phone: int) -> list[HmmState]:
        return self.entries[self.phone_to_entry[phone]]

    def num_pdf_classes(self, phone: int) -> int:
        return 1 + max(max(state.pdf_class, state.loop_pdf_class or 0) for state in self.states(phone))

    def shape(self, phone: int) -> list[tuple]:
        """What must be equal for two topologies to give the same transition-ids: pdf-classes and targets, not probabilities."""
        return [(state.pdf_class, state.pdf_class if state.loop_pdf_class is None else state.loop_pdf_class,
                 tuple(target for target, _ in state.transitions)) for state in self.states(phone)]

    def text(self) -> str:
        """The form of a lang directory's `topo` file."""
        parts = ["<Topology>"]
        for index, states in enumerate(self.entries):
            phones = [str(p) for p in self.phones if self.phone_to_entry[p] == index]
            parts += ["<TopologyEntry> <ForPhones>", *phones, "</ForPhones>"]
            for number, state in enumerate(states):
                parts.append(f"<State> {number}")
                if state.loop_pdf_class is not None:
                    parts.append(f"<ForwardPdfClass> {state.pdf_class} <SelfLoopPdfClass> {state.loop_pdf_class}")
                elif state.pdf_class >= 0:
                    parts.append(f"<PdfClass> {state.pdf_class}")
                parts += [f"<Transition> {target} {probability:.9g}" for target, probability in state.transitions]
                parts.append("</State>")
            parts.append("</TopologyEntry>")
        return " ".join([*parts, "</Topology>"])

    def to_bytes(self) -> bytes:
        """The binary form, without a file's header."""
        separate = self.separate_loops
        parts = [kb.token("<Topology>"), kb.int_vector(self.phones), kb.int_vector(self.phone_to_entry)]
        parts += [kb.int32(-1)] if separate else []
        parts.append(kb.int32(len(self.entries)))
        for states in self.entries:
            parts.append(kb.int32(len(states)))
            for state in states:
                parts.append(kb.int32(state.pdf_class))
                if separate:
                    parts.append(kb.int32(state.pdf_class if state.loop_pdf_class is None else state.loop_pdf_class))
                parts.append(kb.int32(len(state.transitions)))
                parts += [kb.int32(target) + kb.float32(probability) for target, probability in state.transitions]
        return b"".join([*parts, kb.token("</Topology>")])

    @property
    def separate_loops(self) -> bool:
        return any(state.loop_pdf_class is not None for states in self.entries for state in states)


def parse_topology(reader: kb.BinaryReader | TextReader) -> Topology:
    """Takes a topology from a file; checks that its numbers point at what is there."""
    reader.token("<Topology>")
    topology = _from_text(reader) if isinstance(reader, TextReader) else _from_binary(reader)
    table = topology.phone_to_entry
    for phone in topology.phones.tolist():
        if not (0 < phone < len(table) and 0 <= table[phone] < len(topology.entries)):
            raise reader.error("a topology entry for every phone", f"none for phone {phone}")
    for states in topology.entries:
        targets = [target for state in states for target, _ in state.transitions]
        if not all(0 <= target < len(states) for target in targets):
            raise reader.error(f"transitions to states 0 to {len(states) - 1}", f"to {targets}")
    return topology


def _from_binary(reader: kb.BinaryReader) -> Topology:
    phones, phone_to_entry, count = reader.int_vector(), reader.int_vector(), reader.int32()
    separate_loops = count == -1
    if separate_loops:
        count = reader.int32()
    entries = []
    for _ in range(count):
        states = []
        for _ in range(reader.int32()):
            pdf_class = reader.int32()
            loop_class = reader.int32() if separate_loops else None
            states.append(HmmState(pdf_class, [(reader.int32(), reader.float32()) for _ in range(reader.int32())], loop_class))
        entries.append(states)
    reader.token("</Topology>")
    return Topology(phones, phone_to_entry, entries)


def _from_text(reader: TextReader) -> Topology:
    entries: list[list[HmmState]] = []
    entry_of: dict[int, int] = {}
    while reader.token("<TopologyEntry>", "</Topology>") == "<TopologyEntry>":
        reader.token("<ForPhones>")
        while reader.peek() != "</ForPhones>":
            phone = reader.int32()
            if phone in entry_of:
                raise RecipeError("phone in two entries of a topology", file=reader.file, id=phone)
            entry_of[phone] = len(entries)
        reader.token()
        states: list[HmmState] = []
        while reader.token("<State>", "</TopologyEntry>") == "<State>":
            reader.token(str(len(states)))
            states.append(_state_from_text(reader))
        entries.append(states)
    if not entry_of:
        raise reader.error("a topology entry with phones", "none")
    phone_to_entry = np.full(max(entry_of) + 1, -1, np.int32)
    for phone, entry in entry_of.items():
        phone_to_entry[phone] = entry
    return Topology(np.array(sorted(entry_of), np.int32), phone_to_entry, entries)


def _state_from_text(reader: TextReader) -> HmmState:
    state = HmmState(-1, [])
    if reader.peek() in ("<PdfClass>", "<ForwardPdfClass>"):
        separate = reader.token() == "<ForwardPdfClass>"
        state.pdf_class = reader.int32()
        if separate:
            reader.token("<SelfLoopPdfClass>")
            state.loop_pdf_class = reader.int32()
    while reader.token("<Transition>", "</State>") == "<Transition>":
        state.transitions.append((reader.int32(), reader.float32()))
    return state

"""Kaldi's `final.mdl`: the transition model and, in a GMM system, the diagonal Gaussian mixtures.

Kaldi: hmm/hmm-topology.cc, hmm/transition-model.cc, gmm/am-diag-gmm.cc, gmm/diag-gmm.cc. What is read is written back byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import kaldi_binary as kb
from .errors import RecipeError, require_file
from .publish import publish


@dataclass
class HmmState:
    """One state of a topology: its pdf-class (-1: the final, non-emitting state) and (target, probability) transitions."""

    pdf_class: int
    transitions: list[tuple[int, float]]
    loop_pdf_class: int | None = None  # only where it differs from pdf_class ("chain" topologies)


@dataclass
class Topology:
    """HMM prototypes: `entries` of states, and which entry each phone uses (`phone_to_entry`, -1 for none)."""

    phones: np.ndarray  # int32, sorted
    phone_to_entry: np.ndarray  # int32, indexed by phone
    entries: list[list[HmmState]]

    def states(self, phone: int) -> list[HmmState]:
        return self.entries[self.phone_to_entry[phone]]

    def num_pdf_classes(self, phone: int) -> int:
        return 1 + max(state.pdf_class for state in self.states(phone))

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


@dataclass
class Transitions:
    """A transition model: topology, transition-states and the log-probability of every transition-id.

    tuples: int32 (states, 4): phone, HMM state, forward pdf, self-loop pdf; row i is transition-state i+1.
    log_probs: float32 (ids + 1,), index 0 unused.
    """

    topology: Topology
    tuples: np.ndarray
    log_probs: np.ndarray
    _tables: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def num_ids(self) -> int:
        return len(self.log_probs) - 1

    @property
    def num_pdfs(self) -> int:
        return int(self.tuples[:, 2:].max()) + 1

    def tables(self) -> dict[str, np.ndarray]:
        """Arrays indexed by transition-id (index 0 unused, -1): state (row of `tuples`), index (transition within the HMM
        state), phone, hmm_state, pdf (int32), is_loop, is_final (bool; into the final state of its phone).
        """
        if not self._tables:
            rows = [(-1, -1, -1, -1, -1, False, False)]
            for row, (phone, hmm_state, forward, loop) in enumerate(self.tuples.tolist()):
                states = self.topology.states(phone)
                for index, (target, _) in enumerate(states[hmm_state].transitions):
                    rows.append((row, index, phone, hmm_state, loop if target == hmm_state else forward,
                                 target == hmm_state, target == len(states) - 1))
            names = ("state", "index", "phone", "hmm_state", "pdf", "is_loop", "is_final")
            for name, column in zip(names, zip(*rows)):
                self._tables[name] = np.array(column, bool if name.startswith("is_") else np.int32)
            if len(rows) != len(self.log_probs):
                raise RecipeError("transition model contradicts itself", expected=f"{len(rows) - 1} transition-ids",
                                  found=f"{self.num_ids} log-probabilities")
        return self._tables


@dataclass
class Gaussians:
    """The mixtures of all pdfs, one after another, in Kaldi's natural parameters.

    offsets: int (pdfs + 1,): pdf p owns rows offsets[p]:offsets[p+1] of
    gconsts, weights: float32 (G,); means_invvars, inv_vars: float32 (G, D).
    """

    offsets: np.ndarray
    gconsts: np.ndarray
    weights: np.ndarray
    means_invvars: np.ndarray
    inv_vars: np.ndarray

    @property
    def num_pdfs(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_gauss(self) -> int:
        return len(self.weights)

    @property
    def dim(self) -> int:
        return self.inv_vars.shape[1]


def read_model(path) -> tuple[Transitions, Gaussians | None]:
    """Reads a model file; the Gaussians are None if the file ends after the transition model."""
    reader = kb.BinaryReader(Path(require_file(path)).read_bytes(), path)
    transitions = _read_transitions(reader)
    return transitions, None if reader.at_end else _read_gaussians(reader)


def write_model(path, transitions: Transitions, gaussians: Gaussians | None = None) -> None:
    """Publishes a model file."""
    with publish(path, "wb") as file:
        file.write(kb.HEADER + transitions_to_bytes(transitions))
        if gaussians is not None:
            file.write(gaussians_to_bytes(gaussians))


def _read_transitions(reader: kb.BinaryReader) -> Transitions:
    reader.token("<TransitionModel>")
    reader.token("<Topology>")
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
    kind = reader.token("<Triples>", "<Tuples>")
    if (kind == "<Tuples>") != separate_loops:
        raise reader.error("<Tuples> exactly with a topology of separate self-loop pdfs", kind)
    rows = []
    for _ in range(reader.int32()):
        row = [reader.int32() for _ in range(4 if separate_loops else 3)]
        rows.append(row if separate_loops else [*row, row[2]])
    reader.token(kind.replace("<", "</"))
    reader.token("<LogProbs>")
    log_probs = reader.array("FV")
    reader.token("</LogProbs>")
    reader.token("</TransitionModel>")
    return Transitions(Topology(phones, phone_to_entry, entries), np.array(rows, np.int32), log_probs)


def transitions_to_bytes(transitions: Transitions) -> bytes:
    topology = transitions.topology
    separate = any(state.loop_pdf_class is not None for states in topology.entries for state in states)
    parts = [kb.token("<TransitionModel>"), kb.token("<Topology>"), kb.int_vector(topology.phones),
             kb.int_vector(topology.phone_to_entry)]
    if separate:
        parts.append(kb.int32(-1))
    parts.append(kb.int32(len(topology.entries)))
    for states in topology.entries:
        parts.append(kb.int32(len(states)))
        for state in states:
            parts.append(kb.int32(state.pdf_class))
            if separate:
                parts.append(kb.int32(state.loop_pdf_class))
            parts.append(kb.int32(len(state.transitions)))
            parts += [kb.int32(target) + kb.float32(probability) for target, probability in state.transitions]
    kind = "Tuples" if separate else "Triples"
    parts += [kb.token("</Topology>"), kb.token(f"<{kind}>"), kb.int32(len(transitions.tuples))]
    parts += [kb.int32(value) for row in transitions.tuples.tolist() for value in row[:4 if separate else 3]]
    parts += [kb.token(f"</{kind}>"), kb.token("<LogProbs>"), kb.array(transitions.log_probs), kb.token("</LogProbs>"),
              kb.token("</TransitionModel>")]
    return b"".join(parts)


def _read_gaussians(reader: kb.BinaryReader) -> Gaussians:
    reader.token("<DIMENSION>")
    dim = reader.int32()
    reader.token("<NUMPDFS>")
    parts: list[tuple[np.ndarray, ...]] = []
    for _ in range(reader.int32()):
        reader.token("<DiagGMM>", "<DiagGMMBegin>")
        reader.token("<GCONSTS>")
        gconsts = reader.array("FV")
        reader.token("<WEIGHTS>")
        weights = reader.array("FV")
        reader.token("<MEANS_INVVARS>")
        means_invvars = reader.array("FM")
        reader.token("<INV_VARS>")
        inv_vars = reader.array("FM")
        reader.token("</DiagGMM>", "<DiagGMMEnd>")
        if not inv_vars.shape == means_invvars.shape == (len(weights), dim):
            raise reader.error(f"{len(weights)} x {dim} matrices", f"{inv_vars.shape}")
        parts.append((gconsts, weights, means_invvars, inv_vars))
    offsets = np.concatenate([[0], np.cumsum([len(p[1]) for p in parts])])
    return Gaussians(offsets, *(np.concatenate(arrays) for arrays in zip(*parts)))


def gaussians_to_bytes(gaussians: Gaussians) -> bytes:
    parts = [kb.token("<DIMENSION>"), kb.int32(gaussians.dim), kb.token("<NUMPDFS>"), kb.int32(gaussians.num_pdfs)]
    for start, end in zip(gaussians.offsets[:-1], gaussians.offsets[1:]):
        parts += [kb.token("<DiagGMM>"), kb.token("<GCONSTS>"), kb.array(gaussians.gconsts[start:end]),
                  kb.token("<WEIGHTS>"), kb.array(gaussians.weights[start:end]),
                  kb.token("<MEANS_INVVARS>"), kb.array(gaussians.means_invvars[start:end]),
                  kb.token("<INV_VARS>"), kb.array(gaussians.inv_vars[start:end]), kb.token("</DiagGMM>")]
    return b"".join(parts)

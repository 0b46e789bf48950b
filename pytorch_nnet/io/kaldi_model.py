"""Kaldi's `final.mdl`: the transition model and, in a GMM system, the diagonal Gaussian mixtures.

Kaldi: hmm/transition-model.cc, gmm/am-diag-gmm.cc, gmm/diag-gmm.cc. Both forms are read, the binary one is written: what was read
from it comes back byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import kaldi_binary as kb
from .errors import RecipeError
from .kaldi_text import TextReader
from .kaldi_topology import Topology, parse_topology
from .publish import publish

Reader = kb.BinaryReader | TextReader


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
    reader = kb.open_reader(path)
    transitions = _read_transitions(reader)
    if reader.at_end:
        return transitions, None
    gaussians = _read_gaussians(reader)
    if not reader.at_end:
        raise reader.error("the end of the file after the Gaussians", "more")
    return transitions, gaussians


def read_transitions(path) -> tuple[Transitions, str]:
    """Reads the transition model that opens a file, and says what follows it: "" or a token such as <DIMENSION> or <Nnet3>."""
    reader = kb.open_reader(path)
    transitions = _read_transitions(reader)
    return transitions, "" if reader.at_end else reader.peek()


def write_model(path, transitions: Transitions, gaussians: Gaussians | None = None) -> None:
    """Publishes a model file."""
    with publish(path, "wb") as file:
        file.write(kb.HEADER + transitions_to_bytes(transitions))
        if gaussians is not None:
            file.write(gaussians_to_bytes(gaussians))


def _read_transitions(reader: Reader) -> Transitions:
    reader.token("<TransitionModel>")
    topology = parse_topology(reader)
    kind = reader.token("<Triples>", "<Tuples>")
    if kind == "<Triples>" and topology.separate_loops:
        raise reader.error("<Tuples> with a topology of separate self-loop pdfs", kind)
    rows = []
    for _ in range(reader.int32()):
        row = [reader.int32() for _ in range(4 if kind == "<Tuples>" else 3)]
        rows.append(row if kind == "<Tuples>" else [*row, row[2]])
    reader.token(kind.replace("<", "</"))
    reader.token("<LogProbs>")
    log_probs = reader.array("FV", "DV").astype(np.float32)
    reader.token("</LogProbs>")
    reader.token("</TransitionModel>")
    for phone, state, *pdfs in rows:
        if phone not in topology.phones or not 0 <= state < len(topology.states(phone)) or min(pdfs) < 0:
            raise reader.error("transition-states of the topology", f"phone {phone}, state {state}, pdfs {pdfs}")
    transitions = Transitions(topology, np.array(rows, np.int32).reshape(-1, 4), log_probs)
    if not rows or not np.isfinite(log_probs).all():
        raise reader.error("transition-states with finite log-probabilities", f"{len(rows)} states, or a bad log-probability")
    transitions.tables()
    return transitions


def transitions_to_bytes(transitions: Transitions) -> bytes:
    separate = transitions.topology.separate_loops
    parts = [kb.token("<TransitionModel>"), transitions.topology.to_bytes()]
    kind = "Tuples" if separate else "Triples"
    parts += [kb.token(f"<{kind}>"), kb.int32(len(transitions.tuples))]
    parts += [kb.int32(value) for row in transitions.tuples.tolist() for value in row[:4 if separate else 3]]
    parts += [kb.token(f"</{kind}>"), kb.token("<LogProbs>"), kb.array(transitions.log_probs), kb.token("</LogProbs>"),
              kb.token("</TransitionModel>")]
    return b"".join(parts)


def _read_gaussians(reader: Reader) -> Gaussians:
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
        if not inv_vars.shape == means_invvars.shape == (len(weights), dim) or len(gconsts) != len(weights):
            raise reader.error(f"{len(weights)} x {dim} matrices", f"{inv_vars.shape}")
        parts.append((gconsts, weights, means_invvars, inv_vars))
    if not parts or not all(np.isfinite(values).all() for part in parts for values in part):
        raise reader.error("mixtures of finite numbers", f"{len(parts)} mixtures" + (", with NaN or infinite values" if parts else ""))
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

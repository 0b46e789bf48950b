"""Reads a lang directory's `topo` and checks that its prototypes are HMMs."""

from __future__ import annotations

from ..io.errors import RecipeError, require_file
from ..io.kaldi_binary import open_reader
from ..io.kaldi_topology import HmmState, Topology, parse_topology

NEXT = "make the lang directory again (steps/prepare_lang)"
PROBABILITY_TOLERANCE = 0.01  # Kaldi's own files round to two digits


def read_topology(path) -> Topology:
    """Reads and checks HMM prototypes.

    Raises RecipeError for a broken file, transitions that do not sum to one or lead nowhere, a phone in two entries.
    """
    topology = parse_topology(open_reader(require_file(path, next="steps/prepare_lang")))
    for number, states in enumerate(topology.entries):
        check_entry(states, path, number)
    return topology


def check_entry(states: list[HmmState], path, entry: int) -> None:
    """Raises RecipeError unless the last state alone is final and every other's transitions form a distribution."""
    if len(states) < 2 or states[-1].transitions or states[-1].pdf_class != -1:
        raise RecipeError("the last state of a topology entry must be final: no pdf-class, no transitions", file=path,
                          id=f"entry {entry}", next=NEXT)
    for number, state in enumerate(states[:-1]):
        total = sum(probability for _, probability in state.transitions)
        targets = [target for target, _ in state.transitions]
        if state.pdf_class < 0 or not abs(total - 1) <= PROBABILITY_TOLERANCE or not all(0 <= t < len(states) for t in targets):
            raise RecipeError("bad state in a topology", file=path, id=f"entry {entry}, state {number}",
                              expected="a pdf-class, and transitions that sum to 1 and lead to states of the entry",
                              found=f"pdf-class {state.pdf_class}, transitions {state.transitions}", next=NEXT)

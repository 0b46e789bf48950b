"""Reads a lang directory's `topo` (Kaldi: hmm/hmm-topology.cc, the text form)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.kaldi_model import HmmState, Topology

PROBABILITY_TOLERANCE = 0.01  # Kaldi's own files round to two digits


def read_topology(path) -> Topology:
    """Reads and checks HMM prototypes.

    Raises RecipeError for a broken file, transitions that do not sum to one or lead nowhere, a phone in two entries.
    """
    words = iter(Path(require_file(path, next="steps/prepare_lang")).read_text().split())

    def expect(*expected: str) -> str:
        word = next(words, "end of file")
        if word not in expected:
            raise RecipeError("broken topology", file=path, expected=" or ".join(expected), found=word)
        return word

    entries: list[list[HmmState]] = []
    entry_of: dict[int, int] = {}
    expect("<Topology>")
    try:
        while expect("<TopologyEntry>", "</Topology>") == "<TopologyEntry>":
            expect("<ForPhones>")
            for word in iter(lambda: next(words), "</ForPhones>"):
                if int(word) in entry_of:
                    raise RecipeError("phone in two entries of a topology", file=path, id=word)
                entry_of[int(word)] = len(entries)
            states: list[HmmState] = []
            while expect("<State>", "</TopologyEntry>") == "<State>":
                expect(str(len(states)))
                state = HmmState(-1, [])
                while (word := expect("<PdfClass>", "<Transition>", "</State>")) != "</State>":
                    if word == "<PdfClass>":
                        state.pdf_class = int(next(words))
                    else:
                        state.transitions.append((int(next(words)), float(next(words))))
                states.append(state)
            check_entry(states, path, len(entries))
            entries.append(states)
    except (StopIteration, ValueError) as error:
        raise RecipeError("broken topology", file=path, found=str(error) or "the end of the file") from None
    phone_to_entry = np.full(max(entry_of) + 1, -1, np.int32)
    for phone, entry in entry_of.items():
        phone_to_entry[phone] = entry
    return Topology(np.array(sorted(entry_of), np.int32), phone_to_entry, entries)


def check_entry(states: list[HmmState], path, entry: int) -> None:
    """Raises RecipeError unless the last state alone is final and every other's transitions form a distribution."""
    if len(states) < 2 or states[-1].transitions or states[-1].pdf_class != -1:
        raise RecipeError("the last state of a topology entry must be final: no pdf-class, no transitions", file=path,
                          id=f"entry {entry}")
    for number, state in enumerate(states[:-1]):
        total = sum(probability for _, probability in state.transitions)
        targets = [target for target, _ in state.transitions]
        if state.pdf_class < 0 or abs(total - 1) > PROBABILITY_TOLERANCE or not all(0 <= t < len(states) for t in targets):
            raise RecipeError("bad state in a topology", file=path, id=f"entry {entry}, state {number}",
                              expected="a pdf-class, and transitions that sum to 1 and lead to states of the entry",
                              found=f"pdf-class {state.pdf_class}, transitions {state.transitions}")

"""From transition-ids to pdfs, phones with times, and words with times.

Alignments are in Kaldi's reordered form: the self-loops of a state follow the transition that leaves it
(Kaldi: hmm/hmm-utils.cc, SplitToPhones with reorder=true).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from ..io.errors import RecipeError
from ..io.kaldi_model import Transitions
from ..io.kaldi_tree import Tree


@dataclass
class Segments:
    """The phones of one alignment: `phones`, first frames `starts`, and `lengths` in frames; int32 (n,) each."""

    phones: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


def phone_segments(alignment: np.ndarray, table: Transitions, utt: str = "") -> Segments:
    """Splits an alignment (T,) at the transitions into final states."""
    arrays = table.tables()
    if len(alignment) and not 1 <= alignment.min() <= alignment.max() <= table.num_ids:
        raise RecipeError("alignment and model disagree", id=utt, expected=f"transition-ids 1 to {table.num_ids}",
                          found=f"{alignment.min()} to {alignment.max()}", next="align again with this model (steps/align_si)")
    moves = np.flatnonzero(~arrays["is_loop"][alignment])
    ends = arrays["is_final"][alignment[moves]]
    if len(moves) == 0 or moves[0] != 0 or not ends[-1]:
        raise RecipeError("alignment is not a sequence of whole phones", id=utt, expected="reordered transition-ids that end in a "
                          "final state", found=f"{alignment[:3].tolist()} ... {alignment[-3:].tolist()}", next="align again")
    starts = moves[np.concatenate([[True], ends[:-1]])].astype(np.int32)
    lengths = np.diff(np.append(starts, len(alignment))).astype(np.int32)
    return Segments(arrays["phone"][alignment[starts]], starts, lengths)


def contexts(phones: np.ndarray) -> np.ndarray:
    """(n,) -> (n, 3): left, own, right phone, 0 beyond the ends."""
    padded = np.concatenate([[0], phones, [0]]).astype(np.int32)
    return np.stack([padded[:-2], padded[1:-1], padded[2:]], axis=1)


class AlignmentConverter:
    """Rewrites alignments from one tree to another with the same topology (Kaldi: convert-ali)."""

    def __init__(self, old: Transitions, new: Transitions, tree: Tree):
        self.old, self.new, self.tree = old, new, tree
        self.state_of = {tuple(row): index for index, row in enumerate(new.tuples.tolist())}
        state = new.tables()["state"]
        self.first_id = np.searchsorted(state[1:], np.arange(len(new.tuples))) + 1  # of each transition-state
        self.known: dict[tuple[int, ...], int] = {}

    def __call__(self, alignment: np.ndarray, utt: str = "") -> np.ndarray:
        arrays = self.old.tables()
        segments = phone_segments(alignment, self.old, utt)
        windows = np.repeat(contexts(segments.phones), segments.lengths, axis=0)
        keys = np.concatenate([windows, arrays["hmm_state"][alignment][:, None]], axis=1)
        changes = np.flatnonzero(np.any(np.diff(keys, axis=0), axis=1)) + 1
        first = np.concatenate([[0], changes])
        states = np.array([self.state(tuple(key)) for key in keys[first].tolist()])
        states = np.repeat(states, np.diff(np.append(first, len(keys))))
        return (self.first_id[states] + arrays["index"][alignment]).astype(np.int32)

    def state(self, key: tuple[int, ...]) -> int:
        """The new transition-state (row) of (left, phone, right, HMM state)."""
        if key not in self.known:
            *window, hmm_state = key
            prototype = self.new.topology.states(window[1])[hmm_state]
            context = window[1:2] if self.tree.width == 1 else window
            forward = self.tree.pdf(context, prototype.pdf_class)
            loop = forward if prototype.loop_pdf_class is None else self.tree.pdf(context, prototype.loop_pdf_class)
            self.known[key] = self.state_of[window[1], hmm_state, forward, loop]
        return self.known[key]


def word_segments(segments: Segments, words: Sequence[str], pronunciations: dict[str, list[tuple[int, ...]]],
                  optional_silence: int, utt: str = "") -> list[tuple[str, int, int]]:
    """(word, first frame, frames) by matching the phones with the transcript; optional silence may stand before and after words.

    pronunciations: phone ids of each word. Raises RecipeError if phones and words do not match.
    """
    phones = segments.phones.tolist()
    ends = (segments.starts + segments.lengths).tolist()
    # Depth first over (word, phone position); `dead` keeps it linear when pronunciations are prefixes of one another.
    dead: set[tuple[int, int]] = set()
    stack: list[tuple[int, int, tuple]] = [(0, 0, ())]
    while stack:
        word, position, spans = stack.pop()
        if word == len(words) and phones[position:] in ([], [optional_silence]):
            found = []
            while spans:
                spans, low, high, name = spans
                start = int(segments.starts[low])
                found.append((name, start, ends[high - 1] - start))
            return found[::-1]
        if word == len(words) or (word, position) in dead:
            continue
        dead.add((word, position))
        skips = (0, 1) if phones[position:position + 1] == [optional_silence] else (0,)
        for skip in skips:
            low = position + skip
            for phones_of_word in pronunciations.get(words[word], ()):
                high = low + len(phones_of_word)
                if tuple(phones[low:high]) == phones_of_word:
                    stack.append((word + 1, high, (spans, low, high, words[word])))
    raise RecipeError("alignment and transcript do not match", id=utt, expected=" ".join(words),
                      found=f"phones {phones}", next="align again with this lang directory")

"""A back-off n-gram model as an automaton, read word by word: few states, and the very probabilities of the model."""

from __future__ import annotations

import numpy as np

from .model import NgramModel

State = tuple[int, ...]


class NgramStates:
    """States of a model and the steps between them.

    A state is what matters of the words so far for all that follow: of the last n - 1 words, the longest end that is an n-gram of
    the model. It is a tuple, the row of the last word, of the last two, ..., -1 where the model has no such n-gram; an n-gram that
    is not there has no continuation and no back-off weight, so words before it are of no consequence.
    """

    def __init__(self, model: NgramModel):
        self.model = model
        self.start: State = (model.ids["<s>"],) if len(model.orders) > 1 else ()

    def child(self, n: int, row: int, word: int) -> int:
        """The row in order n of the n-gram that goes on from a row of order n - 1 with a word; -1 where there is none."""
        order = self.model.orders[n - 1]
        # Typed scalars: for a plain integer NumPy would copy the whole table to its type.
        parent = order.parent.dtype.type(row)
        low, high = (int(np.searchsorted(order.parent, parent, side=side)) for side in ("left", "right"))
        place = low + int(np.searchsorted(order.word[low:high], order.word.dtype.type(word)))
        return place if place < high and order.word[place] == word else -1

    def step(self, state: State, word: int) -> tuple[State, float]:
        """The state after one more word, and log10 of the word's probability (NgramModel.logprobs gives the same)."""
        orders = self.model.orders
        rows = [word, *(self.child(n, row, word) if row >= 0 else -1 for n, row in enumerate(state, 2))]
        logprob = float(orders[0].logprob[word])
        for n, (row, history) in enumerate(zip(rows[1:], state), 2):
            if row >= 0:
                logprob = float(orders[n - 1].logprob[row])
            elif history >= 0:
                logprob += float(orders[n - 2].backoff[history])
        rows = rows[: len(orders) - 1]
        while rows and rows[-1] < 0:
            rows.pop()
        return tuple(rows), logprob

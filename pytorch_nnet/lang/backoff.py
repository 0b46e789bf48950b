"""Back-off weights that make the probabilities after every history sum to one."""

from __future__ import annotations

import numpy as np

from .model import BLOCK, NEVER, NgramModel

# Where the n-grams after a history leave less to all other words, there is no other word: rounding leaves about this much.
NOTHING = 1e-12


def lower_order(model: NgramModel, n: int) -> np.ndarray:
    """log10 P(w | h') of every n-gram h w of order n, h' being h without its first word."""
    size = len(model.orders[n - 1])
    result = np.empty(size)
    for start in range(0, size, BLOCK):
        rows = np.arange(start, min(start + BLOCK, size))
        result[rows] = model.logprobs(model.grams(n, rows)[:, 1:])
    return result


def masses(model: NgramModel, n: int, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the n-grams of order n leave of P(. | h) and of P(. | h'), for every history h: (rows of order n - 1,) twice."""
    order, histories = model.orders[n - 1], len(model.orders[n - 2])
    left = 1.0 - np.bincount(order.parent, weights=10.0 ** order.logprob, minlength=histories)
    free = 1.0 - np.bincount(order.parent, weights=10.0 ** lower, minlength=histories)
    return left, free


def renormalise(model: NgramModel) -> None:
    """Sets every back-off weight to left / free, in place: sum_w P(w | h) = 1 (SRILM: NgramLM::recomputeBOWs).

    The weight is 0 (log10 of 1) for a history without n-grams, and for one that every word was seen after.
    """
    for n in range(2, len(model.orders) + 1):
        left, free = masses(model, n, lower_order(model, n))
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(left > 0, np.log10(left) - np.log10(free), NEVER)
        followed = np.bincount(model.orders[n - 1].parent, minlength=len(left)) > 0
        model.orders[n - 2].backoff = np.where(followed & (free > NOTHING), weight, 0.0)
    model.orders[-1].backoff = np.zeros(len(model.orders[-1]))

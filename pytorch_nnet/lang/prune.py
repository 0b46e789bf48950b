"""Entropy pruning of back-off models (Stolcke 1998, "Entropy-based pruning of backoff language models").

Taking the n-gram h w out changes the model by the relative entropy (equation 3 there)

    D = -P(h) { P(w|h) [log P(w|h') + log a' - log P(w|h)] + left(h) [log a' - log a] },

h' is h without its first word, left(h) what the n-grams after h leave to all other words, a = left(h) / free(h) the back-off weight
before and a' = (left(h) + P(w|h)) / (free(h) + P(w|h')) after. The training text's perplexity grows by the factor exp(D); n-grams
with exp(D) - 1 below the threshold go, as in SRILM's `ngram -prune`.

The highest order is pruned first. An n-gram that begins a longer one which stays, stays: it is its history. P(h) is the product of
the model's own probabilities, where a sentence begins as often as one ends. In a Kneser-Ney model the shorter orders are no true
marginals, so that P(h) is approximate (Chelba et al. 2010, "Study on interaction between entropy pruning and Kneser-Ney smoothing"):
strong pruning costs it more than other smoothings.
"""

from __future__ import annotations

import numpy as np

from ..io.errors import RecipeError
from .backoff import NOTHING, lower_order, masses, renormalise
from .model import NgramModel, Order


def prune(model: NgramModel, threshold: float) -> NgramModel:
    """The model without the n-grams whose loss raises perplexity by less than the factor 1 + threshold, renormalised."""
    if not 0 <= threshold < float("inf"):
        raise RecipeError("threshold out of range", expected="0 or more, such as 1e-7", found=threshold)
    histories = history_logprobs(model)
    kept = [np.ones(len(order), bool) for order in model.orders]
    for n in range(len(model.orders), 1, -1):
        kept[n - 1] = np.expm1(losses(model, n, histories[n - 2])) >= threshold
        if n < len(model.orders):
            kept[n - 1][model.orders[n].parent[kept[n]]] = True
    return select(model, kept)


def history_logprobs(model: NgramModel) -> list[np.ndarray]:
    """log10 P(h) of every n-gram as a history, by order."""
    first = model.orders[0].logprob.copy()
    first[model.ids["<s>"]] = first[model.ids["</s>"]]
    result = [first]
    for order in model.orders[1:]:
        result.append(result[-1][order.parent] + order.logprob)
    return result


def losses(model: NgramModel, n: int, history: np.ndarray) -> np.ndarray:
    """D, in nats, of taking out each n-gram of order n alone; `history` is log10 P(h) of the order below."""
    order, lower = model.orders[n - 1], lower_order(model, n)
    left, free = (mass[order.parent] for mass in masses(model, n, lower))
    left = np.maximum(left, 0.0)
    p, q = 10.0 ** order.logprob, 10.0 ** lower
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.log(left + p) - np.log(np.maximum(free, 0.0) + q)
        change = np.where((left > 0) & (free > NOTHING), left * (weight - np.log(left) + np.log(free)), 0.0)
    return -10.0 ** history[order.parent] * (p * (np.log(q) + weight - np.log(p)) + change)


def select(model: NgramModel, kept: list[np.ndarray]) -> NgramModel:
    """The model of the n-grams for which `kept` (one array an order) is true, with new back-off weights."""
    orders: list[Order] = []
    rows = np.zeros(1, np.int32)
    for order, chosen in zip(model.orders, kept):
        orders.append(Order(rows[order.parent[chosen]], order.word[chosen], order.logprob[chosen], order.backoff[chosen]))
        rows = (np.cumsum(chosen) - 1).astype(np.int32)
    while len(orders) > 1 and not len(orders[-1]):
        orders.pop()
    pruned = NgramModel(model.words, orders)
    renormalise(pruned)
    return pruned

"""Linear interpolation of n-gram models into one back-off model (SRILM: `ngram -mix-lm`).

The n-grams of the mixture are those of any of the models. Each gets

    P(w | h) = sum_i weight_i P_i(w | h),

P_i from its own model, which backs off where it lacks the n-gram. Back-off weights are then set so that all sums to one. An
n-gram that no model holds so gets the mixture's own back-off estimate, which is not quite the weighted sum; that is the price
of one model that any decoder reads.
"""

from __future__ import annotations

from typing import Iterable, Sequence

import numpy as np

from ..io.errors import RecipeError
from .backoff import renormalise
from .model import BLOCK, NEVER, NgramModel, Order, predictions, sorted_model


def mix(models: Sequence[NgramModel], weights: Sequence[float]) -> NgramModel:
    """The interpolated model; it has the words of all, and the order of the longest.

    A word that a model lacks has no probability in it.

    Raises:
      RecipeError: weights that are not one a model, or not positive, or do not sum to one.
    """
    if len(weights) != len(models) or min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
        raise RecipeError("bad interpolation weights", expected=f"{len(models)} numbers from 0 to 1 that sum to 1",
                          found=" ".join(f"{weight:g}" for weight in weights))
    models = alike(models)
    words, size = models[0].words, len(models[0].words)
    mixed = NgramModel(words, [])
    rows = [np.zeros(1, np.int64) for _ in models]  # in the mixture, of every row of each model's table below
    for n in range(1, len(models[0].orders) + 1):
        own = [model.orders[n - 1] for model in models]
        keys = [below[order.parent] * size + order.word for below, order in zip(rows, own)]
        union = np.unique(np.concatenate(keys))
        rows = [np.searchsorted(union, key) for key in keys]
        parent, word = (part.astype(np.int32) for part in np.divmod(union, size))
        del keys, union
        mixed.orders.append(Order(parent, word, np.zeros(len(word)), np.zeros(len(word))))
        probability = np.zeros(len(word))
        for model, weight, known in zip(models, weights, rows):
            probability += weight * 10.0 ** logprobs_in(model, mixed, n, known)
        mixed.orders[-1].logprob = np.log10(np.maximum(probability, 10.0 ** NEVER))
    renormalise(mixed)
    return mixed


def logprobs_in(model: NgramModel, mixed: NgramModel, n: int, known: np.ndarray) -> np.ndarray:
    """log10 probabilities by `model` of all n-grams of `mixed`, of which it holds those in rows `known`."""
    result = np.empty(len(mixed.orders[n - 1]))
    result[known] = model.orders[n - 1].logprob
    others = np.ones(len(result), bool)
    others[known] = False
    missing = np.flatnonzero(others)
    for start in range(0, len(missing), BLOCK):
        part = missing[start:start + BLOCK]
        result[part] = model.logprobs(mixed.grams(n, part))
    return result


def alike(models: Sequence[NgramModel]) -> list[NgramModel]:
    """The models with the words of all, in one numbering, and as many orders as the longest."""
    words = list(dict.fromkeys(word for model in models for word in model.words))
    ids = {word: number for number, word in enumerate(words)}
    longest = max(len(model.orders) for model in models)
    result = []
    for model in models:
        orders = list(model.orders)
        if model.words != words:
            number = np.array([ids[word] for word in model.words], np.int32)
            unigrams = Order(np.zeros(len(words), np.int32), np.arange(len(words), dtype=np.int32), np.full(len(words), NEVER),
                             np.zeros(len(words)))
            unigrams.logprob[number], unigrams.backoff[number] = orders[0].logprob, orders[0].backoff
            higher = [Order(number[order.parent] if n == 2 else order.parent, number[order.word], order.logprob, order.backoff)
                      for n, order in enumerate(orders[1:], 2)]
            orders = sorted_model(words, [unigrams, *higher]).orders
        nothing = np.zeros(0, np.int32)
        orders += [Order(nothing, nothing, np.zeros(0), np.zeros(0))] * (longest - len(orders))
        result.append(NgramModel(words, orders))
    return result


def best_weights(models: Sequence[NgramModel], text: Iterable[Sequence[str]], unk: str = "<unk>",
                 tolerance: float = 1e-7) -> tuple[list[float], float]:
    """Weights that give a text the highest probability, by EM from equal ones (SRILM: compute-best-mix).

    Args:
      text: held-out sentences; words that no model has are left out.
      tolerance: EM ends when no weight changes by more.
    Returns:
      the weights, and the perplexity of the weighted sum itself, before any n-gram is backed off in the mixture.
    """
    text, together = list(text), alike(models)
    columns = []
    for model in together:
        parts = [model.logprobs(windows) for windows, _, _ in predictions(text, model, unk)]
        columns.append(10.0 ** np.concatenate(parts or [np.zeros(0)]))
    probability = np.stack(columns)  # (models, words)
    if not probability.size:
        raise RecipeError("no text to find interpolation weights on", expected="at least one sentence", found="none")
    weights, change = np.full(len(models), 1.0 / len(models)), 1.0
    while change > tolerance:
        share = weights[:, None] * probability
        new = (share / share.sum(axis=0)).mean(axis=1)
        weights, change = new, float(np.abs(new - weights).max())
    return weights.tolist(), float(np.exp(-np.log(weights @ probability).mean()))

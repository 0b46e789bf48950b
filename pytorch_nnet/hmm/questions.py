"""Phonetic questions from data: every cluster met while merging phones bottom-up by likelihood (Kaldi: cluster-phones)."""

from __future__ import annotations

import numpy as np

from .gmm import LOG_2PI
from .stats import TreeStats

VARIANCE_FLOOR = 0.01
QUESTION_PDF_CLASS = 1  # the middle state says most about a phone


def loglike(sums: np.ndarray) -> np.ndarray:
    """Log-likelihood of frames under their own single Gaussian, from sums (..., 1 + 2D): count, sum x, sum x squared."""
    dim = sums.shape[-1] // 2
    count = sums[..., 0]
    safe = np.maximum(count, 1e-10)[..., None]
    mean = sums[..., 1:1 + dim] / safe
    variance = np.maximum(sums[..., 1 + dim:] / safe - mean * mean, VARIANCE_FLOOR)
    return np.where(count > 0, -0.5 * count * (dim * (1 + LOG_2PI) + np.log(variance).sum(-1)), 0.0)


def phone_sets(stats: TreeStats, roots: list[tuple[int, ...]], extra: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Sets of neighbouring phones to ask about: each phone, each of `roots`, each cluster of them, the `extra` sets, and 0 (the utterance's
    edge).

    Roots hold one phone, or one in all its places in words (sets.int). They are merged two by two, the pair whose joint Gaussian loses
    least likelihood first; every merger is a question. The extra sets may be in any order; as Kaldi's trees want them, those found are sorted.
    """
    middle = stats.events[:, 3] == QUESTION_PDF_CLASS
    seen = set(stats.events[:, 1].tolist())
    members = [root for root in sorted(roots) if seen.intersection(root)]
    sums = np.stack([stats.sums[middle & np.isin(stats.events[:, 1], root)].sum(0) for root in members])
    own = loglike(sums)
    alive = np.ones(len(members), bool)
    loss = own[:, None] + own[None] - loglike(sums[:, None] + sums[None])
    np.fill_diagonal(loss, np.inf)
    found = {(0,), *((phone,) for phone in seen), *members, *(tuple(sorted(set(phones))) for phones in extra)}
    for _ in range(len(members) - 2):  # the last merger, all phones, asks nothing
        keep, gone = divmod(int(np.argmin(loss)), len(members))
        members[keep] = tuple(sorted(members[keep] + members[gone]))
        found.add(members[keep])
        sums[keep] += sums[gone]
        own[keep] = loglike(sums[keep])
        alive[gone] = False
        loss[gone] = loss[:, gone] = np.inf
        row = np.where(alive, own[keep] + own - loglike(sums[keep] + sums), np.inf)
        row[keep] = np.inf
        loss[keep] = loss[:, keep] = row
    return sorted(found)

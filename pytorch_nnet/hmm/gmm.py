"""Diagonal-covariance Gaussian mixtures: likelihoods, EM, splitting. All pdfs at once, in numpy.

EM for mixtures: Dempster, Laird and Rubin 1977; occupancy-driven splitting and the floors follow Kaldi (gmm/mle-diag-gmm.cc,
gmm/model-common.cc). Accumulation runs in double precision; statistics of one speaker are rounded to a grid on which sums are exact,
so that the total does not depend on how speakers are spread over jobs.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError
from ..io.kaldi_model import Gaussians

LOG_2PI = float(np.log(2 * np.pi))
MIN_VARIANCE = 1e-3
FIRST_MIN_VARIANCE = 1e-2  # of Gaussians that start from a leaf's few frames
MIN_WEIGHT = 1e-5
# Multiples of 2^-16 below 2^37 add up exactly in double precision, in any order. The largest sum of squares we expect, a Gaussian
# with a third of 300 hours and a cepstral variance of 400, is about 2^34.
GRID = 2.0 ** 16
FRAMES_PER_BLOCK = 512  # a block of scores against 12k Gaussians stays in the cache of one core


def on_grid(values: np.ndarray) -> np.ndarray:
    """Rounds to multiples of 2^-16, so that later sums are exact and their order does not matter."""
    return np.rint(values * GRID) / GRID


def gaussians_from_moments(weights: np.ndarray, means: np.ndarray, variances: np.ndarray, offsets: np.ndarray) -> Gaussians:
    """Gaussians from weights (G,), means and variances (G, D)."""
    inv_vars = 1.0 / np.asarray(variances, np.float64)
    gconsts = np.log(weights) + 0.5 * (np.log(inv_vars) - LOG_2PI - means * means * inv_vars).sum(1)
    f32 = np.float32
    return Gaussians(np.asarray(offsets), gconsts.astype(f32), np.asarray(weights).astype(f32), (means * inv_vars).astype(f32),
                     inv_vars.astype(f32))


def moments(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances, float64 (G, D)."""
    variances = 1.0 / gaussians.inv_vars.astype(np.float64)
    return gaussians.means_invvars * variances, variances


def with_squares(features: np.ndarray, dtype=np.float64) -> np.ndarray:
    """(T, D) -> (T, 1 + 2D): one, x, x squared; the sufficient statistics of a diagonal Gaussian."""
    features = features.astype(dtype)
    return np.concatenate([np.ones((len(features), 1), dtype), features, features * features], axis=1)


def score_matrix(gaussians: Gaussians, dtype=np.float64) -> np.ndarray:
    """(G, 1 + 2D): its product with `with_squares` gives log(weight * density)."""
    return np.concatenate([gaussians.gconsts[:, None], gaussians.means_invvars, -0.5 * gaussians.inv_vars], 1).astype(dtype)


class MixtureScorer:
    """Log-likelihoods of every pdf for every frame: one matrix product and a log-sum over each pdf's Gaussians."""

    def __init__(self, gaussians: Gaussians):
        self.matrix = np.ascontiguousarray(score_matrix(gaussians, np.float32).T)
        self.starts = gaussians.offsets[:-1]
        self.sizes = np.diff(gaussians.offsets)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(T, D) -> float32 (T, pdfs)."""
        squares = with_squares(features, np.float32)
        scores = np.empty((len(features), len(self.starts)), np.float32)
        for start in range(0, len(features), FRAMES_PER_BLOCK):
            block = squares[start:start + FRAMES_PER_BLOCK] @ self.matrix
            best = np.maximum.reduceat(block, self.starts, axis=1)
            block -= np.repeat(best, self.sizes, axis=1)
            np.exp(block, out=block)
            scores[start:start + len(block)] = best + np.log(np.add.reduceat(block, self.starts, axis=1))
        return scores


@dataclass
class Posteriors:
    """Posteriors of the Gaussians of each frame's own pdf. Frames are in the order of their pdfs: frame i is order[i] of the input.

    spans: (first frame, end, first Gaussian, end) of each pdf; values (T, widest pdf) float64, 0 beyond a pdf's own Gaussians;
    loglike: of all frames under their pdfs.
    """

    order: np.ndarray
    spans: list[tuple[int, int, int, int]]
    values: np.ndarray
    loglike: float
    num_gauss: int

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """Rows (T, K), in our order, added up by Gaussian: (G, K)."""
        result = np.zeros((self.num_gauss, rows.shape[1]))
        for a, b, low, high in self.spans:
            result[low:high] = self.values[a:b, :high - low].T @ rows[a:b]
        return result

    def mean_of(self, parameters: np.ndarray) -> np.ndarray:
        """The frames' expected values of parameters (G, D): (T, D), in our order."""
        result = np.empty((len(self.order), parameters.shape[1]))
        for a, b, low, high in self.spans:
            result[a:b] = self.values[a:b, :high - low] @ parameters[low:high]
        return result


def posteriors(gaussians: Gaussians, features: np.ndarray, pdfs: np.ndarray) -> Posteriors:
    """Posteriors of frames (T, D) aligned to `pdfs` (T,)."""
    if len(features) != len(pdfs):
        raise RecipeError("features and alignment disagree", expected=f"{len(features)} frames", found=f"{len(pdfs)} labels")
    order = np.argsort(pdfs, kind="stable")
    squares = with_squares(features[order])
    matrix = score_matrix(gaussians)
    used, first = np.unique(pdfs[order], return_index=True)
    spans = [(a, b, *gaussians.offsets[p:p + 2]) for a, b, p in zip(first, [*first[1:], len(pdfs)], used)]
    # One padded array for all pdfs: the exponentials are then a few large calls instead of many small ones.
    scores = np.full((len(pdfs), int(np.diff(gaussians.offsets)[used].max(initial=1))), -np.inf)
    for a, b, low, high in spans:
        scores[a:b, :high - low] = squares[a:b] @ matrix[low:high].T
    best = scores.max(1, keepdims=True)
    values = np.exp(scores - best)
    total = values.sum(1, keepdims=True)
    values /= total
    return Posteriors(order, spans, values, float((best + np.log(total)).sum()), len(matrix))


def accumulate(gaussians: Gaussians, features: np.ndarray, pdfs: np.ndarray, other: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """E step over frames (T, D) aligned to `pdfs` (T,).

    Args:
      other: the statistics are of these features of the same frames, the posteriors of `features` (Kaldi: gmm-acc-stats-twofeats).
    Returns: statistics (G, 1 + 2D): occupancy, sum of x, sum of x squared, weighted by the posteriors within the frame's own pdf;
      and the summed log-likelihood of the frames under their pdfs.
    """
    found = posteriors(gaussians, features, pdfs)
    return found.sums(with_squares((features if other is None else other)[found.order])), found.loglike


def update(gaussians: Gaussians, statistics: np.ndarray, *, min_occupancy: float = 10.0, remove: bool = True) -> Gaussians:
    """M step. Gaussians under `min_occupancy` frames or under weight 1e-5 are removed; the best of a pdf always stays.

    A pdf without data keeps its parameters, as do Gaussians with too few frames if they are not to be removed.
    """
    dim, starts, sizes = gaussians.dim, gaussians.offsets[:-1], np.diff(gaussians.offsets)
    occupancy = statistics[:, 0]
    pdf_occupancy = np.add.reduceat(occupancy, starts)
    share = occupancy / np.maximum(np.repeat(pdf_occupancy, sizes), 1e-10)
    solid = (occupancy > min_occupancy) & (share > MIN_WEIGHT)
    count = np.maximum(occupancy, 1e-10)[:, None]
    new_means = statistics[:, 1:1 + dim] / count
    new_variances = np.maximum(statistics[:, 1 + dim:] / count - new_means ** 2, MIN_VARIANCE)
    old_means, old_variances = moments(gaussians)
    means = np.where(solid[:, None], new_means, old_means)
    variances = np.where(solid[:, None], new_variances, old_variances)

    has_solid = np.logical_or.reduceat(solid, starts)
    keep = solid.copy() if remove else np.ones_like(solid)
    for pdf in np.flatnonzero(~has_solid):
        rows = slice(starts[pdf], starts[pdf] + sizes[pdf])
        if pdf_occupancy[pdf] > 0:
            keep[starts[pdf] + int(np.argmax(occupancy[rows]))] = True
        else:
            keep[rows] = True
    weights = np.where(np.repeat(pdf_occupancy, sizes) > 0, np.maximum(share, MIN_WEIGHT), gaussians.weights) * keep
    weights /= np.repeat(np.add.reduceat(weights, starts), sizes)
    offsets = np.concatenate([[0], np.cumsum(np.add.reduceat(keep.astype(np.int64), starts))])
    return gaussians_from_moments(weights[keep], means[keep], variances[keep], offsets)


def split_targets(occupancies: np.ndarray, sizes: np.ndarray, total: int, *, power: float, min_count: float = 20.0) -> np.ndarray:
    """How many Gaussians each pdf gets when there may be `total`: the next one goes where occupancy^power / size is largest.

    A pdf stops growing when its Gaussians would have under `min_count` frames each. Kaldi: GetSplitTargets, gmm/model-common.cc.
    """
    targets = np.array(sizes)
    powers = np.asarray(occupancies, np.float64) ** power
    heap = [(-powers[pdf] / targets[pdf], pdf) for pdf in range(len(targets)) if powers[pdf] > 0]
    heapq.heapify(heap)
    left = total - int(targets.sum())
    while left > 0 and heap:
        _, pdf = heapq.heappop(heap)
        if (targets[pdf] + 1) * min_count >= occupancies[pdf]:
            continue
        targets[pdf] += 1
        left -= 1
        heapq.heappush(heap, (-powers[pdf] / targets[pdf], pdf))
    return targets


def split(gaussians: Gaussians, targets: np.ndarray, *, perturb: float = 0.01) -> Gaussians:
    """Splits the heaviest Gaussian of a pdf until it has its target: half the weight each, means moved apart by a random
    `perturb` standard deviations. The random numbers depend on the number of Gaussians alone.
    """
    rng = np.random.default_rng(gaussians.num_gauss)
    means, variances = moments(gaussians)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for low, high, target in zip(gaussians.offsets[:-1], gaussians.offsets[1:], targets):
        w, m, v = gaussians.weights[low:high].astype(np.float64), means[low:high], variances[low:high]
        extra = target - (high - low)
        if extra > 0:
            w, m, v = (np.concatenate([a, np.empty((extra, *a.shape[1:]))]) for a in (w, m, v))
            for new in range(high - low, target):
                old = int(np.argmax(w[:new]))
                w[old] = w[new] = w[old] / 2
                v[new] = v[old]
                step = perturb * np.sqrt(v[old]) * rng.standard_normal(gaussians.dim)
                m[new] = m[old] + step
                m[old] = m[old] - step
        parts.append((w, m, v))
    offsets = np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])])
    weights, means, variances = (np.concatenate(arrays) for arrays in zip(*parts))
    return gaussians_from_moments(weights, means, variances, offsets)


def single_gaussians(sums: np.ndarray) -> Gaussians:
    """One Gaussian a pdf from statistics (pdfs, 1 + 2D); pdfs with under two frames get the Gaussian of all data."""
    dim = sums.shape[1] // 2
    thin = sums[:, 0] < 2
    sums = np.where(thin[:, None], sums.sum(0), sums)
    count = np.maximum(sums[:, :1], 1.0)
    means = sums[:, 1:1 + dim] / count
    variances = np.maximum(sums[:, 1 + dim:] / count - means ** 2, FIRST_MIN_VARIANCE)
    return gaussians_from_moments(np.ones(len(sums)), means, variances, np.arange(len(sums) + 1))

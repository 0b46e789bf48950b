"""Maximum-likelihood linear transform: a square matrix that makes diagonal covariances fit (semi-tied covariances, Gales 1999).

The matrix A (D, D) maximises beta log|det A| - 1/2 sum_d a_d G_d a_d', a_d being its rows and
G_d = sum over frames and Gaussians of gamma / var_d (x - mu)(x - mu)' (Kaldi: transform/mllt.cc).
"""

from __future__ import annotations

import numpy as np

from ..io.kaldi_model import Gaussians
from .gmm import Posteriors, moments, on_grid

SWEEPS = 200
ENOUGH = 1e-7  # relative gain of a sweep that ends the iteration


def mllt_statistics(gaussians: Gaussians, features: np.ndarray, posteriors: Posteriors) -> tuple[np.ndarray, float]:
    """G (D, D, D) and beta, the number of frames, of one speaker; sums of both are exact (gmm.on_grid)."""
    x = features[posteriors.order].astype(np.float64)
    inverse = posteriors.mean_of(gaussians.inv_vars)  # (T, D): sum over Gaussians of gamma / var
    statistics = posteriors.sums(np.concatenate([np.ones((len(x), 1)), x], 1))
    count, sums = statistics[:, 0], statistics[:, 1:]
    means, variances = moments(gaussians)
    dim = x.shape[1]
    g = np.empty((dim, dim, dim))
    for d in range(dim):
        by_gaussian = 1 / variances[:, d, None]
        cross = (sums * by_gaussian).T @ means
        g[d] = (x * inverse[:, d, None]).T @ x - cross - cross.T + (means * by_gaussian * count[:, None]).T @ means
    return on_grid(g), float(len(x))


def estimate_mllt(g: np.ndarray, beta: float) -> tuple[np.ndarray, float]:
    """A (D, D) from the identity, row by row, and the gain in log-likelihood per frame.

    Row d becomes c G_d^-1 sqrt(beta / (c G_d^-1 c')), c being its cofactors (Gales 1999, eq. 25).
    """
    matrix = np.eye(len(g))
    inverses = np.linalg.inv(g)

    def objective() -> float:
        return beta * np.linalg.slogdet(matrix)[1] - 0.5 * np.einsum("di,dij,dj->", matrix, g, matrix)

    start = last = objective()
    for _ in range(SWEEPS):
        for d in range(len(g)):
            cofactors = np.linalg.inv(matrix)[:, d]  # up to the determinant, which the scale below removes
            row = inverses[d] @ cofactors
            matrix[d] = row * np.sqrt(beta / (cofactors @ row))
        value = objective()
        if value - last < ENOUGH * abs(value):
            break
        last = value
    return matrix, (objective() - start) / beta

"""Feature-space MLLR: one affine transform of the features for each speaker (constrained MLLR, Gales 1998).

With xi = [x; 1] and W (D, D + 1) = [A b] it maximises beta log|det A| + sum_d (w_d k_d' - 1/2 w_d G_d w_d'), where
k_d = sum gamma mu_d / var_d xi', G_d = sum gamma / var_d xi xi' (Kaldi: transform/fmllr-diag-gmm.cc).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.kaldi_model import Gaussians
from .gmm import Posteriors

SWEEPS = 40


@dataclass
class FmllrStats:
    """beta: frames. k (D, D + 1), g (D, D + 1, D + 1), float64."""

    beta: float
    k: np.ndarray
    g: np.ndarray

    @classmethod
    def of(cls, gaussians: Gaussians, features: np.ndarray, posteriors: Posteriors) -> "FmllrStats":
        """Statistics of frames (T, D) before adaptation; the posteriors may come from other features of the same frames."""
        x = features[posteriors.order].astype(np.float64)
        xi = np.concatenate([x, np.ones((len(x), 1))], 1)
        inverse, means = posteriors.mean_of(gaussians.inv_vars), posteriors.mean_of(gaussians.means_invvars)
        g = np.stack([(xi * inverse[:, d, None]).T @ xi for d in range(x.shape[1])])
        return cls(float(len(x)), means.T @ xi, g)

    def objective(self, w: np.ndarray) -> float:
        return (self.beta * np.linalg.slogdet(w[:, :-1])[1] + np.sum(w * self.k)
                - 0.5 * np.einsum("di,dij,dj->", w, self.g, w))

    def estimate(self, start: np.ndarray | None = None, *, min_count: float = 500.0) -> tuple[np.ndarray, float]:
        """W (D, D + 1) and its gain over `start` (default: no change) in log-likelihood per frame.

        A speaker with fewer than `min_count` frames keeps `start`. Row d becomes (alpha p + k_d) G_d^-1, p being its cofactors
        with 0 behind; alpha solves a quadratic equation, of whose roots the one with the higher objective is taken
        (Gales 1998, eq. 18 and 19).
        """
        dim = len(self.k)
        w = np.eye(dim, dim + 1) if start is None else np.array(start, np.float64)
        if self.beta < min_count:
            return w, 0.0
        inverses = np.linalg.inv(self.g)
        before = self.objective(w)
        for _ in range(SWEEPS):
            for d in range(dim):
                p = np.append(np.linalg.inv(w[:, :-1])[:, d], 0.0)
                pg, kg = p @ inverses[d], self.k[d] @ inverses[d]
                a, b = pg @ p, pg @ self.k[d]
                root = np.sqrt(b * b + 4 * a * self.beta)
                alphas = np.array([(-b + root) / (2 * a), (-b - root) / (2 * a)])
                # The part of the objective that depends on alpha: beta log|alpha a + b| - alpha^2 a / 2.
                alpha = alphas[np.argmax(self.beta * np.log(np.abs(alphas * a + b)) - 0.5 * alphas ** 2 * a)]
                w[d] = alpha * pg + kg
        after = self.objective(w)
        return (w, (after - before) / self.beta) if after > before else (np.eye(dim, dim + 1) if start is None else np.array(start), 0.0)

"""Linear discriminant analysis of spliced features, the classes being the pdfs of an alignment (Haeb-Umbach and Ney 1992).

The rows of the transform are the directions in which the classes' means differ most, scaled so that the average covariance within a
class is the identity (Kaldi: transform/lda-estimate.cc).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError
from .gmm import on_grid


@dataclass
class LdaStats:
    """counts (P,), sums (P, S) by class, second (S, S) of all frames, float64."""

    counts: np.ndarray
    sums: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, pdfs: np.ndarray, num_pdfs: int) -> "LdaStats":
        """Statistics of one speaker's frames (T, S) with their pdfs (T,), rounded so that sums are exact (gmm.on_grid)."""
        features = features.astype(np.float64)
        order = np.argsort(pdfs, kind="stable")
        used, first = np.unique(pdfs[order], return_index=True)
        sums = np.zeros((num_pdfs, features.shape[1]))
        sums[used] = np.add.reduceat(features[order], first, axis=0)
        return cls(np.bincount(pdfs, minlength=num_pdfs).astype(np.float64), on_grid(sums), on_grid(features.T @ features))

    def estimate(self, dim: int) -> np.ndarray:
        """The transform, float64 (dim, S). Raises RecipeError if `dim` is more than S or the data do not span S dimensions."""
        total = self.counts.sum()
        mean = self.sums.sum(0) / total
        covariance = self.second / total - np.outer(mean, mean)
        seen = self.counts > 0
        means = self.sums[seen] / self.counts[seen, None]
        between = (means * (self.counts[seen, None] / total)).T @ means - np.outer(mean, mean)
        within = covariance - between
        size = len(within)
        smallest = np.linalg.eigvalsh(within)[0]
        if dim > size or smallest <= 0:
            raise RecipeError("LDA is impossible", expected=f"{dim} dimensions of {size} spliced ones that all vary",
                              found=f"{total:.0f} frames, smallest variance within a class {smallest:.3g}",
                              next="a smaller --dim, less --splice, or more data")
        whiten = np.linalg.inv(np.linalg.cholesky(within))
        _, directions = np.linalg.eigh(whiten @ between @ whiten.T)
        rows = directions[:, ::-1].T[:dim] @ whiten
        # A direction has no sign of its own; the largest entry positive makes the result the same on every machine.
        largest = np.abs(rows).argmax(1)
        return rows * np.sign(rows[np.arange(dim), largest])[:, None]

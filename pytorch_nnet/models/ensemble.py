"""Ensembles: the weighted mean of several models' posteriors (paper, section 5.2)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Sequence

import numpy as np

from ..io.errors import RecipeError
from .network import Network


class Ensemble:
    """Several networks over the same classes; used like a Network. Members are all plain networks."""

    def __init__(self, folder, members: Sequence[tuple[Network, float]]):
        first = members[0][0]
        for network, _ in members[1:]:
            for what in ("num_classes", "label_map", "dim", "cmvn", "subsampling"):
                expected, found = getattr(first, what), getattr(network, what)
                if expected != found:
                    raise RecipeError(f"members of an ensemble differ in {what}", file=folder, id=network.path,
                                      expected=f"{expected} as {first.path}", found=found,
                                      next="train all members on the same labels and features")
        self.path, self.members = Path(folder), list(members)
        self.num_classes, self.dim = first.num_classes, first.dim
        self.cmvn, self.label_map, self.extractor = first.cmvn, first.label_map, first.extractor
        self.subsampling, self.units = first.subsampling, first.units
        self.parameters = sum(network.parameters for network, _ in members)
        self.display = " + ".join(network.display for network, _ in members)
        self.config = {"members": [str(network.path) for network, _ in members],
                       "weights": [weight for _, weight in members]}
        self.priors = sum(weight * network.priors for network, weight in members)
        facts = " ".join(f"{network.sha256}:{weight!r}" for network, weight in members)
        self.sha256 = hashlib.sha256(facts.encode()).hexdigest()

    def posteriors(self, features: np.ndarray) -> np.ndarray:
        """Normalised features (T, dim) -> (T, num_classes) float32, the weighted mean of the members' posteriors."""
        return self.mix([network.posteriors(features) for network, _ in self.members])

    def mix(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """The weighted mean of its members' posteriors, each (T, num_classes)."""
        total = np.zeros_like(posteriors[0])
        for (_, weight), one in zip(self.members, posteriors):
            total += np.float32(weight) * one
        return total


def posteriors_of(models: Sequence, features: np.ndarray) -> list[np.ndarray]:
    """The posteriors (T, num_classes) of each of several networks and ensembles; a network that several of them share is
    computed once. features: normalised, (T, dim)."""
    networks = {network.sha256: network for model in models for network, _ in model.members}
    computed = {sha256: network.posteriors(features) for sha256, network in networks.items()}
    return [model.mix([computed[network.sha256] for network, _ in model.members]) for model in models]

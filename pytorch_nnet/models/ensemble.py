"""Ensembles: the weighted mean of several models' posteriors (paper, section 5.2).

ensemble.yaml:
    members: [lstm1, lstm2]     directories, relative to the parent of the ensemble's own
    weights: [0.5, 0.5]         sum to 1
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Sequence

import numpy as np

from ..io.errors import RecipeError, reading
from ..io.options import load_config
from ..io.publish import publish
from .model_dir import Network, load_network


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


def load_ensemble(folder, device: str = "cpu") -> Ensemble:
    folder = Path(folder)
    config = load_config(folder / "ensemble.yaml")
    members, weights = config.get("members"), config.get("weights")
    if not isinstance(members, list) or not isinstance(weights, list) or not members or len(members) != len(weights):
        raise RecipeError("ensemble.yaml needs as many members as weights", file=folder / "ensemble.yaml",
                          expected="members: [...], weights: [...]", found=config, next="steps/make_ensemble")
    base = folder.absolute().parent
    with reading(folder / "ensemble.yaml", next="steps/make_ensemble"):
        shares = [float(weight) for weight in weights]
        if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
            raise RecipeError("weights of an ensemble are no shares", file=folder / "ensemble.yaml", expected="numbers above 0 that sum to 1",
                              found=" ".join(map(str, weights))[:200], next="steps/make_ensemble")
    return Ensemble(folder, [(load_network(base / str(name), device), share) for name, share in zip(members, shares)])


def make_ensemble(folder, models: Sequence[str]) -> Ensemble:
    """Publishes `folder`/ensemble.yaml from 'directory' or 'directory:weight' arguments; returns the ensemble.

    Weights default to 1 and are divided by their sum. An ensemble among the models is replaced by its members.
    """
    from .model_dir import load_model

    folder, networks = Path(folder), []
    for argument in models:
        name, _, weight = argument.rpartition(":") if ":" in argument else (argument, "", "")
        try:
            share = float(weight or 1)
        except ValueError:
            share = 0.0
        if share <= 0:
            raise RecipeError("bad weight of an ensemble's member", id=argument,
                              expected="<directory>:<weight above 0>", found=weight)
        networks += [(network, share * inner) for network, inner in load_model(name).members]
    total = sum(weight for _, weight in networks)
    ensemble = Ensemble(folder, [(network, weight / total) for network, weight in networks])
    base = folder.absolute().parent
    with publish(folder / "ensemble.yaml") as file:
        file.write("members:\n")
        file.writelines(f"- {os.path.relpath(network.path.absolute(), base)}\n" for network, _ in networks)
        file.write("weights:\n")
        file.writelines(f"- {weight!r}\n" for _, weight in ensemble.members)
    return ensemble

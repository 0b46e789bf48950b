"""Stochastic gradient descent with momentum, its state in the open for exact resume.

v <- mu v + g; classical: w <- w - rate v; Nesterov: w <- w - rate (g + mu v) (Sutskever et al. 2013).
"""

from __future__ import annotations

import torch
from torch import nn


class Momentum:
    """Args: module whose parameters to move; coefficient mu; nesterov or classical."""

    def __init__(self, module: nn.Module, coefficient: float, nesterov: bool):
        self.coefficient, self.nesterov = coefficient, nesterov
        self.parameters = dict(module.named_parameters())
        self.velocity = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Moves the parameters along their gradients and clears these."""
        for name, parameter in self.parameters.items():
            gradient, velocity = parameter.grad, self.velocity[name]
            assert gradient is not None, "the loss depends on every parameter"
            velocity.mul_(self.coefficient).add_(gradient)
            parameter.sub_(gradient.add_(velocity, alpha=self.coefficient) if self.nesterov else velocity, alpha=rate)
            parameter.grad = None

    @torch.no_grad()
    def clip(self, largest: float) -> float:
        """Returns the Euclidean norm of all gradients; scales them down to `largest` if that is above 0 and smaller."""
        gradients = [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])))
        if largest and norm > largest:
            for gradient in gradients:
                gradient.mul_(largest / norm)
        return norm

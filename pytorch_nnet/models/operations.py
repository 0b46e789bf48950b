"""How many multiplications a network needs for one frame, counted from its layers."""

from __future__ import annotations

import torch
from torch import nn

from ..frames.store import WINDOW
from .networks.blstm import GATES, PEEPHOLES, BidirectionalLayer

CELL_PRODUCTS = 3  # a cell's step: f * c, i * tanh(.), o * tanh(c)


def multiplications(network: nn.Module, dim: int, window: int = WINDOW) -> int:
    """Multiplications of the forward pass of one window, biases and activations not counted.

    That is what one frame costs if every window is computed by itself, as the paper's networks compute it; what the
    windows of an utterance share (models.shared) is not taken off.
    """
    total = 0

    def count(layer: nn.Module, arguments: tuple, keywords: dict, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += layer.weight.numel()
        elif isinstance(layer, BidirectionalLayer):
            units, inputs = layer.recurrent.shape[2], layer.weight.shape[2]
            length = arguments[0].shape[0]
            steps = length // 2 + 1 if keywords.get("last") else length
            total += 2 * steps * (GATES * units * (inputs + units) + (PEEPHOLES + CELL_PRODUCTS) * units)

    handles = [module.register_forward_hook(count, with_kwargs=True) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, window, dim))
    finally:
        for handle in handles:
            handle.remove()
    return total

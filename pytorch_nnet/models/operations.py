"""How many multiplications a network needs for one frame, counted from its layers."""

from __future__ import annotations

import torch
from torch import nn

from ..frames.store import WINDOW
from .networks.blstm import GATES, PEEPHOLES, BidirectionalLayer
from .sequence import SequenceNetwork

CELL_PRODUCTS = 3  # a cell's step: f * c, i * tanh(.), o * tanh(c); a GRU's has as many


def multiplications(network: nn.Module, dim: int, window: int = WINDOW) -> int:
    """Multiplications of the forward pass of one window, biases and activations not counted.

    That is what one frame costs if every window is computed by itself, as the paper's networks compute it; what the
    windows of an utterance share (models.shared) is not taken off. Of a network over utterances one step, or the share of one that a frame
    has where there are fewer outputs than frames.
    """
    total, whole = 0, isinstance(network, SequenceNetwork)

    def count(layer: nn.Module, arguments: tuple, keywords: dict, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
            total += (output[0, :, 0] if whole else output[0]).numel() * layer.weight[0].numel()  # one step: time comes after the channels
        elif isinstance(layer, nn.RNNBase):
            total += sum(weight.numel() for name, weight in layer.named_parameters() if name.startswith("weight"))
            total += CELL_PRODUCTS * layer.hidden_size * layer.num_layers * (1 + layer.bidirectional)
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
            network(torch.zeros(1, window, dim), *([torch.tensor([window])] if whole else []))
    finally:
        for handle in handles:
            handle.remove()
    return total // network.subsampling if isinstance(network, SequenceNetwork) else total

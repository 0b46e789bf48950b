"""The networks by name, made from a shape (models.architecture)."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..frames.store import DIM


def build_network(shape: Any, num_classes: int, dim: int = DIM) -> nn.Module:
    """A freshly initialised network (torch's global generator).

    It maps windows (B, 41, dim) to logits (B, num_classes) of their middle frames, or is a `models.sequence.SequenceNetwork`, which
    maps utterances (B, T, dim) to logits of every frame.
    """
    return shape.kind.build(shape.sizes(), num_classes, dim)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())

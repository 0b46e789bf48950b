"""The networks by name, made from a shape (models.architecture)."""

from __future__ import annotations

from torch import nn

from ..frames.store import DIM, WINDOW
from .architecture import Architecture
from .blstm import Blstm
from .dnn import Dnn
from .sainath import SainathCnn
from .vision import VisionCnn


def build_network(shape: Architecture, num_classes: int, dim: int = DIM) -> nn.Module:
    """A freshly initialised network (torch's global generator) that maps windows (B, 41, dim) to logits (B,
    num_classes)."""
    shape = shape.resolved()
    if shape.arch == "dnn":
        return Dnn(shape.hidden, shape.splice, num_classes, WINDOW, dim)
    if shape.arch == "blstm":
        return Blstm(shape.hidden, num_classes, dim)
    network = {"vision": VisionCnn, "sainath": SainathCnn}[shape.arch]
    return network(shape.channels, shape.hidden, num_classes, WINDOW, dim)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())

"""What the feed-forward networks share: He initialisation and the stack of fully connected layers."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from .onnx_graph import OnnxGraph
from .products import product

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def bias_of(layer: nn.Conv1d | nn.Conv2d | nn.Linear) -> Tensor:
    """The bias, which every layer of these networks has."""
    assert layer.bias is not None
    return layer.bias


def he_(layer: Layer) -> Layer:
    """Initialises a layer that a ReLU follows: zero biases, weights that keep the variance (He et al. 2015)."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(bias_of(layer))
    return layer


class Product(torch.autograd.Function):
    """x (B, I), weight (O, I), bias (O,) -> (B, O)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight.t()).add_(bias)

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        return product(grad, weight) if ctx.needs_input_grad[0] else None, product(grad.t(), x), grad.sum(0)


class Linear(nn.Linear):
    """nn.Linear for (B, inputs) with the CPU's faster products."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_autocast_enabled("cpu"):  # autocast knows torch's own operations only
            return super().forward(x)
        return Product.apply(x, self.weight, self.bias)


class Head(nn.Module):
    """Fully connected ReLU layers and a linear output layer: (B, inputs) -> logits (B, num_classes)."""

    def __init__(self, inputs: int, hidden: list[int], num_classes: int):
        super().__init__()
        widths = [inputs, *hidden]
        self.hidden = nn.ModuleList(he_(Linear(i, o)) for i, o in zip(widths, hidden))
        self.output = Linear(widths[-1], num_classes)
        # Small outputs: the first loss is then log(num_classes), not more.
        nn.init.normal_(self.output.weight, std=0.5 * widths[-1] ** -0.5)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.output(x)

    def onnx(self, graph: OnnxGraph, x: str) -> str:
        for layer in self.hidden:
            x = graph.add("Relu", onnx_linear(graph, cast(Linear, layer), x))
        return onnx_linear(graph, self.output, x)


def onnx_linear(graph: OnnxGraph, layer: nn.Linear, x: str) -> str:
    return graph.add("Gemm", x, graph.constant(layer.weight), graph.constant(bias_of(layer)), transB=1)


def onnx_convolution(graph: OnnxGraph, layer: nn.Conv2d, x: str, padding: int = 0) -> str:
    """A convolution and its ReLU."""
    return graph.add("Relu", graph.add("Conv", x, graph.constant(layer.weight), graph.constant(bias_of(layer)), pads=[padding] * 4))

"""Sainath-style CNN: two large convolutions with pooling in frequency only (Sainath et al. 2013).

conv 7x7, max pooling of 3 mel channels, conv 7x7, both unpadded; four fully connected layers; softmax.
At the paper's widths (324, 324; 4 x 2048; 9000 classes): 74.68 M parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, channels_last, nn, relu
from torch.nn.functional import max_pool2d

from ...frames.store import WINDOW
from ...io.options import option
from ..kind import Kind, many
from ..layers import Head, he_, onnx_convolution
from ..onnx_graph import OnnxGraph

KERNEL = 7
POOL = 3


class SainathCnn(nn.Module):
    """Args: channels of the two convolutions; hidden: widths of the fully connected layers."""

    def __init__(self, channels: list[int], hidden: list[int], num_classes: int, window: int, dim: int):
        super().__init__()
        first, second = channels
        self.convolution1 = he_(nn.Conv2d(1, first, KERNEL))
        self.convolution2 = he_(nn.Conv2d(first, second, KERNEL))
        self.steps = window - 2 * (KERNEL - 1)  # columns of time that one window's head sees
        self.head = Head(second * self.steps * ((dim - KERNEL + 1) // POOL - KERNEL + 1), hidden, num_classes)
        self.to(memory_format=channels_last)  # type: ignore[call-overload]

    def convolve(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T - 12, channels * mel): time first, so that windows are overlapping slices."""
        x = max_pool2d(relu(self.convolution1(x.unsqueeze(1))), (1, POOL))
        x = relu(self.convolution2(x))
        return x.permute(0, 2, 1, 3).flatten(2).contiguous()

    def forward(self, windows: Tensor) -> Tensor:
        """windows (B, window, dim) -> logits (B, num_classes)."""
        return self.head(self.convolve(windows).flatten(1))

    def onnx(self, graph: OnnxGraph, windows: str) -> str:
        x = onnx_convolution(graph, self.convolution1, graph.add("Unsqueeze", windows, graph.integers(1)))
        x = graph.add("MaxPool", x, kernel_shape=[1, POOL], strides=[1, POOL])
        x = onnx_convolution(graph, self.convolution2, x)
        return self.head.onnx(graph, graph.add("Flatten", graph.add("Transpose", x, perm=[0, 2, 1, 3])))

    def utterance_logits(self, padded: Tensor) -> Tensor:
        """Logits of every window of an utterance, (T + window - 1, dim) with its padding -> (T, num_classes).

        Nothing pads or pools in time, so the convolutions of all windows are one convolution of the utterance.
        """
        rows = self.convolve(padded.unsqueeze(0))[0]
        width = rows.shape[1]
        return self.head(rows.as_strided((len(rows) - self.steps + 1, self.steps * width), (width, 1)))


@dataclass
class Options:
    channels: list[int] = option([324, 324], "channels of the two convolutions")
    hidden: list[int] = option([2048] * 4, "widths of the fully connected layers")


NETWORK = Kind("sainath", "Sainath-style CNN", Options, mini=dict(channels=[24, 24], hidden=[256] * 4),
               check=lambda options: many("channels", options.channels, 2),
               build=lambda options, classes, dim: SainathCnn(options.channels, options.hidden, classes, WINDOW, dim))

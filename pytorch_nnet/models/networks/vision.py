"""Vision-style CNN: 3x3 convolutions in three blocks, after Simonyan & Zisserman (Blending LSTMs into CNNs, Figure 1).

conv a, a, pool; conv b x3, pool; conv c x3, pool; two fully connected layers; softmax. The first two convolutions are
unpadded, the others padded by one; 2x2 max pooling drops an odd last row. Sizes with a 41 x 31 window:
time 41-39-37-18-9-4, mel 31-29-27-13-6-3. 76.77 M parameters at the paper's
widths (96, 192, 384; 4096, 4096) and 9000 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, channels_last, nn
from torch.nn.functional import max_pool2d

from ...frames.store import WINDOW
from ...io.options import option
from ..kind import Kind, many
from ..layers import Head, he_, onnx_convolution
from ..onnx_graph import OnnxGraph
from ..shared import vision_logits

BLOCKS = (2, 3, 3)  # convolutions before each pooling
UNPADDED = 2  # leading convolutions without padding


class VisionCnn(nn.Module):
    """Args: channels of the three blocks; hidden: widths of the fully connected layers."""

    def __init__(self, channels: list[int], hidden: list[int], num_classes: int, window: int, dim: int):
        super().__init__()
        self.convolutions = nn.ModuleList()
        inputs, height, width = 1, window, dim
        for convolutions, outputs in zip(BLOCKS, channels, strict=True):
            for _ in range(convolutions):
                padding = int(len(self.convolutions) >= UNPADDED)
                self.convolutions.append(he_(nn.Conv2d(inputs, outputs, 3, padding=padding)))
                inputs, height, width = outputs, height - 2 + 2 * padding, width - 2 + 2 * padding
            height, width = height // 2, width // 2
        self.head = Head(inputs * height * width, hidden, num_classes)
        self.to(memory_format=channels_last)  # type: ignore[call-overload]  # the layout that CPU and tensor-core convolutions work in

    def block(self, index: int) -> list[nn.Conv2d]:
        """Convolutions between two poolings."""
        first = sum(BLOCKS[:index])
        return cast(list[nn.Conv2d], list(self.convolutions[first:first + BLOCKS[index]]))

    def convolve(self, index: int, x: Tensor) -> Tensor:
        """One block without its pooling: (B, C, time, mel) -> (B, C', time', mel')."""
        for convolution in self.block(index):
            x = convolution(x).relu_()
        return x

    def forward(self, windows: Tensor) -> Tensor:
        """windows (B, window, dim) -> logits (B, num_classes)."""
        x = windows.unsqueeze(1)
        for index in range(len(BLOCKS)):
            x = max_pool2d(self.convolve(index, x), 2)
        return self.head(x.flatten(1))

    def onnx(self, graph: OnnxGraph, windows: str) -> str:
        x = graph.add("Unsqueeze", windows, graph.integers(1))
        for index in range(len(BLOCKS)):
            for convolution in self.block(index):
                x = onnx_convolution(graph, convolution, x, padding=int(convolution.padding[0]))
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        return self.head.onnx(graph, graph.add("Flatten", x))

    def utterance_logits(self, padded: Tensor) -> Tensor:
        """Logits of every window of an utterance, (T + window - 1, dim) with its padding -> (T, num_classes)."""
        return vision_logits(self, padded)


@dataclass
class Options:
    channels: list[int] = option([96, 192, 384], "channels of the three blocks")
    hidden: list[int] = option([4096, 4096], "widths of the fully connected layers")


NETWORK = Kind("vision", "vision-style CNN", Options, mini=dict(channels=[16, 32, 64], hidden=[256, 256]),
               check=lambda options: many("channels", options.channels, len(BLOCKS)),
               build=lambda options, classes, dim: VisionCnn(options.channels, options.hidden, classes, WINDOW, dim))

"""Fully connected network over spliced frames: the baseline DNN whose forced alignment labels every frame."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ...frames.store import WINDOW
from ...io.errors import RecipeError
from ...io.options import option
from ..kind import Kind, stacked
from ..layers import Head
from ..onnx_graph import OnnxGraph


class Dnn(nn.Module):
    """Args: hidden: widths of the layers; splice: frames of context on each side of the middle one."""

    def __init__(self, hidden: list[int], splice: int, num_classes: int, window: int, dim: int):
        super().__init__()
        middle = window // 2
        self.context = slice(middle - splice, middle + splice + 1)
        self.head = Head((2 * splice + 1) * dim, hidden, num_classes)

    def forward(self, windows: Tensor) -> Tensor:
        """windows (B, window, dim) -> logits (B, num_classes)."""
        return self.head(windows[:, self.context].flatten(1))

    def onnx(self, graph: OnnxGraph, windows: str) -> str:
        return self.head.onnx(graph, graph.add("Flatten", graph.slice(windows, 1, self.context.start, self.context.stop)))


@dataclass
class Options:
    hidden: list[int] = option([2048] * 6, "widths of the fully connected layers")
    splice: int = option(5, "frames of context on each side of the middle one, at most 20")


def check(options: Options) -> None:
    if not 0 <= options.splice <= WINDOW // 2:
        raise RecipeError("more context than the window holds", id="splice", expected=f"at most {WINDOW // 2}", found=options.splice)


NETWORK = Kind("dnn", "DNN", Options, mini=dict(hidden=[256] * 3, splice=8), check=check,
               build=lambda options, classes, dim: Dnn(options.hidden, options.splice, classes, WINDOW, dim),
               title=lambda options: stacked("DNN", options.hidden))

"""Time-delay network: layers that each join a few frames of the one below, further apart the higher they are (Peddinti et al. 2015)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...io.errors import RecipeError
from ...io.options import option
from ..kind import Kind, many, stacked
from ..layers import Head, bias_of
from ..sequence import SequenceNetwork, State, with_past

OFFSETS = re.compile(r"(-?\d+):(-?\d+):(\d+)")


@dataclass
class Options:
    hidden: list[int] = option([512] * 5, "widths of the layers")
    offsets: list[str] = option(["-2:2:1", "-1:2:3", "-3:3:6", "-7:2:9", "0:0:1"],
                                "frames that each layer joins, first:last:step, from the frame it is at")
    layer_norm: bool = option(True, "normalise each layer's outputs, frame by frame (Ba et al. 2016)")

    def spans(self) -> list[tuple[int, int, int]]:
        """(first, last, step) of each layer. Raises RecipeError for offsets that cannot be."""
        found = []
        for text in self.offsets:
            match = OFFSETS.fullmatch(text)
            first, last, step = map(int, match.groups()) if match else (1, 0, 1)
            if not (first <= 0 <= last and step > 0 and (last - first) % step == 0):
                raise RecipeError("bad offsets of a layer", id="offsets", expected="first:last:step, such as -1:2:3", found=text)
            found.append((first, last, step))
        return found


def check(options: Options) -> None:
    many("offsets", options.offsets, len(options.hidden))
    options.spans()


class Tdnn(SequenceNetwork):
    """Looks `delay` frames ahead, the sum of the layers' last offsets: the output for a frame comes that late."""

    def __init__(self, options: Options, num_classes: int, dim: int):
        super().__init__()
        spans = options.spans()
        self.delay = sum(last for _, last, _ in spans)
        self.past = self.delay - sum(first for first, _, _ in spans)
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        for (first, last, step), inputs, outputs in zip(spans, [dim, *options.hidden], options.hidden):
            layer = nn.Conv1d(inputs, outputs, (last - first) // step + 1, dilation=step)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(bias_of(layer))
            self.layers.append(layer)
            self.norms.append(nn.LayerNorm(outputs) if options.layer_norm else nn.Identity())
        self.head = Head(options.hidden[-1], [], num_classes)

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        rows, after = with_past(x, self.past, state)
        for layer, norm in zip(self.layers, self.norms):
            rows = norm(torch.relu(layer(rows.transpose(1, 2))).transpose(1, 2))
        return self.head(rows.flatten(0, 1)).unflatten(0, x.shape[:2]), after


NETWORK = Kind("tdnn", "TDNN", Options, mini=dict(hidden=[128] * 5), check=check, build=Tdnn,
               title=lambda options: stacked("TDNN", options.hidden))

"""CLDNN: convolutions, then LSTMs, then fully connected layers (Sainath et al. 2015).

A frame and the ten before it go through two convolutions, over 9 mel channels by 9 frames and, after pooling 3 channels, over 4 by 3;
256 numbers a frame are made of their maps; two LSTMs with projection follow, two fully connected layers, softmax. The output comes
five frames late. With 40 mel channels the maps are 32, 10 and 7 channels high, with 31 they are 23, 7 and 4.

"Multi-scale": the LSTM sees the frame itself beside what the convolutions make of its context, and the fully connected layers that beside
the LSTM's output. The notes on the paper call both an addition; as widths differ, they are put side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ...io.errors import RecipeError
from ...io.options import option
from ..kind import Kind, many, stacked
from ..layers import Head, bias_of
from ..recurrence import RecurrentOptions, RecurrentStack
from ..sequence import SequenceNetwork, State, with_past

Layer = TypeVar("Layer", nn.Conv1d, nn.Conv2d, nn.Linear)
KERNELS = ((9, 9), (3, 4))  # time by mel of the two convolutions
POOL = 3  # mel channels after the first


@dataclass
class Options(RecurrentOptions):
    channels: list[int] = option([256, 256], "maps of the two convolutions")
    context: int = option(10, "frames before each one that the convolutions see")
    linear: int = option(256, "numbers a frame that are made of the maps")
    hidden: list[int] = option([832, 832], "units of the recurrent layers, per direction")
    projection: int = field(default=512, metadata=RecurrentOptions.__dataclass_fields__["projection"].metadata)
    head: list[int] = option([1024, 1024], "widths of the fully connected layers; 0: none")
    delay: int = option(5, "frames by which outputs come late")
    short_term: bool = option(True, "the LSTM sees the frame itself too")
    skip: bool = option(False, "the fully connected layers see the convolutions' output too")

    def check(self) -> None:
        super().check()
        many("channels", self.channels, len(KERNELS))
        least = sum(time - 1 for time, _ in KERNELS)
        if self.context < least:
            raise RecipeError("less context than the convolutions take", id="context", expected=f"at least {least}", found=self.context)


class Cldnn(SequenceNetwork):
    def __init__(self, options: Options, num_classes: int, dim: int):
        super().__init__()
        self.options, self.delay = options, options.delay
        inputs, height, steps = 1, dim, options.context + 1
        self.convolutions = nn.ModuleList()
        for index, ((time, mel), outputs) in enumerate(zip(KERNELS, options.channels)):
            self.convolutions.append(glorot_(nn.Conv2d(inputs, outputs, (time, mel))))
            inputs, height, steps = outputs, height - mel + 1, steps - time + 1
            if index == 0:
                height //= POOL
        # Its kernel is as long as the maps that one frame's context leaves, so it joins them all.
        self.linear = glorot_(nn.Conv1d(inputs * height, options.linear, steps))
        self.stack = RecurrentStack(options.linear + dim * options.short_term, options.hidden, options)
        self.head = Head(self.stack.width + options.linear * options.skip, options.head, num_classes)
        for layer in self.head.hidden:
            glorot_(cast(nn.Linear, layer))

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        rows, after = with_past(x, self.options.context, state)
        maps = max_pool2d(torch.relu(self.convolutions[0](rows.unsqueeze(1))), (1, POOL))
        maps = torch.relu(self.convolutions[1](maps))
        local = self.linear(maps.transpose(2, 3).flatten(1, 2)).transpose(1, 2)
        inputs = torch.cat([local, x], 2) if self.options.short_term else local
        outputs, recurrent = self.stack(inputs, lengths, state)
        if self.options.skip:
            outputs = torch.cat([outputs, local], 2)
        return self.head(outputs.flatten(0, 1)).unflatten(0, x.shape[:2]), {**after, **recurrent}


def glorot_(layer: Layer) -> Layer:
    """Glorot and Bengio (2010), as the paper has it for convolutions and fully connected layers."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(bias_of(layer))
    return layer


NETWORK = Kind("cldnn", "CLDNN", Options, check=Options.check, build=Cldnn,
               mini=dict(channels=[16, 16], linear=64, hidden=[96, 96], projection=64, head=[128, 128]),
               title=lambda options: stacked("CLDNN", options.hidden))

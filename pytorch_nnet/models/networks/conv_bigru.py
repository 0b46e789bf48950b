"""Convolutions over time and mel channels, then recurrent layers of both directions, after Deep Speech 2 (Amodei et al. 2016).

Every convolution is 11 frames long and leaves every second channel; the first one also leaves every `subsampling`-th frame, which makes
the recurrent layers as much faster, and suits CTC, whose outputs are far fewer than frames. Rectified values are cut off at 20. Three
convolutions and seven layers of 1280 GRUs a direction read 161 spectrogram bins there; here the kernels are 11 channels high, as there
are 31, and the two directions of a layer are put side by side, not added. Batch normalisation between the layers is `--layer-norm`, which
does not depend on what else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...io.errors import RecipeError
from ...io.options import option
from ..kind import Kind, stacked
from ..layers import Head, bias_of
from ..recurrence import RecurrentOptions, RecurrentStack
from ..sequence import SequenceNetwork, State, outputs

TIME, MEL = 11, 11  # of each kernel
STRIDE = 2  # channels
CLIP = 20.0  # of the rectified values


@dataclass
class Options(RecurrentOptions):
    channels: list[int] = option([32, 32, 96], "maps of the convolutions")
    subsampling: int = option(2, "frames to an output; above 1 for CTC alone, as pdf labels want an output a frame")
    hidden: list[int] = option([512] * 7, "units of the recurrent layers, per direction")
    cell: str = field(default="gru", metadata=RecurrentOptions.__dataclass_fields__["cell"].metadata)
    layer_norm: bool = field(default=True, metadata=RecurrentOptions.__dataclass_fields__["layer_norm"].metadata)
    head: list[int] = option([], "widths of the fully connected layers; 0: none")

    def check(self) -> None:
        super().check()
        if not 1 <= self.subsampling <= TIME:
            raise RecipeError("option out of range", id="subsampling", expected=f"1 to {TIME}, the length of the kernel", found=self.subsampling)
        if not self.channels or not self.hidden:
            raise RecipeError("impossible network shape", id="channels, hidden", expected="at least one of each", found="none")


class ConvBigru(SequenceNetwork):
    streaming = False

    def __init__(self, options: Options, num_classes: int, dim: int):
        super().__init__()
        self.subsampling = options.subsampling
        inputs, height, step = 1, dim, options.subsampling
        self.convolutions = nn.ModuleList()
        for channels in options.channels:
            layer = nn.Conv2d(inputs, channels, (TIME, MEL), (step, STRIDE), (TIME // 2, MEL // 2))
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(bias_of(layer))
            self.convolutions.append(layer)
            inputs, height, step = channels, outputs(height, STRIDE), 1
        self.norm = nn.LayerNorm(inputs * height) if options.layer_norm else nn.Identity()
        self.stack = RecurrentStack(inputs * height, options.hidden, options, bidirectional=True)
        self.head = Head(self.stack.width, options.head, num_classes)

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        maps, ends = x.unsqueeze(1), lengths
        for layer in self.convolutions:
            maps = layer(maps).clamp(0, CLIP)
            ends = outputs(lengths, self.subsampling)
            # Beyond its end an utterance has zeros, whatever the biases are, so that it does not matter what else is in the batch.
            maps = maps * (torch.arange(maps.shape[2]) < ends.view(-1, 1)).to(maps.device, maps.dtype).view(len(maps), 1, -1, 1)
        rows = self.norm(maps.transpose(1, 2).flatten(2))
        rows, _ = self.stack(rows, ends)
        return self.head(rows.flatten(0, 1)).unflatten(0, rows.shape[:2]), {}


NETWORK = Kind("conv_bigru", "Conv-BiGRU", Options, check=Options.check, build=ConvBigru, mini=dict(channels=[8, 16], subsampling=3, hidden=[96, 96]),
               title=lambda options: stacked("Conv-BiGRU" if options.cell == "gru" else "Conv-BLSTM", options.hidden))

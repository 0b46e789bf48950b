"""Recurrent networks over whole utterances: LSTM, LSTM with projection (Sak et al. 2014), GRU (Cho et al. 2014), in one direction with
delayed outputs, or in both (deep BLSTM; Graves et al. 2013)."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ...io.errors import RecipeError
from ...io.options import option
from ..kind import Kind, stacked
from ..layers import Head
from ..recurrence import RecurrentOptions, RecurrentStack
from ..sequence import SequenceNetwork, State


@dataclass
class Options(RecurrentOptions):
    hidden: list[int] = option([832, 832], "units of the recurrent layers, per direction")
    bidirectional: bool = option(False, "both directions: whole utterances only")
    delay: int = option(5, "frames by which outputs come late")
    projection: int = field(default=512, metadata=RecurrentOptions.__dataclass_fields__["projection"].metadata)
    head: list[int] = option([1024, 1024], "widths of the fully connected layers; 0: none")

    def check(self) -> None:
        super().check()
        if self.bidirectional and self.delay:
            raise RecipeError("a network of both directions needs no delay", id="delay", expected="0", found=self.delay)


class Recurrent(SequenceNetwork):
    def __init__(self, options: Options, num_classes: int, dim: int):
        super().__init__()
        self.delay, self.streaming = options.delay, not options.bidirectional
        self.stack = RecurrentStack(dim, options.hidden, options, options.bidirectional)
        self.head = Head(self.stack.width, options.head, num_classes)

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x, state = self.stack(x, lengths, state)
        return self.head(x.flatten(0, 1)).unflatten(0, x.shape[:2]), state


def title(options: Options) -> str:
    name = ("B" if options.bidirectional else "") + options.cell.upper() + ("P" if options.projection else "")
    return stacked(name, options.hidden) + (f"-{options.projection}" if options.projection else "") + " over utterances"


NETWORK = Kind("recurrent", "recurrent network", Options, check=Options.check, build=Recurrent, title=title,
               mini=dict(hidden=[96, 96], projection=64, head=[128, 128]))

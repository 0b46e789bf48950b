"""A stack of recurrent layers over whole utterances: LSTM, LSTM with projection, GRU, in one direction or both.

The layers are torch's own, without peepholes: over whole utterances its kernels are faster than any step by step (the BLSTM over windows,
networks/blstm.py, has the paper's peepholes).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..io.errors import RecipeError
from ..io.options import option
from .sequence import State

warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")  # it is then computed by torch's own kernels
CELLS = {"lstm": 4, "gru": 3}  # and how many gates they have


@dataclass
class RecurrentOptions:
    cell: str = option("lstm", "lstm or gru")
    projection: int = option(0, "units that an LSTM's output is projected to (Sak et al. 2014); 0: none")
    recurrent_init: str = option("uniform", "recurrent weights: uniform (Glorot and Bengio 2010), orthogonal (Saxe et al. 2014) or gaussian "
                                            "(unit variance of a product)")
    forget_bias: float = option(1.0, "an LSTM's forget gate at the beginning of training (Gers et al. 2000; Jozefowicz et al. 2015)")
    layer_norm: bool = option(False, "normalise each layer's outputs, frame by frame (Ba et al. 2016)")
    dropout: float = option(0.0, "share of each layer's inputs that an utterance, or a chunk of it, loses at all its frames (Gal and Ghahramani 2016)")

    def check(self) -> None:
        """Raises RecipeError for values that make no stack."""
        for name, allowed in (("cell", tuple(CELLS)), ("recurrent_init", ("uniform", "orthogonal", "gaussian"))):
            if getattr(self, name) not in allowed:
                raise RecipeError("bad value for an option", id=name, expected=" or ".join(allowed), found=getattr(self, name))
        if self.projection and self.cell != "lstm":
            raise RecipeError("only an LSTM has a projection", id="projection", expected="0", found=self.projection)
        if not 0 <= self.dropout < 1:
            raise RecipeError("option out of range", id="dropout", expected="from 0 to below 1", found=self.dropout)


class RecurrentStack(nn.Module):
    """Args: inputs: width of the frames; hidden: units of each layer, per direction; bidirectional: both directions, whole utterances only."""

    def __init__(self, inputs: int, hidden: list[int], options: RecurrentOptions, bidirectional: bool = False):
        super().__init__()
        if options.projection >= min(hidden):
            raise RecipeError("a projection as wide as its layer", id="projection", expected=f"below {min(hidden)}", found=options.projection)
        self.options, self.bidirectional = options, bidirectional
        self.layers, self.backward_layers, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for units in hidden:
            self.layers.append(self.layer(inputs, units))
            if bidirectional:
                self.backward_layers.append(self.layer(inputs, units))
            inputs = (options.projection or units) * (1 + bidirectional)
            if options.layer_norm:
                self.norms.append(nn.LayerNorm(inputs))
        self.width = inputs

    def layer(self, inputs: int, units: int) -> nn.RNNBase:
        options = self.options
        layer: nn.RNNBase
        if options.cell == "gru":
            layer = nn.GRU(inputs, units, batch_first=True)
        else:
            layer = nn.LSTM(inputs, units, batch_first=True, proj_size=options.projection)
        for name, weight in layer.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(weight)
                if name.startswith("bias_ih") and options.cell == "lstm":
                    nn.init.constant_(weight[units:2 * units], options.forget_bias)
            else:
                for part in [weight] if name.startswith("weight_hr") else weight.chunk(CELLS[options.cell]):
                    self.initialise(part, recurrent=name.startswith("weight_hh"))
        return layer

    def initialise(self, weight: Tensor, recurrent: bool) -> None:
        if self.options.recurrent_init == "gaussian":
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        elif self.options.recurrent_init == "orthogonal" and recurrent:
            nn.init.orthogonal_(weight)
        else:
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, inputs) -> (B, T, width), and the state after the last step of each layer: h.N, c.N (B, units)."""
        after: State = {}
        index = reversal(lengths.to(x.device), x.shape[1]) if self.bidirectional else None
        for number, layer in enumerate(self.layers):
            if self.training and self.options.dropout:
                kept = 1 - self.options.dropout
                x = x * torch.empty_like(x[:, :1]).bernoulli_(kept).div_(kept)
            if index is not None:
                x = torch.cat([layer(x)[0], reordered(self.backward_layers[number](reordered(x, index))[0], index)], 2)
            else:
                x, last = layer(x, self.before(state, number))
                for name, value in zip("hc", last if isinstance(last, tuple) else (last,)):
                    after[f"{name}.{number}"] = value[0].detach()
            if self.norms:
                x = self.norms[number](x)
        return x, after

    def before(self, state: State | None, number: int) -> Tensor | tuple[Tensor, Tensor] | None:
        """What torch's layer takes as its state before the first step."""
        if state is None:
            return None
        h = state[f"h.{number}"].unsqueeze(0)
        return (h, state[f"c.{number}"].unsqueeze(0)) if self.options.cell == "lstm" else h


# Both directions as two layers, the second on reversed rows. A bidirectional layer of torch on packed sequences is the same function, but
# trains eight times slower on a CPU: it has no kernel for the whole of it and goes step by step (benchmarks/training.py).
def reversal(lengths: Tensor, steps: int) -> Tensor:
    """(B,) -> (B, steps): where the rows of reversed utterances come from; rows after an utterance stay, so it is its own inverse."""
    place = torch.arange(steps, device=lengths.device).unsqueeze(0)
    return torch.where(place < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - place, place)


def reordered(x: Tensor, index: Tensor) -> Tensor:
    """(B, T, N): row t of utterance b is x[b, index[b, t]]."""
    return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2]))

"""Networks over whole utterances: (B, T, dim) in, logits of every frame out, some of them chunk by chunk.

The output for frame t stands at step t + `delay`: that many frames of the future decide on it (Sainath et al. 2015 delay by five). An
utterance is followed by so many frames of zeros, which are the features' mean, as windows have zeros beyond its ends.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

State = dict[str, Tensor]  # what a streaming network carries from chunk to chunk; the first dimension is the batch's


class SequenceNetwork(nn.Module):
    """Base of these networks.

    delay: steps by which outputs come late. streaming: whether outputs depend on no later input, so that chunks give what the whole does.
    subsampling: steps to an output, of a network that CTC trains; of one with less than an output a frame the delay is 0.
    """

    delay = 0
    streaming = True
    subsampling = 1

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, dim), utterances of `lengths` (B,) int64 steps and zeros after them -> logits (B, outputs(T), K) and the state behind.

        state: of the chunk before; None at the beginning of utterances. A network that does not stream takes whole utterances.
        """
        raise NotImplementedError

    def utterance_logits(self, features: Tensor) -> Tensor:
        """Logits (outputs(T), K) of one utterance, (T, dim)."""
        rows = pad(features, (0, 0, 0, self.delay)).unsqueeze(0)
        logits, _ = self(rows, torch.tensor([rows.shape[1]]))
        return logits[0, self.delay:]


def outputs(frames, subsampling: int):
    """How many outputs a network has for so many frames, an int or a tensor of them: the last one may stand for fewer than the others."""
    return (frames + subsampling - 1) // subsampling


class Stream:
    """One utterance as it arrives: `add` takes frames and gives the logits of those that are decided by then."""

    def __init__(self, network: SequenceNetwork):
        if not network.streaming:
            raise ValueError("this network needs whole utterances")
        self.network, self.skip = network.eval(), network.delay
        self.state: State | None = None
        self.held = next(network.parameters()).new_zeros(0)  # no logits, as many columns as there are classes

    @torch.inference_mode()
    def add(self, features: Tensor) -> Tensor:
        """(n, dim), n at least 1 -> (m, K): the next m frames' logits, m at most n."""
        logits, self.state = self.network(features.unsqueeze(0), torch.tensor([len(features)]), self.state)
        skipped = min(self.skip, len(features))
        self.skip, self.held = self.skip - skipped, logits[0, :0]
        return logits[0, skipped:]

    def end(self, dim: int) -> Tensor:
        """Logits of the frames that the delay still held back; dim: features per frame."""
        if not self.network.delay or self.state is None:
            return self.held
        return self.add(self.held.new_zeros(self.network.delay, dim))


def with_past(x: Tensor, frames: int, state: State | None, name: str = "past") -> tuple[Tensor, State]:
    """The chunk (B, T, dim) behind the `frames` frames before it, zeros at an utterance's beginning; and these for the next chunk."""
    past = x.new_zeros(x.shape[0], frames, x.shape[2]) if state is None else state[name]
    rows = torch.cat([past, x], 1)
    return rows, {name: rows[:, rows.shape[1] - frames:].detach()}

"""What a network learns from: windows, each by itself or all of an utterance, or utterances, perhaps in chunks. The trainer sees one interface."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..frames.sampler import Batch, FrameSampler
from ..frames.store import CONTEXT, WINDOW, FrameStore
from ..frames.utterances import Chunk, UtteranceBatches, Utterances, UtteranceStreams
from ..io.errors import RecipeError
from ..models.sequence import SequenceNetwork, State
from .options import TrainOptions
from .processes import Processes

Piece = Batch | Chunk  # both have labels (N,), and frames (N,) as keys of the soft labels


class Feed(Protocol):
    """draw: the next piece. logits: (N, K) of its labelled frames. state, restore: where the stream is, for a checkpoint; carried: what
    the network takes from one piece to the next, for it too."""

    carried: State

    def draw(self) -> Piece: ...

    def logits(self, network: nn.Module, piece) -> Tensor: ...

    def state(self) -> Tensor: ...

    def restore(self, state: Tensor) -> None: ...


class WindowFeed:
    """Windows drawn uniformly over all frames."""

    def __init__(self, store: FrameStore, options: TrainOptions, processes: Processes, device: torch.device):
        self.sampler = FrameSampler(store, options.batch, options.seed, processes.share(options.batch), device,
                                    (options.mask_channels, options.mask_frames))
        self.draw, self.state, self.restore = self.sampler.draw, self.sampler.state, self.sampler.restore
        self.device = device
        self.carried: State = {}

    def logits(self, network: nn.Module, piece: Batch) -> Tensor:
        return network(piece.windows.to(self.device))


class UtteranceFeed:
    """Whole utterances; --batch counts them, --chunk says after how many steps the weights move and errors stop."""

    def __init__(self, store: FrameStore, options: TrainOptions, processes: Processes, device: torch.device, network: nn.Module):
        for name, wanted in (("mask_channels", 0), ("mask_frames", 0)):
            if getattr(options, name) != wanted:
                raise RecipeError("bands are hidden in windows only", id=name, expected=wanted, found=getattr(options, name),
                                  next="leave it out for a network over utterances, and for mmi and smbr")
        if processes.count > 1:
            raise RecipeError("whole utterances are trained on in one process", id="processes", expected=1, found=processes.count)
        delay = network.delay if isinstance(network, SequenceNetwork) else 0
        if options.chunk and not getattr(network, "streaming", False):
            raise RecipeError("a network of both directions needs whole utterances", id="chunk", expected=0, found=options.chunk)
        if options.chunk:
            self.sampler: Utterances = UtteranceStreams(store, options.batch, options.seed, options.chunk, delay)
        else:
            self.sampler = UtteranceBatches(store, options.batch, options.seed, delay)
        self.draw, self.state, self.restore = self.sampler.draw, self.sampler.state, self.sampler.restore
        self.device, self.chunk = device, options.chunk
        self.carried: State = {}

    def logits(self, network: nn.Module, piece: Chunk) -> Tensor:
        """The state of the chunk before is carried on, its gradient is not; it is zero where an utterance begins."""
        before = None
        if self.carried:
            kept = ~piece.first.to(self.device)
            before = {name: value * kept.view(-1, *[1] * (value.dim() - 1)) for name, value in self.carried.items()}
        logits, after = network(piece.inputs.to(self.device), piece.lengths, before)
        self.carried = after if self.chunk else {}
        return logits[piece.labelled.to(self.device)]


class UtteranceWindowFeed(UtteranceFeed):
    """Whole utterances for a network over windows: each is all of its windows, with zeros beyond its ends."""

    def logits(self, network: nn.Module, piece: Chunk) -> Tensor:
        rows = pad(piece.inputs, (0, 0, CONTEXT, CONTEXT))
        windows = rows.unfold(1, WINDOW, 1).transpose(2, 3)  # a view (B, L, 41, dim)
        return network(windows[piece.labelled].to(self.device))


def open_feed(store: FrameStore, options: TrainOptions, processes: Processes, device: torch.device, network: nn.Module, whole: bool = False) -> Feed:
    """whole: the objective is one of whole utterances."""
    if isinstance(network, SequenceNetwork):
        return UtteranceFeed(store, options, processes, device, network)
    if options.chunk:
        raise RecipeError("windows have no chunks", id="chunk", expected=0, found=options.chunk)
    if whole:
        return UtteranceWindowFeed(store, options, processes, device, network)
    return WindowFeed(store, options, processes, device)

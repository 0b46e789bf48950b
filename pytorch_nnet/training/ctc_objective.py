"""CTC as the objective of a training: the loss of whole utterances, the errors of the best path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..frames.ctc_store import CtcStore
from ..io.errors import RecipeError
from ..models.sequence import SequenceNetwork, outputs
from . import ctc
from .feeds import Feed, TranscriptFeed
from .options import TrainOptions
from .processes import Processes

PRIOR_FRAMES = 1_000_000  # of the training set that the posteriors of a CTC network are averaged over


class CtcObjective:
    """CTC's loss of whole utterances, the errors of the best path.

    The loss of a batch is divided by its outputs: nats an output, as cross-entropy is nats a frame, so that rates and the limit of an exploded
    loss mean the same; guessing costs at most log(classes).
    """

    whole = True

    def __init__(self, options: TrainOptions, train: CtcStore, dev: CtcStore, network: nn.Module, folder: Path):
        if not isinstance(network, SequenceNetwork):
            raise RecipeError("CTC needs a network over utterances", id=options.arch, expected="such as --arch conv_bigru or recurrent",
                              found="one over windows")
        if options.soft_labels:
            raise RecipeError("CTC has no labels of frames to blend", id="soft_labels", expected="none", found=options.soft_labels)
        self.options, self.train, self.network = options, train, network
        self.chosen = ctc.fitting(train, network, folder / "too_short_train.txt")
        ctc.fitting(dev, network, folder / "too_short_dev.txt")
        self.identity: dict[str, str] = {}
        self.facts = {"subsampling": network.subsampling, "units": train.units.facts()}

    def feed(self, processes: Processes, device: torch.device) -> Feed:
        return TranscriptFeed(self.train, self.options, processes, device, self.network, self.chosen)

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        lengths = outputs(piece.frames, self.network.subsampling)
        log_probs = torch.log_softmax(logits, 2)
        if self.options.deterministic:  # on a GPU torch's sums of this loss come in any order
            log_probs = log_probs.cpu()
        losses = ctc.ctc_loss(log_probs, lengths, piece.labels.to(log_probs.device), piece.label_lengths)
        return losses.sum() / lengths.sum()

    def measure(self, logits: Tensor, labels: Tensor, frames: Tensor) -> tuple[float, int, int, int]:
        return ctc.measure(torch.log_softmax(logits, 1), labels)

    def counts(self) -> np.ndarray:
        """Expected outputs of each class, as no label says which output is a blank."""
        device = next(self.network.parameters()).device
        return ctc.expected_counts(self.network.eval(), self.train, PRIOR_FRAMES, device)

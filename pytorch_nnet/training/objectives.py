"""What a training minimises, and what it is measured by on the dev store: cross-entropy against labels of frames, or CTC."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..frames.ctc_store import CtcStore
from ..frames.softlabels import SoftLabelStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..models.sequence import SequenceNetwork, outputs
from . import ctc
from .feeds import Feed, TranscriptFeed, open_feed
from .losses import blended_loss
from .options import TrainOptions
from .processes import Processes

PRIOR_FRAMES = 1_000_000  # of the training set that the posteriors of a CTC network are averaged over


class Objective(Protocol):
    """facts: what info.json says of it."""

    facts: dict[str, Any]

    def feed(self, processes: Processes, device: torch.device) -> Feed: ...

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        """Nats an output, mean over the piece; logits as of `Feed.logits`."""
        ...

    def measure(self, logits: Tensor, labels: Tensor) -> tuple[float, int, int, int]:
        """Sums over what these logits (N, K) are of: loss, outputs that it is of, errors, labels that they are of."""
        ...

    def counts(self) -> np.ndarray:
        """(K,): what the priors of the trained network are made of."""
        ...


class FrameObjective:
    """Cross-entropy of frames against hard labels, soft labels or both."""

    def __init__(self, options: TrainOptions, train: FrameStore, soft: SoftLabelStore | None, network: nn.Module):
        self.options, self.train, self.soft, self.network = options, train, soft, network
        self.facts: dict[str, Any] = {}

    def feed(self, processes: Processes, device: torch.device) -> Feed:
        return open_feed(self.train, self.options, processes, device, self.network)

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        options = self.options
        soft = self.soft.gather(piece.frames.cpu().numpy(), options.top_c) if self.soft else None
        return blended_loss(logits, piece.labels.to(logits.device), soft, options.soft_weight, options.renormalize)

    def measure(self, logits: Tensor, labels: Tensor) -> tuple[float, int, int, int]:
        loss = float(cross_entropy(logits, labels, reduction="sum"))
        return loss, len(labels), int((logits.argmax(1) != labels).sum()), len(labels)

    def counts(self) -> np.ndarray:
        return self.train.label_counts()


class CtcObjective:
    """CTC's loss of whole utterances, the errors of the best path.

    The loss of a batch is divided by its outputs: nats an output, as cross-entropy is nats a frame, so that rates and the limit of an exploded
    loss mean the same; guessing costs at most log(classes).
    """

    def __init__(self, options: TrainOptions, train: CtcStore, dev: CtcStore, network: nn.Module, folder: Path):
        if not isinstance(network, SequenceNetwork):
            raise RecipeError("CTC needs a network over utterances", id=options.arch, expected="such as --arch conv_bigru or recurrent",
                              found="one over windows")
        if options.soft_labels:
            raise RecipeError("CTC has no labels of frames to blend", id="soft_labels", expected="none", found=options.soft_labels)
        self.options, self.train, self.network = options, train, network
        self.chosen = ctc.fitting(train, network, folder / "too_short_train.txt")
        ctc.fitting(dev, network, folder / "too_short_dev.txt")
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

    def measure(self, logits: Tensor, labels: Tensor) -> tuple[float, int, int, int]:
        return ctc.measure(torch.log_softmax(logits, 1), labels)

    def counts(self) -> np.ndarray:
        """Expected outputs of each class, as no label says which output is a blank."""
        device = next(self.network.parameters()).device
        return ctc.expected_counts(self.network.eval(), self.train, PRIOR_FRAMES, device)


def open_objective(options: TrainOptions, train: FrameStore | CtcStore, dev: FrameStore | CtcStore, soft: SoftLabelStore | None,
                   network: nn.Module, folder: Path) -> Objective:
    """Raises RecipeError unless the stores hold what the objective learns from."""
    wanted = CtcStore if options.objective == "ctc" else FrameStore
    for store in (train, dev):
        if not isinstance(store, wanted):
            raise RecipeError(f"--objective {options.objective} learns from another kind of store", file=store.path, expected=wanted.FORMAT,
                              found=store.FORMAT, next="steps/make_ctc_store for ctc, steps/make_frame_store for frames")
    if isinstance(train, CtcStore) and isinstance(dev, CtcStore):
        return CtcObjective(options, train, dev, network, folder)
    assert isinstance(train, FrameStore), "checked above"
    return FrameObjective(options, train, soft, network)

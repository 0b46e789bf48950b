"""Cross-entropy of frames: labels and, with a teacher, its soft labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..frames.softlabels import SoftLabelStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from .feeds import Feed, open_feed
from .losses import blended_loss
from .options import TrainOptions
from .processes import Processes


class FrameObjective:
    """Hard labels, soft labels or both (losses.py); on dev the labels alone. Raises RecipeError for soft labels of another store, or too few."""

    whole = False

    def __init__(self, options: TrainOptions, train: FrameStore, network: nn.Module):
        self.options, self.train, self.network = options, train, network
        self.soft = SoftLabelStore.open(options.soft_labels) if options.soft_labels else None
        if self.soft:
            self.soft.check_matches(train)
            if options.top_c > self.soft.max_classes:
                raise RecipeError("more soft labels wanted than were kept", file=self.soft.path, id="top_c",
                                  expected=f"at most {self.soft.max_classes}", found=options.top_c)
        self.facts: dict[str, Any] = {}
        self.identity = {"soft_labels": self.soft.identity if self.soft else ""}

    def feed(self, processes: Processes, device: torch.device) -> Feed:
        return open_feed(self.train, self.options, processes, device, self.network, self.whole)

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        options = self.options
        soft = self.soft.gather(piece.frames.cpu().numpy(), options.top_c) if self.soft else None
        return blended_loss(logits, piece.labels.to(logits.device), soft, options.soft_weight, options.renormalize)

    def measure(self, logits: Tensor, labels: Tensor, frames: Tensor) -> tuple[float, int, int, int]:
        loss = float(cross_entropy(logits, labels, reduction="sum"))
        return loss, len(labels), int((logits.argmax(1) != labels).sum()), len(labels)

    def counts(self) -> np.ndarray:
        return self.train.label_counts()

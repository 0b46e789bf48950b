"""What a training minimises, and what it is measured by on the dev store. The trainer sees one interface.

    frames      cross-entropy of labels, blended with soft labels (frame_objective.py)
    mmi, smbr   criteria over the paths of lattices, smoothed with the former (path_objective.py)
    ctc         sequences of units, wherever they stand (ctc_objective.py)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..frames.ctc_store import CtcStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from .ctc_objective import CtcObjective
from .feeds import Feed
from .frame_objective import FrameObjective
from .options import SEQUENCE, TrainOptions
from .path_objective import PathObjective
from .processes import Processes


class Objective(Protocol):
    """facts: what info.json says of it. identity: what it reads beside the stores, by its option, and a hash of it. whole: whether frames
    must come as whole utterances."""

    facts: dict[str, Any]
    identity: dict[str, str]
    whole: bool

    def feed(self, processes: Processes, device: torch.device) -> Feed: ...

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        """Mean over the piece's frames, or outputs; logits as of `Feed.logits`."""
        ...

    def measure(self, logits: Tensor, labels: Tensor, frames: Tensor) -> tuple[float, int, int, int]:
        """Sums over what these logits (N, K) of the dev store are of: loss, outputs that it is of, errors, labels that they are of.

        frames: positions in the store, of the outputs or, where there are fewer of these, of the utterance.
        """
        ...

    def counts(self) -> np.ndarray:
        """(K,): what the priors of the trained network are made of."""
        ...


def open_objective(options: TrainOptions, train: FrameStore | CtcStore, dev: FrameStore | CtcStore, network: nn.Module, folder: Path) -> Objective:
    """Raises RecipeError unless the stores hold what the objective learns from, and soft labels or lattices are theirs."""
    wanted = CtcStore if options.objective == "ctc" else FrameStore
    for store in (train, dev):
        if not isinstance(store, wanted):
            raise RecipeError(f"--objective {options.objective} learns from another kind of store", file=store.path, expected=wanted.FORMAT,
                              found=store.FORMAT, next="steps/make_ctc_store for ctc, steps/make_frame_store for any other")
    if isinstance(train, CtcStore) and isinstance(dev, CtcStore):
        return CtcObjective(options, train, dev, network, folder)
    assert isinstance(train, FrameStore) and isinstance(dev, FrameStore), "checked above"
    return (PathObjective(options, train, dev, network) if options.objective in SEQUENCE else FrameObjective(options, train, network))

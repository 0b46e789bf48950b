"""What a training minimises: the frames' cross-entropy, or a criterion of whole utterances. The trainer sees one interface.

    frames      blended cross-entropy of labels and soft labels (losses.py)
    mmi, smbr   criteria over the paths of lattices (forward_backward.py), smoothed with the former (F-smoothing: Su et al. 2013):
                (1 - h) criterion + h cross-entropy
"""

from __future__ import annotations

import sys
from typing import Callable, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..frames.lattices import FrameLattice, LatticeStore
from ..frames.softlabels import SoftLabelStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..models.model_dir import priors
from .forward_backward import mmi, smbr
from .losses import blended_loss
from .options import SEQUENCE, TrainOptions

Measure = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Objective(Protocol):
    """loss: mean over a piece's N frames; logits (N, K), labels (N,), frames (N,) positions in the training store. dev_loss: the sum over frames
    of the dev store. whole: frames must come as whole utterances. identity: what it reads, by its option, and a hash of it."""

    whole: bool
    identity: dict[str, str]

    def loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> Tensor: ...

    def dev_loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> float: ...


class FrameObjective:
    """Labels and, with a teacher, its soft labels; on dev the labels alone."""

    whole = False

    def __init__(self, options: TrainOptions, train: FrameStore):
        self.options = options
        self.soft = SoftLabelStore.open(options.soft_labels) if options.soft_labels else None
        if self.soft:
            self.soft.check_matches(train)
            if options.top_c > self.soft.max_classes:
                raise RecipeError("more soft labels wanted than were kept", file=self.soft.path, id="top_c",
                                  expected=f"at most {self.soft.max_classes}", found=options.top_c)
        self.identity = {"soft_labels": self.soft.identity if self.soft else ""}

    def loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> Tensor:
        options = self.options
        soft = self.soft.gather(frames.cpu().numpy(), options.top_c) if self.soft else None
        return blended_loss(logits, labels, soft, options.soft_weight, options.renormalize)

    def dev_loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> float:
        return float(cross_entropy(logits, labels, reduction="sum"))


class PathLoss(torch.autograd.Function):
    """A criterion computed in NumPy, on the CPU and in float64, with its derivative. Args of `apply`: logits (N, K); the criterion."""

    @staticmethod
    def forward(ctx, logits: Tensor, measure: Measure) -> Tensor:
        value, gradient = measure(logits.detach().cpu().double().numpy())
        ctx.save_for_backward(torch.from_numpy(gradient).to(logits))
        return logits.new_tensor(value)

    @staticmethod
    def backward(ctx, grad: Tensor):
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None


class PathObjective:
    """MMI or sMBR, over lattices of both stores made alike, smoothed with the frames' own objective."""

    whole = True

    def __init__(self, options: TrainOptions, train: FrameStore, dev: FrameStore):
        self.options, self.smooth = options, FrameObjective(options, train)
        self.train, self.dev = ((store, LatticeStore.open(path)) for store, path in ((train, options.denlats), (dev, options.dev_denlats)))
        for store, lattices in (self.train, self.dev):
            lattices.check_matches(store)
            print(lattices.summary(), file=sys.stderr, flush=True)
        one, other = self.train[1], self.dev[1]
        for what in ("acwt", "prior_scale", "silence_pdfs"):
            if getattr(one, what) != getattr(other, what):
                raise RecipeError(f"lattices of the training and of the dev store differ in {what}", file=other.path, expected=getattr(one, what),
                                  found=getattr(other, what), next="make both with the same options (steps/make_denlats)")
        self.scale, self.offset = one.acwt, one.prior_scale * np.log(priors(train.label_counts()))
        self.silence = np.isin(np.arange(train.num_classes), one.silence_pdfs)
        self.identity = {**self.smooth.identity, "denlats": one.identity, "dev_denlats": other.identity}

    def loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> Tensor:
        loss = self.along_paths(self.train, logits, labels, frames) / len(labels)
        if not self.options.frame_smoothing:
            return loss
        return (1 - self.options.frame_smoothing) * loss + self.options.frame_smoothing * self.smooth.loss(logits, labels, frames)

    def dev_loss(self, logits: Tensor, labels: Tensor, frames: Tensor) -> float:
        loss = float(self.along_paths(self.dev, logits, labels, frames))
        return (1 - self.options.frame_smoothing) * loss + self.options.frame_smoothing * self.smooth.dev_loss(logits, labels, frames)

    def along_paths(self, place: tuple[FrameStore, LatticeStore], logits: Tensor, labels: Tensor, frames: Tensor) -> Tensor:
        """The criterion's negative, summed over whole utterances; 0 where there is no lattice."""
        store, lattices = place
        labels_, frames_ = labels.cpu().numpy(), frames.cpu().numpy()

        def measure(logits: np.ndarray) -> tuple[float, np.ndarray]:
            # What normalises a frame's posteriors is common to all paths, so logits will do for their logarithms.
            total, gradient, begin = 0.0, np.zeros_like(logits), 0
            while begin < len(frames_):
                index = int(np.searchsorted(store.offsets, frames_[begin], "right")) - 1
                whole = store.utt_slice(index)
                part = slice(begin, begin + whole.stop - whole.start)
                lattice = lattices.lattice(whole)
                if lattice is not None:
                    value, gradient[part] = self.criterion(lattice, logits[part] - self.offset, labels_[part])
                    total += value
                begin = part.stop
            return -total, -gradient

        return PathLoss.apply(logits, measure)

    def criterion(self, lattice: FrameLattice, loglikes: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        reference = lattice.pdf == labels[lattice.frame] if self.options.exact_times else lattice.reference
        if self.options.objective == "mmi":
            return mmi(lattice, loglikes, reference, self.scale, self.options.drop_frames)
        return smbr(lattice, loglikes, reference, self.scale, self.silence, self.options.one_silence_class)


def open_objective(options: TrainOptions, train: FrameStore, dev: FrameStore) -> Objective:
    """Raises RecipeError for soft labels or lattices of other stores."""
    return PathObjective(options, train, dev) if options.objective in SEQUENCE else FrameObjective(options, train)

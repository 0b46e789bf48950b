"""Criteria over the paths of lattices (forward_backward.py), smoothed with the frames' cross-entropy (F-smoothing: Su et al. 2013):
(1 - h) criterion + h cross-entropy."""

from __future__ import annotations

import sys
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..frames.lattices import FrameLattice, LatticeStore
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..models.network import priors
from .forward_backward import mmi, smbr
from .frame_objective import FrameObjective
from .options import TrainOptions

Measure = Callable[[np.ndarray], tuple[float, np.ndarray]]


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


class PathObjective(FrameObjective):
    """MMI or sMBR, over lattices of both stores made alike, smoothed with the frames' own objective."""

    whole = True

    def __init__(self, options: TrainOptions, train: FrameStore, dev: FrameStore, network: nn.Module):
        super().__init__(options, train, network)
        self.train_paths, self.dev_paths = ((store, LatticeStore.open(path)) for store, path in ((train, options.denlats), (dev, options.dev_denlats)))
        for store, lattices in (self.train_paths, self.dev_paths):
            lattices.check_matches(store)
            print(lattices.summary(), file=sys.stderr, flush=True)
        one, other = self.train_paths[1], self.dev_paths[1]
        for what in ("acwt", "prior_scale", "silence_pdfs"):
            if getattr(one, what) != getattr(other, what):
                raise RecipeError(f"lattices of the training and of the dev store differ in {what}", file=other.path, expected=getattr(one, what),
                                  found=getattr(other, what), next="make both with the same options (steps/make_denlats)")
        self.scale, self.offset = one.acwt, one.prior_scale * np.log(priors(train.label_counts()))
        self.silence = np.isin(np.arange(train.num_classes), one.silence_pdfs)
        self.identity = {**self.identity, "denlats": one.identity, "dev_denlats": other.identity}

    def loss(self, logits: Tensor, piece: Any) -> Tensor:
        loss = self.along_paths(self.train_paths, logits, piece.labels, piece.frames) / len(piece.labels)
        return self.smoothed(loss, lambda: super(PathObjective, self).loss(logits, piece))

    def measure(self, logits: Tensor, labels: Tensor, frames: Tensor) -> tuple[float, int, int, int]:
        cross_entropy, *rest = super().measure(logits, labels, frames)
        return self.smoothed(float(self.along_paths(self.dev_paths, logits, labels, frames)), lambda: cross_entropy), *rest

    def smoothed(self, loss, of_frames: Callable[[], Any]):
        share = self.options.frame_smoothing
        return (1 - share) * loss + share * of_frames() if share else loss

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

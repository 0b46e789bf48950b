"""A trained network, evaluated on utterances: posteriors of every frame, whatever it sees of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..frames.store import CONTEXT, WINDOW
from ..io.errors import RecipeError
from ..lang.units import Units
from .facts import units_in
from .sequence import SequenceNetwork

BATCH = 512  # windows evaluated at once: large enough for full speed, small enough for the cache


class Network:
    """A trained network.

    priors: (K,) float64, sums to 1. num_classes: K. config: the training's options. label_map: what its classes mean.
    cmvn: how to normalise the features given to it. parameters, display: for tables. sha256: of its weights.
    subsampling: frames to an output. units: of a CTC network, what its classes are; None: they are pdfs.
    """

    def __init__(self, folder, module: nn.Module, counts: np.ndarray, config: dict[str, Any], info: dict[str, Any],
                 sha256: str, device: str = "cpu"):
        self.device = usable_device(device)
        module = module.to(self.device)
        self.path, self.module, self.config, self.info, self.sha256 = Path(folder), module.eval(), config, info, sha256
        self.num_classes: int = info["num_classes"]
        self.dim: int = info["dim"]
        self.parameters: int = info["parameters"]
        self.display: str = info["display"]
        self.cmvn: dict[str, bool] = info["cmvn"]
        self.label_map: str = info["label_map"]
        self.extractor: dict[str, Any] = info.get("extractor", {})
        self.subsampling: int = subsampling(module)
        self.units: Units | None = units_in(info, self.path / "info.json")
        self.priors = priors(counts)

    @property
    def members(self) -> list[tuple["Network", float]]:
        """Itself, as an ensemble of one."""
        return [(self, 1.0)]

    def mix(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """What an ensemble of one makes of its members' posteriors."""
        return posteriors[0]

    @torch.inference_mode()
    def posteriors(self, features: np.ndarray) -> np.ndarray:
        """Normalised features (T, dim) -> (outputs(T, subsampling), num_classes) float32 class probabilities, of every frame unless it
        subsamples.

        Every frame sees what it saw in training: a window of 41 rows, with zeros beyond the utterance, or the utterance.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.dim or not len(features):
            raise RecipeError("features of the wrong shape", file=self.path, expected=f"(frames, {self.dim})",
                              found=features.shape)
        rows = torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(self.device)
        padded = pad(rows, (0, 0, CONTEXT, CONTEXT))
        return torch.softmax(window_logits(self.module, padded), 1).cpu().numpy()


def usable_device(name: str) -> torch.device:
    """Raises RecipeError if torch cannot compute there."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise RecipeError("bad value for an option", id="device", expected="cpu, cuda or cuda:<number>", found=name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RecipeError("no GPU that torch can use", id="device", expected="cuda", found="none",
                          next="--device cpu; at the paper's sizes that takes weeks, --preset mini minutes")
    return torch.device(name)


def window_logits(module: nn.Module, padded: Tensor, batch: int = BATCH) -> Tensor:
    """Padded utterance (T + 40, dim) float32 -> logits (T, K) of all its windows, `batch` of them at a time; of a network over utterances
    that subsamples so many fewer.

    A network whose windows share work has `utterance_logits`, which gives the same in less time. One over utterances sees no padding.
    """
    frames, dim = len(padded) - 2 * CONTEXT, padded.shape[1]
    if isinstance(module, SequenceNetwork):
        return module.utterance_logits(padded[CONTEXT:-CONTEXT])
    shared: Callable[[Tensor], Tensor] | None = getattr(module, "utterance_logits", None)
    if shared is not None:
        return torch.cat([shared(padded[start:start + batch + 2 * CONTEXT]) for start in range(0, frames, batch)])
    windows = padded.as_strided((frames, WINDOW, dim), (dim, dim, 1))
    return torch.cat([module(part) for part in windows.split(batch)])


def priors(counts: np.ndarray) -> np.ndarray:
    """Class priors from label counts. A class never seen counts once, so that dividing by its prior stays finite."""
    counts = np.maximum(counts, 1).astype(np.float64)
    return counts / counts.sum()


def subsampling(module: nn.Module) -> int:
    """Frames to an output."""
    return module.subsampling if isinstance(module, SequenceNetwork) else 1

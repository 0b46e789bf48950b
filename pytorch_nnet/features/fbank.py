"""Mel filterbank with a root in place of the logarithm: the network's input (31 channels, 10th root).

The root keeps silence near zero where a logarithm would spread its noise over a wide range. Lhotse's extractor over
this function is in `extractors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..io.options import option
from .frontend import FrontendConfig, mel_energies


@dataclass(frozen=True)
class FbankConfig(FrontendConfig):
    """Options of steps/make_fbank that decide the features."""

    feature_type: ClassVar[str] = "root-fbank"  # the extractor's name in Lhotse
    num_mel_bins: int = option(31, "triangular mel filters")
    root: float = option(10.0, "each channel is energy ** (1 / root)")

    @property
    def dim(self) -> int:
        return self.num_mel_bins


def fbank(samples: np.ndarray, config: FbankConfig) -> np.ndarray:
    """Root-compressed mel energies: samples (N,) on the 16-bit scale -> (T, num_mel_bins) float32, not negative."""
    return mel_energies(samples, config) ** np.float32(1.0 / config.root)

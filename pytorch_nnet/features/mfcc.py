"""Mel-frequency cepstra for the GMMs (Kaldi: feat/feature-mfcc.cc, with --use-energy=false as in egs/swbd/s5c/conf)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from ..io.errors import RecipeError
from ..io.options import option
from .frontend import FrontendConfig, mel_energies

# Kaldi floors mel energies at the float32 epsilon before the logarithm.
FLOOR = np.finfo(np.float32).eps


@dataclass(frozen=True)
class MfccConfig(FrontendConfig):
    """Options of steps/make_mfcc that decide the features."""

    feature_type: ClassVar[str] = "kaldi-compatible-mfcc"  # the extractor's name in Lhotse
    num_ceps: int = option(13, "cepstral coefficients, C0 included")
    cepstral_lifter: float = option(22.0, "Q of the liftering 1 + Q/2 sin(pi k / Q); 0 for none")

    @property
    def dim(self) -> int:
        return self.num_ceps


@lru_cache(maxsize=8)
def cepstral_transform(config: MfccConfig) -> np.ndarray:
    """Orthonormal DCT-II with the lifter folded in: (num_mel_bins, num_ceps) float32."""
    bins = config.num_mel_bins
    if config.num_ceps > bins:
        raise RecipeError("more cepstral coefficients than mel filters", id="num_ceps", expected=f"at most num_mel_bins, {bins}", found=config.num_ceps,
                          next="a smaller --num-ceps, or a larger --num-mel-bins")
    order = np.arange(config.num_ceps)
    matrix = np.sqrt(2.0 / bins) * np.cos(np.pi / bins * (np.arange(bins)[:, None] + 0.5) * order)
    matrix[:, 0] = np.sqrt(1.0 / bins)
    if config.cepstral_lifter:
        matrix *= 1.0 + 0.5 * config.cepstral_lifter * np.sin(np.pi * order / config.cepstral_lifter)
    return matrix.astype(np.float32)


def mfcc(samples: np.ndarray, config: MfccConfig) -> np.ndarray:
    """Cepstra: samples (N,) on the 16-bit scale -> (T, num_ceps) float32."""
    return np.log(np.maximum(mel_energies(samples, config), FLOOR)) @ cepstral_transform(config)

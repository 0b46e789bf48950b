"""Our features as Lhotse extractors. Importing this module registers them, and the archive storage with them.

Lhotse hands samples over in [-1, 1]; the extractors scale them to 16-bit, as Kaldi does, so archives hold the numbers
that Kaldi's own programs would give. Use snip_edges=false inside Lhotse's own storing pipeline: it insists on
`round(duration / shift)` frames. The recipe stores through `features.compute`, which gives each cut the duration of its
frames instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lhotse.features.base import FeatureExtractor, register_extractor

from ..io.errors import RecipeError
from . import storage  # noqa: F401  (registers the reader and the writer)
from .fbank import FbankConfig, fbank
from .frontend import INT16_SCALE
from .mfcc import MfccConfig, mfcc


class _Extractor(FeatureExtractor):
    """What both share; subclasses name the configuration and the function."""

    @staticmethod
    def function(samples: np.ndarray, config: Any) -> np.ndarray:
        raise NotImplementedError

    @property
    def frame_shift(self) -> float:
        return self.config.frame_shift / 1000

    def feature_dim(self, sampling_rate: int) -> int:
        return self.config.dim

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        """Samples (N,) or (1, N) in [-1, 1] -> features (T, D) float32."""
        if sampling_rate != self.config.sampling_rate:
            raise RecipeError("audio with another sampling rate than the features are made for",
                              expected=f"{self.config.sampling_rate} Hz", found=f"{sampling_rate} Hz",
                              next="set sampling_rate in the config, or resample the audio")
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim == 2 and len(samples) != 1:
            raise RecipeError("features are of one channel", expected="(N,) or (1, N) samples", found=samples.shape)
        return type(self).function(samples.reshape(-1) * np.float32(INT16_SCALE), self.config)


@register_extractor
class RootFbank(_Extractor):
    """31-channel mel filterbank with the 10th root."""

    name = FbankConfig.feature_type
    config_type = FbankConfig
    function = staticmethod(fbank)


@register_extractor
class KaldiMfcc(_Extractor):
    """13 cepstra as Kaldi computes them with --use-energy=false --dither=0."""

    name = MfccConfig.feature_type
    config_type = MfccConfig
    function = staticmethod(mfcc)

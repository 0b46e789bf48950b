"""Framing, power spectrum and mel filterbank, shared by the filterbank and the MFCC extractors.

The signal chain and its defaults are Kaldi's (feat/feature-window.cc, feat/mel-computations.cc), without dither, so the
same audio always gives the same features. Samples are on the 16-bit scale: full scale is +-32768.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Callable

import numpy as np

from ..io.errors import RecipeError
from ..io.options import build, option

INT16_SCALE = 32768.0
# Frames transformed at a time: their buffers stay in a core's cache.
BLOCK = 512
WINDOWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "povey": lambda cosine: (0.5 - 0.5 * cosine) ** 0.85,  # like Hanning, but it goes to zero more steeply
    "hanning": lambda cosine: 0.5 - 0.5 * cosine,
    "hamming": lambda cosine: 0.54 - 0.46 * cosine,
    "rectangular": np.ones_like,
}


@dataclass(frozen=True)
class FrontendConfig:
    """Framing and mel options, named as in Kaldi; times in milliseconds, frequencies in Hz."""

    sampling_rate: int = option(8000, "samples per second the audio must have")
    frame_length: float = option(25.0, "window length, ms")
    frame_shift: float = option(10.0, "window shift, ms")
    preemphasis_coefficient: float = option(0.97, "x[t] - c x[t-1] before windowing")
    window_type: str = option("povey", "povey, hanning, hamming or rectangular")
    snip_edges: bool = option(True, "only frames that lie wholly inside the signal; false mirrors it at both ends")
    num_mel_bins: int = option(23, "triangular mel filters")
    low_freq: float = option(20.0, "lower edge of the first filter")
    high_freq: float = option(0.0, "upper edge of the last filter; zero or less counts from half the sampling rate")

    @property
    def window(self) -> int:
        """Samples in a window."""
        return int(self.sampling_rate * self.frame_length / 1000)

    @property
    def shift(self) -> int:
        """Samples between windows."""
        return int(self.sampling_rate * self.frame_shift / 1000)

    @property
    def fft_size(self) -> int:
        return 1 << (self.window - 1).bit_length()

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict):
        return build(cls, values)


def num_frames(samples: int, config: FrontendConfig) -> int:
    """Frames of a signal of `samples` samples (Kaldi: NumFrames in feat/feature-window.cc)."""
    if config.snip_edges:
        return 0 if samples < config.window else 1 + (samples - config.window) // config.shift
    return (samples + config.shift // 2) // config.shift


def frames(samples: np.ndarray, config: FrontendConfig) -> np.ndarray:
    """Cuts a signal (N,) into overlapping windows: (T, window), a view wherever no mirroring is needed."""
    count = num_frames(len(samples), config)
    if not config.snip_edges and count:
        # The first window is centred on the middle of the first shift; what lies outside is mirrored at the edge.
        first = config.shift // 2 - config.window // 2
        index = np.arange(first, first + (count - 1) * config.shift + config.window)
        period = 2 * len(samples)
        index %= period
        samples = samples[np.where(index < len(samples), index, period - 1 - index)]
    if count == 0:
        return np.zeros((0, config.window), dtype=samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, config.window)[::config.shift][:count]


@lru_cache(maxsize=8)
def window_function(config: FrontendConfig) -> np.ndarray:
    """The window's weights, (window,) float32."""
    if config.window_type not in WINDOWS:
        raise RecipeError("unknown window type", id=config.window_type, expected="one of " + ", ".join(WINDOWS))
    cosine = np.cos(2 * np.pi * np.arange(config.window) / (config.window - 1))
    return WINDOWS[config.window_type](cosine).astype(np.float32)


def mel(hertz):
    """Hz to mel: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log(1.0 + np.asarray(hertz, dtype=np.float64) / 700.0)


@lru_cache(maxsize=8)
def mel_weights(config: FrontendConfig) -> np.ndarray:
    """Triangular filters, equally wide in mel: (fft_size / 2, num_mel_bins) float32.

    The bin at half the sampling rate belongs to no filter, as in Kaldi (feat/mel-computations.cc).
    Raises:
      RecipeError: the band is empty or outside the spectrum, or some filter is narrower than the spectrum's resolution.
    """
    nyquist = config.sampling_rate / 2
    high = config.high_freq if config.high_freq > 0 else nyquist + config.high_freq
    if not 0 <= config.low_freq < high <= nyquist:
        raise RecipeError("bad frequency band", id="low_freq, high_freq", expected=f"0 <= low < high <= {nyquist:g} Hz",
                          found=f"{config.low_freq:g} to {high:g} Hz")
    edges = np.linspace(mel(config.low_freq), mel(high), config.num_mel_bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.arange(config.fft_size // 2) * config.sampling_rate / config.fft_size)[:, None]
    weights = np.maximum(np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)), 0.0)
    empty = np.flatnonzero(weights.sum(axis=0) == 0)
    if len(empty):
        raise RecipeError("a mel filter covers no bin of the spectrum", id=f"filter {empty[0] + 1}",
                          expected=f"fewer than {config.num_mel_bins} mel bins or a longer window",
                          found=f"{config.num_mel_bins} mel bins over {config.fft_size // 2} bins")
    return weights.astype(np.float32)


def mel_energies(samples: np.ndarray, config: FrontendConfig) -> np.ndarray:
    """Power in each mel filter for each frame.

    Each frame loses its mean, is pre-emphasised, windowed and padded with zeros to a power of two.
    Args:
      samples: (N,) on the 16-bit scale.
    Returns:
      (T, num_mel_bins) float32, not negative.
    """
    weights, window = mel_weights(config), window_function(config)
    windows = frames(np.asarray(samples, dtype=np.float32), config)
    energies = np.empty((len(windows), config.num_mel_bins), dtype=np.float32)
    padded = np.zeros((min(BLOCK, len(windows)), config.fft_size), dtype=np.float32)
    for start in range(0, len(windows), BLOCK):
        block = windows[start:start + BLOCK]
        block = block - block.mean(axis=1, keepdims=True)
        ready = padded[:len(block), :config.window]
        # Kaldi takes the sample before the window to equal the first one.
        np.multiply(block[:, :1], 1.0 - config.preemphasis_coefficient, out=ready[:, :1])
        np.multiply(block[:, :-1], -config.preemphasis_coefficient, out=ready[:, 1:])
        ready[:, 1:] += block[:, 1:]
        ready *= window
        spectrum = np.fft.rfft(padded[:len(block)], axis=1)[:, :-1]
        power = spectrum.real ** 2 + spectrum.imag ** 2
        np.matmul(power, weights, out=energies[start:start + len(block)])
    return energies

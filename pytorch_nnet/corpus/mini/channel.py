"""The telephone: resampling to 8 kHz, band limits, line noise, and sounds that are no words."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

RATE = 8000
SOUND_LEVEL = 0.15  # root mean square of laughs and noises; that of espeak's speech is about the same
ACTIVE = 0.003  # amplitude above which a sample counts as speech when its level is measured


@dataclass(frozen=True)
class Line:
    """One end of a telephone line."""

    low: float  # Hz
    high: float  # Hz
    tilt: float  # coefficient of the first-order filter y[t] = x[t] + tilt x[t-1]
    snr: float  # dB, speech to noise while somebody speaks
    level: float  # dB, root mean square of the speech relative to full scale
    colour: float  # pole of the noise: 0 is white, near 1 is low

    def carry(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Passes a whole side of a conversation, (n,) at 8 kHz, through the line; the noise never stops."""
        from scipy.signal import butter, lfilter, sosfilt

        band = butter(3, [self.low, self.high], "bandpass", fs=RATE, output="sos")
        speech = lfilter([1.0, self.tilt], [1.0], sosfilt(band, clean))
        active = speech[np.abs(speech) > ACTIVE]
        noise = sosfilt(band, lfilter([1.0], [1.0, -self.colour], rng.standard_normal(len(clean))))
        speech = speech / np.sqrt(np.mean(active**2)) + noise / noise.std() * 10 ** (-self.snr / 20)
        return np.clip(speech * 10 ** (self.level / 20), -0.99, 0.99).astype(np.float32)


def to_telephone_rate(samples: np.ndarray, rate: int, warp: float) -> tuple[np.ndarray, float]:
    """Resamples to 8 kHz as if recorded at rate*warp; returns the samples and the factor by which times shrink."""
    from scipy.signal import resample_poly

    # A denominator that is a multiple of 50 keeps the polyphase filter short; warp moves by 0.2 %.
    source = round(rate * warp / 50) * 50
    common = gcd(RATE, source)
    return resample_poly(samples, RATE // common, source // common).astype(np.float32), rate / source


def noise_burst(rng: np.random.Generator) -> np.ndarray:
    """A knock, a rustle or a beep at 8 kHz, a quarter to half a second."""
    from scipy.signal import butter, sosfilt

    count = int(rng.uniform(0.25, 0.5) * RATE)
    time = np.arange(count) / RATE
    kind = rng.integers(3)
    if kind == 2:
        sound = np.sin(2 * np.pi * rng.uniform(500, 1600) * time) * np.hanning(count) ** 0.25
    else:
        centre = rng.uniform(500, 2200)
        band = butter(2, [centre * 0.7, centre * 1.4], "bandpass", fs=RATE, output="sos")
        fade = np.exp(-time * 14) if kind == 0 else np.hanning(count)
        sound = sosfilt(band, rng.standard_normal(count)) * fade
    return to_level(sound)


def laughter(rng: np.random.Generator) -> np.ndarray:
    """Three to six breathy pulses of a voice, four to five a second, at 8 kHz."""
    from scipy.signal import butter, sosfilt

    beat = rng.uniform(0.18, 0.26)
    count = int(rng.integers(3, 7) * beat * RATE)
    time = np.arange(count) / RATE
    pitch = rng.uniform(160, 360) * (1 - 0.15 * time / time[-1])
    voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE)) + 0.8 * rng.standard_normal(count)
    band = butter(2, [rng.uniform(450, 650), rng.uniform(1300, 2000)], "bandpass", fs=RATE, output="sos")
    pulses = np.clip(np.sin(2 * np.pi * time / beat), 0, None) ** 0.5 * np.linspace(1, 0.4, count)
    sound = sosfilt(band, voice) * pulses
    return to_level(sound)


def breath(rng: np.random.Generator) -> np.ndarray:
    """A cough or a loud breath (a vocalized noise) at 8 kHz."""
    from scipy.signal import butter, sosfilt

    count = int(rng.uniform(0.2, 0.45) * RATE)
    band = butter(1, [300, rng.uniform(1200, 2600)], "bandpass", fs=RATE, output="sos")
    sound = sosfilt(band, rng.standard_normal(count)) * np.hanning(count)
    return to_level(sound)


def to_level(sound: np.ndarray) -> np.ndarray:
    return np.clip(SOUND_LEVEL * sound / sound.std(), -1, 1).astype(np.float32)


SOUNDS = {"[noise]": noise_burst, "[laughter]": laughter, "[vocalized-noise]": breath}

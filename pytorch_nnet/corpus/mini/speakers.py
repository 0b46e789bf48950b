"""Speakers of the mini corpus: a voice, a way of talking and a telephone line, all drawn from one seed and one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .channel import Line

# Difficulty, at 49 minutes of training. Word error rates on dev of 800-Gaussian monophones and of 400-leaf, 4000-Gaussian triphones:
# 31.2 and 24.7 % at 0..12 dB, 25.2 and 20.3 % at 2..14 dB. At 5..12 dB monophones make 21 % and the best system 9 %; at 10..28 dB all
# systems were under 3 % and could not be told apart.
SNR_DB = (5.0, 12.0)
VOCAL_TRACT = {"M": (0.88, 1.05), "F": (1.03, 1.22)}  # formant frequencies relative to espeak's
FORMANT_JITTER = 0.04  # each formant's own deviation
WARP = (0.94, 1.06)  # resampling: pitch, formants and tempo together
PITCH_HZ = {"M": (75.0, 140.0), "F": (140.0, 230.0)}
WORDS_PER_MINUTE = (150, 230)
LOW_HZ, HIGH_HZ = (180.0, 400.0), (2900.0, 3700.0)  # edges of the telephone band
TILT = (-0.5, 0.5)  # coefficient of a first-order filter
LEVEL_DB = (-30.0, -18.0)  # speech level, relative to full scale
ACCENTS = ("en-us", "en-us", "en-us", "en-us", "en-us-nyc", "en-029", "en-gb-x-rp", "en-gb-scotland")


@dataclass(frozen=True)
class Speaker:
    """Attributes:
      variant, description: name and content of the espeak voice file. voice: accent+variant.
      rate: words a minute. pitch, pitch_range: espeak's 0 to 100. warp: resampling factor, above 1 is shorter and higher.
    """

    variant: str
    description: str
    gender: str  # "F" or "M"
    accent: str
    rate: int
    pitch: int
    pitch_range: int
    warp: float
    line: Line

    @property
    def voice(self) -> str:
        return f"{self.accent}+{self.variant}"


def draw_speaker(seed: int, number: int) -> Speaker:
    """The speaker with this number; numbers are never shared between conversation sides, so neither are speakers."""
    rng = np.random.default_rng([seed, 1, number])
    gender = "MF"[int(rng.integers(2))]
    variant = f"speaker{number}"
    line = Line(rng.uniform(*LOW_HZ), rng.uniform(*HIGH_HZ), rng.uniform(*TILT), rng.uniform(*SNR_DB),
                rng.uniform(*LEVEL_DB), rng.uniform(0.3, 0.95))
    return Speaker(variant, voice_file(variant, gender, rng), gender, ACCENTS[int(rng.integers(len(ACCENTS)))],
                   int(rng.integers(*WORDS_PER_MINUTE)), int(rng.integers(30, 70)), int(rng.integers(20, 90)),
                   rng.uniform(*WARP), line)


def voice_file(name: str, gender: str, rng: np.random.Generator) -> str:
    """An espeak variant file (espeak-ng docs/voices.md): pitch, roughness, formants 0 to 5, spectral tone, breath."""
    base = rng.uniform(*PITCH_HZ[gender])
    tract = rng.uniform(*VOCAL_TRACT[gender])
    lines = ["language variant", f"name {name}", f"gender {'male' if gender == 'M' else 'female'}",
             f"pitch {int(base)} {int(base * rng.uniform(1.3, 1.7))}", f"flutter {rng.integers(8)}",
             f"roughness {rng.integers(5)}", f"voicing {rng.integers(60, 120)}", "echo 0 0"]
    for formant in range(6):
        frequency = tract * rng.uniform(1 - FORMANT_JITTER, 1 + FORMANT_JITTER)
        lines.append(f"formant {formant} {int(100 * frequency)} {rng.integers(80, 115)} {rng.integers(85, 130)}")
    lines.append(f"tone 600 {rng.integers(150, 255)} 1200 {rng.integers(100, 255)} 2500 {rng.integers(60, 200)}")
    lines.append(f"consonants {rng.integers(80, 120)} {rng.integers(80, 120)}")
    if rng.random() < 0.3:
        lines.append(f"breath 0 {rng.integers(5, 20)} {rng.integers(5, 30)} 0 0")
    return "\n".join(lines) + "\n"

"""Small corpora for tests: two-sided telephone recordings in SPHERE files, as a Kaldi data directory."""

from pathlib import Path

import numpy as np
import soundfile

from pytorch_nnet.corpus.datadir import DataDir, Segment


def noise(seconds: float, rate: int = 8000, seed: int = 0) -> np.ndarray:
    """Coloured noise with a tone and an offset, in [-1, 1]: no band of it is empty."""
    generator = np.random.default_rng(seed)
    count = round(seconds * rate)
    samples = np.cumsum(generator.standard_normal(count)) * 0.01 + generator.standard_normal(count)
    samples += 2 * np.sin(2 * np.pi * (200 + 50 * seed) * np.arange(count) / rate) + 0.5
    return 0.5 * samples / np.abs(samples).max(initial=1)


def telephone(folder: Path, conversations: int = 2, seconds: float = 3.0, rate: int = 8000) -> DataDir:
    """Publishes a data directory of mu-law SPHERE files with different sides; three segments a side."""
    data = DataDir(folder / "data", {})
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for number in range(conversations):
        name = f"sw{2001 + number:05d}"
        path = folder / "audio" / f"{name}.sph"
        sides = np.stack([noise(seconds, rate, 2 * number + side) for side in (0, 1)], axis=1)
        soundfile.write(path, sides, rate, format="NIST", subtype="ULAW")
        for side in "AB":
            recording = f"{name}-{side}"
            data.wav[recording] = str(path)
            data.channel[recording] = (name, side)
            for start, end in ((0.1, 0.85), (0.9, 1.75), (2.0, seconds)):
                utt = f"{recording}_{round(start * 100):06d}-{round(end * 100):06d}"
                data.utt2spk[utt] = recording
                data.text[utt] = ["hello", name, side.lower()]
                data.segments[utt] = Segment(recording, start, end)
    return data.write()

"""Speed perturbation: more training speech by playing it slower and faster (Ko et al. 2015, "Audio augmentation for speech recognition").

Pitch changes with the speed, as with `sox speed`. Kaldi: utils/data/perturb_data_dir_speed_3way.sh, whose wav.scp calls sox for
it; here the factor of every recording is a table, reco2speed, and the samples change as features are computed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import numpy as np

from ..io.errors import RecipeError
from .datadir import DataDir, Segment
from .maintain import publish_data_dir


def samples_after(samples: int, factor: float) -> int:
    """Samples of a recording of `samples` once it is `factor` times as fast."""
    if factor == 1:
        return samples
    from lhotse.utils import perturb_num_samples

    return perturb_num_samples(samples, factor)


def change_speed(audio: np.ndarray, factor: float, sampling_rate: int) -> np.ndarray:
    """Resamples (channels, N) float32 to (channels, samples_after(N, factor)), which plays `factor` times as fast."""
    if factor == 1:
        return audio
    from lhotse.augmentation import Speed

    return Speed(factor)(audio, sampling_rate)[:, :samples_after(audio.shape[1], factor)]


def perturb_data_dir_speed(source, factors: Sequence[float], target) -> DataDir:
    """Publishes a copy of a data directory at each speed, without features, all in one directory.

    Ids of utterances, speakers and recordings begin with sp<factor>- as Kaldi's do; those of factor 1 stay as they are.
    Raises:
      RecipeError: a factor twice or out of range; a directory without recordings, or perturbed before.
    """
    if len(set(factors)) < len(factors) or not factors or not all(0.5 <= factor <= 2 for factor in factors):
        raise RecipeError("bad speeds", id="factors", expected="different factors from 0.5 to 2, such as 0.9,1,1.1",
                          found=",".join(f"{factor:g}" for factor in factors))
    data = DataDir.load(source, need=("wav.scp",))
    if data.speed:
        raise RecipeError("a data directory whose speed was changed before", file=data.path / "reco2speed",
                          expected="the original one", found=f"{len(data.speed)} recordings with a speed")
    result = DataDir(Path(target), {})
    for factor in factors:
        prefix = "" if factor == 1 else f"sp{factor:g}-"
        result.utt2spk |= {prefix + utt: prefix + speaker for utt, speaker in data.utt2spk.items()}
        result.text |= {prefix + utt: words for utt, words in data.text.items()}
        result.wav |= {prefix + recording: path for recording, path in data.wav.items()}
        result.speed |= {prefix + recording: factor for recording in data.wav}
        result.channel |= {prefix + recording: (prefix + file, side) for recording, (file, side) in data.channel.items()}
        result.segments |= {prefix + utt: Segment(prefix + s.recording, s.start / factor, s.end / factor)
                            for utt, s in data.segments.items()}
    result.utt2spk = dict(sorted(result.utt2spk.items(), key=lambda item: item[0].encode()))
    return publish_data_dir(result, Path(source), target)

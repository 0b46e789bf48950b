"""What the jobs of HMM training and alignment share: their part of the data, and the speakers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from ..corpus.datadir import DataDir
from ..io.options import option
from .features import FeatureOptions, Transforms, read_transforms


@dataclass
class JobOptions:
    """Options every job takes; the steps fill them in."""

    data: str = option("", "data directory, with features")
    dir: str = option("", "directory of the model and of all output")
    nj: int = option(1, "number of jobs")
    job: int = option(1, "this job, from 1")
    transform_dir: str = option("", "directory of trans.JOB; none: features are not adapted to speakers")

    def part(self) -> DataDir:
        """This job's speakers; the same for every step, since it depends on the data and nj alone."""
        return DataDir.load(self.data, need=("text", "feats.scp")).split(self.nj)[self.job - 1]

    def transforms(self, part: DataDir) -> Transforms | None:
        """The transforms of the part's speakers."""
        return read_transforms(self.transform_dir, part) if self.transform_dir else None

    def file(self, name: str) -> str:
        """<dir>/<name with JOB replaced>."""
        return f"{self.dir}/{name.replace('JOB', str(self.job))}"


def job_arguments(**values) -> list[str]:
    """Command-line words for a job's options; the launcher replaces JOB."""
    return [f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else value}"
            for name, value in {**values, "job": "JOB"}.items()]


@dataclass
class SpeakerFrames:
    """The aligned utterances of a speaker, their features (T, D) one after another, and their transition-ids (T,)."""

    speaker: str
    utts: list[str]
    features: np.ndarray
    path: np.ndarray


def speakers(part: DataDir, features: FeatureOptions, alignments: dict[str, np.ndarray],
             transforms: Transforms | None = None) -> Iterator[SpeakerFrames]:
    """Speaker by speaker, those with an aligned utterance."""
    source = features.open(part, transforms)
    for speaker, utts in part.spk2utt.items():
        aligned = [utt for utt in utts if utt in alignments]
        if aligned:
            yield SpeakerFrames(speaker, aligned, np.concatenate([source[utt] for utt in aligned]),
                                np.concatenate([alignments[utt] for utt in aligned]))

"""One job of `compute`: features of its share of the speakers, through Lhotse's extractor, storage and cuts.

Usage: python -m pytorch_nnet.features.compute_job [options] <job> <num-jobs> <data>
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
from lhotse import Features, MonoCut
from lhotse.features.base import FeatureExtractor

from ..corpus.audio import read_audio
from ..corpus.datadir import DataDir
from ..corpus.maintain import FEATURE_CONFIG
from ..corpus.manifests import make_cuts
from ..corpus.placement import MAX_OVERSHOOT, Placement, place_utterances
from ..corpus.speed import change_speed
from ..io.errors import RecipeError, require_file
from ..io.main import run_main
from ..io.options import option, parse
from ..io.progress import Progress
from ..io.publish import publish
from . import extractors  # noqa: F401  (registers them)
from .compute import archive
from .storage import ArchiveWriter


@dataclass
class Options:
    allow_pipes: bool = option(False, "run commands found in wav.scp")
    max_overshoot: float = option(MAX_OVERSHOOT, "seconds a segment may end after its recording")


def main(argv: list[str]) -> None:
    options, (job, jobs, path) = parse(Options, argv, __doc__, nargs=3)
    start = time.perf_counter()
    extractor = FeatureExtractor.from_yaml(require_file(Path(path) / FEATURE_CONFIG))
    data = DataDir.load(path).split(int(jobs))[int(job) - 1]
    placements = place_utterances(data, sampling_rate=extractor.config.sampling_rate, allow_pipes=options.allow_pipes,
                                  max_overshoot=options.max_overshoot)
    lines = {}
    store = archive(data.path, int(job))
    with publish(store, "wb") as stream, Progress("features", len(placements)) as progress:
        writer = ArchiveWriter(store, stream)
        for place, samples in read_placements(placements, options.allow_pipes):
            cut = next(iter(make_cuts(data, [place])))
            feats = extractor.extract(samples, place.audio.sampling_rate)
            if len(feats):
                attach(cut, feats, extractor, writer)
            lines[cut.id] = json.dumps(cut.to_dict(), ensure_ascii=False)
            progress.add()
    with publish(data.path / "data" / f"cuts.{job}.jsonl") as file:
        for utt in sorted(lines, key=str.encode):
            file.write(f"{utt} {lines[utt]}\n")
    seconds = sum(place.end - place.start for place in placements)
    rate = seconds / (time.perf_counter() - start)
    print(f"{seconds:.0f} s of audio, {rate:.0f} x real time with reading and storing",
          file=sys.stderr)


def read_placements(placements: list[Placement], allow_pipes: bool) -> Iterator[tuple[Placement, np.ndarray]]:
    """Yields each placement with its samples (N,) in [-1, 1], reading every audio file once for each speed."""
    files: dict[tuple[str, float], list[Placement]] = {}
    for place in placements:
        files.setdefault((place.audio.source, place.speed), []).append(place)
    for (source, speed), places in files.items():
        audio, _ = read_audio(source, id=places[0].recording, allow_pipes=allow_pipes)
        if audio.shape[1] != places[0].audio.samples:
            raise RecipeError("audio file is cut short", file=source, id=places[0].recording,
                              expected=f"{places[0].audio.samples} samples, says its header",
                              found=f"{audio.shape[1]} samples",
                              next="copy the file from the corpus again")
        audio = change_speed(audio, speed, places[0].audio.sampling_rate)
        for place in places:
            yield place, audio[place.channel, place.samples]


def attach(cut: MonoCut, feats: np.ndarray, extractor: FeatureExtractor, writer: ArchiveWriter) -> None:
    """Stores features (T, D) and points the cut at them.

    Lhotse wants a cut to last as long as its frames. With snip_edges a segment has up to one window less of them, so
    the cut ends with the last whole shift; the supervision keeps the segment's own end.
    """
    if not np.isfinite(feats).all():
        raise RecipeError("features are not finite", id=cut.id, expected="finite numbers",
                          found=f"{np.sum(~np.isfinite(feats))} NaN or infinite values", next="check the audio file")
    cut.duration = round(min(len(feats) * extractor.frame_shift, cut.duration), ndigits=8)
    cut.features = Features(
        type=extractor.name, num_frames=feats.shape[0], num_features=feats.shape[1], frame_shift=extractor.frame_shift,
        sampling_rate=cut.sampling_rate, start=cut.start, duration=cut.duration, storage_type=writer.name,
        storage_path=writer.storage_path, storage_key=writer.write(cut.id, feats), recording_id=cut.recording_id,
        channels=cut.channel)


if __name__ == "__main__":
    run_main(main)

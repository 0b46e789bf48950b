"""Features of a data directory, by parallel jobs: archives, feats.scp, utt2num_frames and cuts with features attached.

The jobs (`compute_job`) write archives and cuts; this side starts them and publishes one index over all of them, made
from the cuts, so that feats.scp and Lhotse's manifest point at the same bytes. It does not import Lhotse.
"""

from __future__ import annotations

import dataclasses
import gzip
import heapq
import json
import sys
from pathlib import Path
from typing import Iterator

import yaml

from ..corpus.datadir import DataDir
from ..corpus.maintain import CUTS, FEATURE_CONFIG, fix_data_dir
from ..corpus.placement import MAX_OVERSHOOT
from ..io.errors import RecipeError
from ..io.launcher import DEFAULT_CMD, python_module, run_jobs
from ..io.options import option
from ..io.publish import publish
from .fbank import FbankConfig
from .mfcc import MfccConfig

# More utterances than this without a single frame mean a fault in the data, not a few clipped segments.
MAX_SHORT = 0.05
INDEX = ("feats.scp", "utt2num_frames", CUTS, "cmvn.scp")


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """Options of steps/make_mfcc and steps/make_fbank that do not change a feature."""

    nj: int = option(2, "parallel jobs, at most one per speaker")
    cmd: str = option(DEFAULT_CMD, "launcher of the jobs")
    allow_pipes: bool = option(False, "run commands found in wav.scp")
    max_overshoot: float = option(MAX_OVERSHOOT, "seconds a segment may end after its recording; it is cut there")
    drop_short: bool = option(False, "drop utterances shorter than one frame from the data directory")


@dataclasses.dataclass(frozen=True)
class MakeFbankOptions(FbankConfig, JobOptions):
    """steps/make_fbank."""


@dataclasses.dataclass(frozen=True)
class MakeMfccOptions(MfccConfig, JobOptions):
    """steps/make_mfcc."""


def make_features(path, options: MakeFbankOptions | MakeMfccOptions) -> tuple[int, int]:
    """Computes the features that `options` describe; returns the numbers of utterances and frames.

    The matrices do not depend on nj. Until all is done the directory has no feats.scp; its cmvn.scp
    goes, being of older features.
    Raises:
      RecipeError: bad audio or segments (the job's log has the same report), utterances without a frame.
    """
    data = DataDir.load(path, need=("wav.scp",))
    kind = "fbank" if isinstance(options, FbankConfig) else "mfcc"
    jobs = min(options.nj, len(data.spk2utt))
    folder = data.path / "data"
    for name in INDEX:
        (data.path / name).unlink(missing_ok=True)
    with publish(data.path / FEATURE_CONFIG) as file:
        yaml.safe_dump(feature_config(options), file, sort_keys=False)
    run_jobs(options.cmd, jobs, str(data.path / "log" / f"make_{kind}.JOB.log"), python_module(
        "pytorch_nnet.features.compute_job", "--allow-pipes", str(options.allow_pipes).lower(),
        "--max-overshoot", options.max_overshoot, "JOB", jobs, data.path))

    pieces = [folder / f"cuts.{job}.jsonl" for job in range(1, jobs + 1)]
    frames: dict[str, int] = {}
    short: list[str] = []
    with publish(data.path / CUTS, "wb") as packed, publish(data.path / "feats.scp") as index, \
            gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as cuts:
        for utt, line in merged(pieces):
            cut = json.loads(line)
            if "features" not in cut:
                short.append(utt)
                continue
            features = cut["features"]
            frames[utt] = features["num_frames"]
            index.write(f"{utt} {features['storage_path']}:{features['storage_key']}\n")
            cuts.write(line.encode())
        refuse_short(data, short, options.drop_short)
        with publish(data.path / "utt2num_frames") as counts:
            counts.writelines(f"{utt} {count}\n" for utt, count in frames.items())
    archives = {archive(data.path, job) for job in range(1, jobs + 1)}
    for stale in [*folder.glob("cuts.*.jsonl"), *set(folder.glob("raw_*.ark")) - archives]:
        stale.unlink()
    if short:
        fix_data_dir(data.path)
    return len(frames), sum(frames.values())


def archive(path: Path, job: int) -> Path:
    """The archive of one job."""
    return path / "data" / f"raw_{path.absolute().name}.{job}.ark"


def feature_config(options: FbankConfig | MfccConfig) -> dict:
    """The options that decide the features, in the form of Lhotse's extractor files."""
    kind = FbankConfig if isinstance(options, FbankConfig) else MfccConfig
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
    return {"feature_type": kind.feature_type, **values}


def merged(pieces: list[Path]) -> Iterator[tuple[str, str]]:
    """Yields (utterance, JSON line) of several pieces, each '<utterance> <JSON>' in C order, in C order."""

    def lines(piece: Path) -> Iterator[tuple[bytes, str]]:
        with open(piece, encoding="utf-8") as file:
            for line in file:
                utt, _, value = line.partition(" ")
                yield utt.encode(), value

    for utt, value in heapq.merge(*map(lines, pieces)):
        yield utt.decode(), value


def refuse_short(data: DataDir, short: list[str], drop: bool) -> None:
    """Raises RecipeError if utterances without a frame may not be dropped; lists them if they may."""
    if not short:
        return
    names = " ".join(short[:5]) + (" ..." if len(short) > 5 else "")
    found = f"{len(short)} of {len(data.utt2spk)} shorter than one window: {names}"
    if not drop:
        raise RecipeError("utterances too short for a single frame", file=data.path, id=short[0],
                          expected="at least one window of audio each", found=found,
                          next="mend their segments, or call again with --drop-short true")
    if len(short) > MAX_SHORT * len(data.utt2spk):
        raise RecipeError("too many utterances without a single frame", file=data.path, id=short[0],
                          expected=f"at most {MAX_SHORT:.0%}", found=found, next="check segments and the sampling rate")
    print(f"dropped, shorter than one window: {' '.join(short)}", file=sys.stderr)

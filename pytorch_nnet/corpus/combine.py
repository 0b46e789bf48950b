"""One data directory of several: a training set and dev, or all parts of a split but one (Kaldi: utils/combine_data.sh)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .datadir import DataDir, check_apart
from .maintain import CUTS, FEATURE_CONFIG, merge_cuts

OPTIONAL = {"text": "text", "feats": "feats.scp", "num_frames": "utt2num_frames", "cmvn": "cmvn.scp"}


def combine_data_dirs(sources: Sequence[str | Path], target) -> DataDir:
    """Publishes all utterances of `sources` as the data directory `target`; the features stay where they are.

    Recordings and speakers may be in several sources, utterances may not. Text, features and statistics are kept if every source has them;
    what is left out is said. Scoring files (stm, glm) are not combined.
    Raises:
      RecipeError: an utterance in two sources, an id that two of them say different things of, features made with different options,
        or some sources with segments and some without.
    """
    for source in sources:
        check_apart(source, target)
    parts = [DataDir.load(source) for source in sources]
    if len({bool(part.segments) for part in parts}) > 1:
        whole = next(part.path for part in parts if not part.segments)
        raise RecipeError("some data directories have segments and some have not", file=whole, expected="segments in all, or in none",
                          found="none here", next="write one line a recording, <utterance> <recording> 0 <seconds>, into segments there")
    check_utterances(parts)
    combined = DataDir(Path(target), merged(parts, "utt2spk", "utt2spk"))
    for attribute, file in {"wav": "wav.scp", "segments": "segments", "channel": "reco2file_and_channel"}.items():
        setattr(combined, attribute, merged(parts, attribute, file))
    if any(part.speed for part in parts):
        for part in parts:
            part.speed = {recording: part.speed.get(recording, 1.0) for recording in part.wav}
        combined.speed = merged(parts, "speed", "reco2speed")
    for attribute, file in OPTIONAL.items():
        having = [part for part in parts if getattr(part, attribute)]
        if len(having) == len(parts):
            setattr(combined, attribute, merged(parts, attribute, file))
        elif having:
            left_out(target, file, next(part.path for part in parts if not getattr(part, attribute)))
    config = same_features(parts) if combined.feats else None
    combined.check_agreement()
    with publish_folder(target) as folder:
        combined.write(folder)
        if config:
            shutil.copy2(config, folder / FEATURE_CONFIG)
        cuts = [part.path / CUTS for part in parts]
        lacking = [path.parent for path in cuts if not path.exists()]
        if combined.feats and not lacking:
            merge_cuts(cuts, folder / CUTS)
        elif combined.feats and len(lacking) < len(cuts):
            left_out(target, CUTS, lacking[0])
    combined.path = Path(target)
    return combined


def left_out(target, file: str, lacking: Path) -> None:
    print(f"WARNING: {target} has no {file}, as {lacking} has none", file=sys.stderr)


def check_utterances(parts: Sequence[DataDir]) -> None:
    owner: dict[str, Path] = {}
    for part in parts:
        for utt in part.utts:
            if utt in owner:
                raise RecipeError("one utterance in two data directories", file=part.path / "utt2spk", id=utt,
                                  expected="each utterance in one", found=f"also in {owner[utt]}")
            owner[utt] = part.path


def merged(parts: Sequence[DataDir], attribute: str, file: str) -> dict[str, Any]:
    """The union of a table of all parts, in C order; RecipeError for a key with two values."""
    table: dict[str, Any] = {}
    for part in parts:
        for key, value in getattr(part, attribute).items():
            if table.setdefault(key, value) != value:
                other = next(one.path for one in parts if key in getattr(one, attribute))
                raise RecipeError(f"two data directories disagree in {file}", file=part.path / file, id=key,
                                  expected=f"{table[key]}, as in {other}", found=value,
                                  next=f"remove {file} there, and make it again in the combined directory" if attribute == "cmvn" else
                                       "correct one of them")
    return dict(sorted(table.items(), key=lambda item: item[0].encode()))


def same_features(parts: Sequence[DataDir]) -> Path | None:
    """The file that says how the features of all were made; None if no part has one."""
    configs: Mapping[Path, str | None] = {
        part.path: (part.path / FEATURE_CONFIG).read_text(encoding="utf-8") if (part.path / FEATURE_CONFIG).exists() else None for part in parts}
    (first, wanted), *others = configs.items()
    for path, content in others:
        if content != wanted:
            raise RecipeError("features of two kinds", file=path / FEATURE_CONFIG, expected=f"what {first / FEATURE_CONFIG} says",
                              found="other options" if content and wanted else "no such file in one of them",
                              next="make the features of both with the same config (steps/make_mfcc, steps/make_fbank)")
    return first / FEATURE_CONFIG if wanted else None

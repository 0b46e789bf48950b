"""The alignments of a Kaldi system, checked utterance by utterance against a model and a data directory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import read_ali, read_matrix, write_ali
from ..io.errors import RecipeError
from ..io.kaldi_model import Transitions
from ..io.publish import publish
from .convert import phone_segments
from .model import AcousticModel

MAX_MISSING = 0.05  # of the data directory's utterances
OWN_MODEL = "import the directory that both come from: ali.JOB.gz is of its own final.mdl"


@dataclass
class ImportedAlignments:
    """Counts. missing: utterances of the data directory without alignment; unknown: the other way round."""

    utts: int = 0
    frames: int = 0
    silence_frames: int = 0
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def find_archives(source: Path) -> list[Path]:
    """ali.1.gz, ali.2.gz, ...; none if there are no alignments."""
    there = {path.name for path in source.glob("ali.*.gz")}
    if not there:
        return []
    path = source / "num_jobs"
    words = path.read_text().split() if path.exists() else [str(len(there))]
    jobs = int(words[0]) if len(words) == 1 and words[0].isdigit() else 0
    wanted = [f"ali.{job}.gz" for job in range(1, jobs + 1)]
    if missing := [name for name in wanted if name not in there]:
        raise RecipeError("alignment archives are missing", file=source / missing[0], expected=f"ali.1.gz to ali.{jobs}.gz",
                          found=f"{len(missing)} not there", next="copy the whole Kaldi directory")
    if not wanted:
        raise RecipeError("bad number of jobs", file=path, expected=f"{len(there)}, as many as there are ali.JOB.gz",
                          found=" ".join(words))
    return [source / name for name in wanted]


def import_alignments(archives: list[Path], data: DataDir, model: AcousticModel, silence_phones: list[int],
                      out: Path) -> ImportedAlignments:
    """Copies the alignments of the data directory's utterances to `out`, job by job, checking each.

    Also writes `failed` (utterances without an alignment) and `unknown` (alignments without an utterance). `num_jobs` is the
    caller's to write.
    """
    result, source, frames = ImportedAlignments(), archives[0].parent, frame_counts(data)
    silence = np.isin(model.phone_of, silence_phones)
    seen: set[str] = set()
    differing: dict[str, tuple[int, int]] = {}  # utterance -> frames here, frames there
    for job, path in enumerate(archives, 1):
        alignments = read_ali(path)
        if twice := seen & alignments.keys():
            raise RecipeError("utterance in two archives of an alignment", file=path, id=min(twice),
                              expected=f"each utterance in one of the {len(archives)}", found=f"{len(twice)} again")
        seen |= alignments.keys()
        result.unknown += sorted(alignments.keys() - frames.keys())
        kept = {utt: ids for utt, ids in alignments.items() if utt in frames}
        for utt, ids in kept.items():
            check_path(ids, model.table, path, utt)
            if len(ids) != frames[utt]:
                differing[utt] = frames[utt], len(ids)
            result.frames += len(ids)
            result.silence_frames += int(silence[ids].sum())
        write_ali(out / f"ali.{job}.gz", kept)
    result.utts = len(seen & frames.keys())
    result.missing = [utt for utt in data.utts if utt not in seen]
    check_utterances(result, data, source)
    if differing:
        raise frames_differ(differing, data, source)
    for name, utts, reason in (("failed", result.missing, f"no alignment in {source}"),
                               ("unknown", result.unknown, f"not in {data.path}")):
        with publish(out / name) as file:
            file.writelines(f"{utt} {reason}\n" for utt in sorted(utts, key=str.encode))
    return result


def frame_counts(data: DataDir) -> dict[str, int]:
    """Frames of every utterance, from utt2num_frames or else from the features."""
    if data.num_frames:
        return data.num_frames
    if not data.feats:
        raise RecipeError("frame counts are unknown", file=data.path / "utt2num_frames", expected="utt2num_frames or feats.scp",
                          found="neither", next=f"steps/make_mfcc {data.path}, or steps/make_fbank {data.path}")
    return {utt: len(read_matrix(entry, file=data.path / "feats.scp", id=utt)) for utt, entry in data.feats.items()}


def check_path(ids: np.ndarray, table: Transitions, file, utt: str) -> None:
    """Raises RecipeError unless an alignment is made of the model's transition-ids, phone after phone."""
    if len(ids) == 0 or not 1 <= ids.min() <= ids.max() <= table.num_ids:
        found = f"{ids.min()} to {ids.max()}" if len(ids) else "no frames"
        raise RecipeError("alignment and model disagree", file=file, id=utt, expected=f"transition-ids 1 to {table.num_ids}",
                          found=found, next=OWN_MODEL)
    try:
        phone_segments(ids, table, utt)
    except RecipeError as error:
        raise RecipeError(error.what, file=file, id=utt, expected=error.expected, found=error.found,
                          next=OWN_MODEL) from None


def check_utterances(result: ImportedAlignments, data: DataDir, source) -> None:
    """Raises RecipeError if too many utterances have no alignment: other ids, or another set."""
    if result.utts > 0 and len(result.missing) <= MAX_MISSING * len(data.utts):
        return
    found, next = str(result.utts), "make a subset of the data directory (utils/subset_data_dir)"
    if result.unknown:
        found += f"; {len(result.unknown)} alignments of unknown utterances, such as {result.unknown[0]}"
        next = "take the data directory that the Kaldi system was aligned with, under its utterance ids"
    raise RecipeError("too many utterances without an alignment", file=source, id=result.missing[0], found=found, next=next,
                      expected=f"{1 - MAX_MISSING:.0%} of the {len(data.utts)} utterances of {data.path} at least")


def frames_differ(differing: dict[str, tuple[int, int]], data: DataDir, source) -> RecipeError:
    """The error for utterances of other lengths; a difference of two everywhere has one cause."""
    utt, (here, there) = next(iter(differing.items()))
    gaps = Counter(theirs - ours for ours, theirs in differing.values())
    listed = ", ".join(f"{count} by {gap:+d}" for gap, count in gaps.most_common(5))
    advice = "take the segments, the audio and the frame shift of the Kaldi system's data directory (its segments can be copied)"
    if set(gaps) == {2}:
        advice = ("two frames more there mean snip_edges=false there and true here: put --snip-edges=true into Kaldi's "
                  "conf/mfcc.conf and make features and alignments again; or import without ali.JOB.gz and align here "
                  "(steps/align_si)")
    elif set(gaps) == {-2}:
        advice = (f"two frames fewer there mean snip_edges=true there and false in {data.path}: make features with this recipe's "
                  "steps/make_mfcc or steps/make_fbank")
    return RecipeError("alignments and features differ in length", file=source, id=utt, expected=f"{here} frames as in {data.path}",
                       found=f"{there}; {len(differing)} utterances differ ({listed})", next=advice)

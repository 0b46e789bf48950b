"""Takes a finished Kaldi system over: its model, tree and alignments become an alignment directory of this recipe.

Kaldi: steps/align_si.sh, steps/align_fmllr.sh and the training scripts leave final.mdl, tree, ali.JOB.gz and num_jobs.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..corpus.datadir import DataDir
from ..io.archives import read_ali, read_matrix, write_ali
from ..io.errors import RecipeError, require_file
from ..io.kaldi_ark import read_matrices
from ..io.kaldi_binary import read_matrix_file
from ..io.kaldi_model import Gaussians, Transitions, read_model, read_transitions, write_model
from ..io.kaldi_tree import Tree
from ..io.publish import publish
from ..lang.lang_dir import LangDir
from .convert import phone_segments
from .features import FeatureOptions
from .kaldi_checks import check_lang, check_symbols, check_topology, check_tree, phone_tables
from .model import AcousticModel

MAX_MISSING = 0.05  # of the data directory's utterances
FEATURE_FILES = ("cmvn_opts", "splice_opts", "final.mat", "full.mat", "final.alimdl")
DEFAULT_DELTAS = {"--delta-order=2", "--delta-window=2"}


@dataclass
class Imported:
    """What was taken over. missing: utterances of the data directory without alignment; unknown: the other way round."""

    model: AcousticModel
    adapted: bool = False
    jobs: int = 0
    utts: int = 0
    frames: int = 0
    silence_frames: int = 0
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def lines(self, data, lang, out) -> list[str]:
        """A report for the user, and the step to go on with."""
        model, gmm = self.model, self.model.gmm
        report = [f"{out}: {len(model.table.topology.phones)} phones, {model.num_pdfs} pdfs, {model.table.num_ids} transition-ids, "
                  + (f"{gmm.num_gauss} Gaussians of {gmm.dim} dimensions" if gmm else "no Gaussians")]
        if not self.jobs:
            step = "align_fmllr" if self.adapted else "align_si"
            return [*report, "no ali.JOB.gz there: only the model was taken over",
                    f"next: steps/{step} {data} {lang} {out} {out}_ali   (MFCC as in the Kaldi system), then stage 4 with {out}_ali"]
        return [*report,
                f"{self.utts} of {self.utts + len(self.missing)} utterances of {data} have an alignment (the others: {out}/failed); "
                f"{len(self.unknown)} alignments belong to no utterance of it ({out}/unknown)",
                f"{self.frames} frames, {100 * self.silence_frames / self.frames:.1f} % of them in silence phones",
                f"next: steps/make_frame_store <filterbank data> {out} <store>"]


def import_system(source, data, lang, out, graph=None) -> Imported:
    """Checks a Kaldi experiment against a data and a lang directory and writes it to `out`.

    `out` gets final.mdl, tree, ali.JOB.gz of the utterances of `data`, num_jobs (last), failed and unknown (utterances without an
    alignment, and without a place in `data`), and those of cmvn_opts, splice_opts, final.mat, full.mat, final.alimdl, trans.JOB
    that there are. Gaussians on features that this recipe does not make are left out, with a warning.

    Args:
      graph: the Kaldi graph directory; here only its phones.txt is compared.
    Raises:
      RecipeError: parts that do not belong together; damaged files; too many utterances without alignment; other frame counts.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise RecipeError("no such Kaldi directory", file=source, expected="final.mdl, tree, ali.JOB.gz, num_jobs")
    if out.resolve() == source.resolve():
        raise RecipeError("output would overwrite the Kaldi system", file=out, next="name another <out>")
    data_dir, lang_dir = DataDir.load(data), LangDir(lang)
    check_lang(lang_dir)
    refuse_subsampled(source)
    model = read_system(source, lang_dir, graph)
    archives = find_archives(source)
    if model.gmm is None and not archives:
        raise RecipeError("neither alignments nor Gaussians to align with", file=source, expected="ali.JOB.gz, or a GMM in final.mdl",
                          found="a transition model alone", next="align in Kaldi first (steps/align_si.sh)")
    adapted = model.gmm is not None and check_adaptation(source, model)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("num_jobs", "final.mdl", *FEATURE_FILES):  # readers look for the first two: no promise before all is there
        (out / name).unlink(missing_ok=True)
    for old in out.glob("trans.*"):
        old.unlink()
    result = Imported(model, adapted)
    if archives:
        import_alignments(result, archives, data_dir, lang_dir, out)
    shutil.copyfile(source / "tree", out / "tree")
    with publish(out / "feature_opts") as file:
        file.write(f"--deltas={str(model.features.deltas).lower()}\n")
    if model.gmm is None:
        write_model(out / "final.mdl", model.table)
    else:
        for path in [source / name for name in FEATURE_FILES] + (sorted(source.glob("trans.*")) if adapted else []):
            if path.exists():
                shutil.copyfile(path, out / path.name)
        shutil.copyfile(source / "final.mdl", out / "final.mdl")
    if archives:
        with publish(out / "num_jobs") as file:
            file.write(f"{len(archives)}\n")
    return result


def refuse_subsampled(source: Path) -> None:
    path = source / "frame_subsampling_factor"
    factor = path.read_text().strip() if path.exists() else "1"
    if factor != "1":
        raise RecipeError("alignments of a chain model do not label every frame", file=path, expected="1", found=factor,
                          next="import the GMM system that the chain model was started from (exp/tri4, exp/tri4_ali_...)")


def read_system(source: Path, lang: LangDir, graph=None) -> AcousticModel:
    """The model of a Kaldi directory, checked against its tree and against a lang directory."""
    file = require_file(source / "final.mdl", next="name a finished Kaldi experiment or alignment directory")
    transitions, following = read_transitions(file)
    tables = phone_tables(source, graph)
    for path in tables:
        check_symbols(path, lang)
    if not tables:
        print(f"WARNING: no phones.txt in {source}: that the phones' numbers mean the same here cannot be checked", file=sys.stderr)
    check_topology(transitions.topology, lang, file)
    tree = Tree.read(source / "tree")
    check_tree(tree, transitions, lang, source / "tree")
    gmm, features = usable_gaussians(source, following) if following else (None, FeatureOptions())
    return AcousticModel(transitions, tree, gmm, features, file)


def usable_gaussians(source: Path, following: str) -> tuple[Gaussians | None, FeatureOptions]:
    """The Gaussians and their features; None, and a warning, where this recipe does not make such features.

    following: the token after the transition model.
    """
    reason = f"a network ({following})"
    if following == "<DIMENSION>":
        deltas = source / "delta_opts"
        words = set(deltas.read_text().split()) if deltas.exists() else set()
        try:
            features = FeatureOptions.read(source)
            if features.matrix is not None or words <= DEFAULT_DELTAS:
                return read_model(source / "final.mdl")[1], features
            reason = f"Gaussians on other deltas ({' '.join(sorted(words))})"
        except RecipeError as error:
            if error.file is None or Path(error.file).name not in ("cmvn_opts", "splice_opts"):
                raise
            reason = f"Gaussians on features with {error.found}"
    print(f"WARNING: {source}/final.mdl holds {reason}, which cannot be used here: only tree, transition model and alignments are "
          "taken over", file=sys.stderr)
    return None, FeatureOptions()


def check_adaptation(source: Path, model: AcousticModel) -> bool:
    """Checks final.mat, final.alimdl and trans.JOB against the Gaussians; is it a speaker-adapted system?"""
    dim, matrix = model.gmm.dim, model.features.matrix
    if matrix is not None and len(matrix) != dim:
        raise RecipeError("final.mat and final.mdl disagree", file=source / "final.mat", expected=f"{dim} rows, the Gaussians' dimension",
                          found=matrix.shape, next="copy both from the same Kaldi directory")
    if (source / "full.mat").exists():
        read_matrix_file(source / "full.mat")
    archives = sorted(source.glob("trans.*"))
    for path in archives:
        for speaker, transform in read_matrices(path).items():
            if transform.shape != (dim, dim + 1):
                raise RecipeError("transform and Gaussians disagree", file=path, id=speaker, expected=(dim, dim + 1),
                                  found=transform.shape, next="copy trans.JOB and final.mdl from the same Kaldi directory")
    if not (source / "final.alimdl").exists():
        return bool(archives)
    table, gmm = read_model(source / "final.alimdl")
    if gmm is None or gmm.dim != dim or not np.array_equal(table.tuples, model.table.tuples):
        raise RecipeError("final.alimdl and final.mdl disagree", file=source / "final.alimdl",
                          expected=f"Gaussians of {dim} dimensions, {len(model.table.tuples)} transition-states",
                          found="others", next="copy both from the same Kaldi directory")
    return True


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


def import_alignments(result: Imported, archives: list[Path], data: DataDir, lang: LangDir, out: Path) -> None:
    """Copies the alignments of the data directory's utterances job by job, checking each; fills `result` in."""
    frames = frame_counts(data)
    silence = np.isin(result.model.phone_of, lang.silence_phones)
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
            check_path(ids, result.model.table, path, utt)
            if len(ids) != frames[utt]:
                differing[utt] = frames[utt], len(ids)
            result.frames += len(ids)
            result.silence_frames += int(silence[ids].sum())
        write_ali(out / f"ali.{job}.gz", kept)
    result.jobs, result.utts = len(archives), len(seen & frames.keys())
    result.missing = [utt for utt in data.utts if utt not in seen]
    check_utterances(result, data, archives[0].parent)
    if differing:
        raise frames_differ(differing, data, archives[0].parent)
    for name, utts, reason in (("failed", result.missing, f"no alignment in {archives[0].parent}"),
                               ("unknown", result.unknown, f"not in {data.path}")):
        with publish(out / name) as file:
            file.writelines(f"{utt} {reason}\n" for utt in sorted(utts, key=str.encode))


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
                          found=found, next="import the directory that both come from: ali.JOB.gz is of its own final.mdl")
    try:
        phone_segments(ids, table, utt)
    except RecipeError as error:
        raise RecipeError(error.what, file=file, id=utt, expected=error.expected, found=error.found,
                          next="import the directory that both come from: ali.JOB.gz is of its own final.mdl") from None


def check_utterances(result: Imported, data: DataDir, source) -> None:
    if result.utts == 0 or len(result.missing) > MAX_MISSING * len(data.utts):
        strangers = f"; {len(result.unknown)} alignments of unknown utterances, such as {result.unknown[0]}" if result.unknown else ""
        raise RecipeError("too many utterances without an alignment", file=source, id=result.missing[0],
                          expected=f"an alignment for at least {1 - MAX_MISSING:.0%} of the {len(data.utts)} utterances of {data.path}",
                          found=f"{result.utts}{strangers}",
                          next="take the data directory that the Kaldi system was aligned with, under its utterance ids"
                               if result.unknown else "make a subset of the data directory (utils/subset_data_dir)")


def frames_differ(differing: dict[str, tuple[int, int]], data: DataDir, source) -> RecipeError:
    """The error for utterances of other lengths; a difference of two everywhere has one cause."""
    utt, (here, there) = next(iter(differing.items()))
    gaps = Counter(theirs - ours for ours, theirs in differing.values())
    listed = ", ".join(f"{count} by {gap:+d}" for gap, count in gaps.most_common(5))
    advice = "take the segments, the audio and the frame shift of the Kaldi system's data directory (its segments can be copied)"
    if set(gaps) == {2}:
        advice = ("two frames more there mean snip_edges=false there and true here: put --snip-edges=true into Kaldi's conf/mfcc.conf, "
                  "make features and alignments again; or import without ali.JOB.gz and align here (steps/align_si)")
    elif set(gaps) == {-2}:
        advice = (f"two frames fewer there mean snip_edges=true there and false in {data.path}: make features with this recipe's "
                  "steps/make_mfcc or steps/make_fbank")
    return RecipeError("alignments and features differ in length", file=source, id=utt, expected=f"{here} frames as in {data.path}",
                       found=f"{there}; {len(differing)} utterances differ ({listed})", next=advice)

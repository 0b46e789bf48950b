"""Takes a finished Kaldi system over: its model, tree and alignments become an alignment directory of this recipe.

Kaldi: steps/align_si.sh, steps/align_fmllr.sh and the training scripts leave final.mdl, tree, ali.JOB.gz and num_jobs.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, require_file
from ..io.kaldi_ark import read_matrices
from ..io.kaldi_binary import read_matrix_file
from ..io.kaldi_model import Gaussians, read_model, read_transitions, write_model
from ..io.kaldi_tree import Tree
from ..io.publish import publish
from ..lang.lang_dir import LangDir
from .features import FeatureOptions
from .import_ali import ImportedAlignments, find_archives, import_alignments
from .kaldi_checks import check_lang, check_symbols, check_topology, check_tree, phone_tables
from .model import AcousticModel

FEATURE_FILES = ("cmvn_opts", "splice_opts", "final.mat", "full.mat", "final.alimdl")
DEFAULT_DELTAS = {"--delta-order=2", "--delta-window=2"}


@dataclass
class Imported:
    """What was taken over: the model, is it speaker-adapted, and the alignments if there were any."""

    model: AcousticModel
    adapted: bool
    alignments: ImportedAlignments | None

    def lines(self, data, lang, out) -> list[str]:
        """A report for the user, and the step to go on with."""
        model, gmm, found = self.model, self.model.gmm, self.alignments
        kind = f"{gmm.num_gauss} Gaussians of {gmm.dim} dimensions" if gmm else "no Gaussians"
        phones = len(model.table.topology.phones)
        report = [f"{out}: {phones} phones, {model.num_pdfs} pdfs, {model.table.num_ids} transition-ids, {kind}"]
        if found is None:
            step = "align_fmllr" if self.adapted else "align_si"
            return [*report, "no ali.JOB.gz there: only the model was taken over",
                    f"next: steps/{step} {data} {lang} {out} {out}_ali   (with the MFCC of the Kaldi system), then stage 4"]
        return [*report, f"{found.utts} of {found.utts + len(found.missing)} utterances of {data} have an alignment",
                f"{len(found.missing)} have none: {out}/failed",
                f"{len(found.unknown)} alignments are of other utterances: {out}/unknown",
                f"{found.frames} frames, {100 * found.silence_frames / found.frames:.1f} % of them in silence phones",
                f"next: steps/make_frame_store <filterbank data> {out} <store>"]


def import_system(source, data, lang, out, graph=None) -> Imported:
    """Checks a Kaldi experiment against a data and a lang directory and writes it to `out`.

    `out` gets final.mdl, tree, ali.JOB.gz of the utterances of `data`, num_jobs (last), failed and unknown (utterances without
    an alignment, and without a place in `data`), and what there is of cmvn_opts, splice_opts, final.mat, full.mat, final.alimdl
    and trans.JOB. Gaussians on features that this recipe does not make are left out, with a warning.

    Args:
      graph: the Kaldi graph directory; here only its phones.txt is compared.
    Raises:
      RecipeError: parts that do not belong together; damaged files; too many utterances without alignment; other frame
        counts.
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
        raise RecipeError("neither alignments nor Gaussians to align with", file=source,
                          expected="ali.JOB.gz, or a GMM in final.mdl", found="a transition model alone",
                          next="align in Kaldi first (steps/align_si.sh)")
    adapted = model.gmm is not None and check_adaptation(source, model)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("num_jobs", "final.mdl", *FEATURE_FILES):  # readers look for the first two: no promise before all is there
        (out / name).unlink(missing_ok=True)
    for old in transforms(out):
        old.unlink()
    alignments = import_alignments(archives, data_dir, model, lang_dir.silence_phones, out) if archives else None
    shutil.copyfile(source / "tree", out / "tree")
    with publish(out / "feature_opts") as file:
        file.write(f"--deltas={str(model.features.deltas).lower()}\n")
    if model.gmm is None:
        write_model(out / "final.mdl", model.table)
    else:
        for path in [source / name for name in FEATURE_FILES] + transforms(source):
            if path.exists():
                shutil.copyfile(path, out / path.name)
        shutil.copyfile(source / "final.mdl", out / "final.mdl")
    if archives:
        with publish(out / "num_jobs") as file:
            file.write(f"{len(archives)}\n")
    return Imported(model, adapted, alignments)


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
        print(f"WARNING: no phones.txt in {source}: whether the phones' numbers mean the same here cannot be checked",
              file=sys.stderr)
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
    print(f"WARNING: {source}/final.mdl holds {reason}, which cannot be used here: only tree, transition model and alignments "
          "are taken over", file=sys.stderr)
    return None, FeatureOptions()


def check_adaptation(source: Path, model: AcousticModel) -> bool:
    """Checks final.mat, final.alimdl and trans.JOB against the Gaussians; is it a speaker-adapted system?"""
    dim, matrix = model.require_gmm().dim, model.features.matrix
    if matrix is not None and len(matrix) != dim:
        raise RecipeError("final.mat and final.mdl disagree", file=source / "final.mat", found=matrix.shape,
                          expected=f"{dim} rows, the Gaussians' dimension", next="copy both from the same Kaldi directory")
    if (source / "full.mat").exists():
        read_matrix_file(source / "full.mat")
    archives = transforms(source)
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


def transforms(folder: Path) -> list[Path]:
    """The folder's trans.JOB."""
    return sorted(path for path in folder.glob("trans.*") if path.suffix[1:].isdigit())

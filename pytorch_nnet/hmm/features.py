"""What is done to the MFCCs of a data directory before the Gaussians see them: normalisation, context, LDA+MLLT, fMLLR.

On disk, in a model directory, under Kaldi's names: `cmvn_opts`, `splice_opts`, `final.mat` (LDA+MLLT) and, of a speaker-adapted
system, `trans.JOB` (one affine matrix a speaker, which extends a frame by 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np

from ..corpus.datadir import DataDir
from ..features.deltas import add_deltas, splice
from ..features.reader import FeatureReader
from ..io.archives import write_archive
from ..io.errors import RecipeError, reading
from ..io.kaldi_ark import read_matrices
from ..io.kaldi_binary import read_matrix_file, write_matrix_file
from ..io.publish import publish, publish_path

Transforms = Mapping[str, np.ndarray]  # speaker -> (D, D + 1)


@dataclass(frozen=True)
class FeatureOptions:
    """norm_means, norm_vars: per speaker. deltas: append first and second differences. left, right: frames of context to splice.
    matrix: (D, S) of LDA+MLLT, applied to the spliced frame; with a last column more, that is added (Kaldi's affine form).
    """

    norm_means: bool = True
    norm_vars: bool = False
    deltas: bool = True
    left: int = 0
    right: int = 0
    matrix: np.ndarray | None = field(default=None, compare=False)

    def write(self, folder) -> None:
        """Publishes the files that apply, and removes those that do not."""
        folder = Path(folder)
        lines = {"cmvn_opts": f"--norm-means={str(self.norm_means).lower()} --norm-vars={str(self.norm_vars).lower()}",
                 "feature_opts": f"--deltas={str(self.deltas).lower()}",
                 "splice_opts": f"--left-context={self.left} --right-context={self.right}" if self.left or self.right else ""}
        for name, line in lines.items():
            if line:
                with publish(folder / name) as file:
                    file.write(f"{line}\n")
            else:
                (folder / name).unlink(missing_ok=True)
        if self.matrix is not None:
            write_matrix_file(folder / "final.mat", self.matrix)
        else:
            (folder / "final.mat").unlink(missing_ok=True)

    @classmethod
    def read(cls, folder) -> "FeatureOptions":
        """Reads the files; what is missing has its default, and where there is a final.mat that is splicing by four, no deltas."""
        folder = Path(folder)
        values: dict[str, Any] = {}
        if (folder / "final.mat").exists():
            values = {"deltas": False, "left": 4, "right": 4, "matrix": read_matrix_file(folder / "final.mat")}
        keys = {"norm_means": bool, "norm_vars": bool, "deltas": bool, "left_context": int, "right_context": int}
        for name in ("cmvn_opts", "feature_opts", "splice_opts"):
            path = folder / name
            with reading(path, "unknown feature options"):
                words = path.read_text(encoding="utf-8").split() if path.exists() else []
            for word in words:
                key, _, value = word.removeprefix("--").replace("-", "_").partition("=")
                if key not in keys or not (value in ("true", "false") if keys[key] is bool else re.fullmatch("[0-9]{1,3}", value)):
                    raise RecipeError("unknown feature option", file=path, found=word,
                                      expected=", ".join(f"--{k.replace('_', '-')}=<{v.__name__}>" for k, v in keys.items()))
                values[key.removesuffix("_context")] = value == "true" if keys[key] is bool else int(value)
        return cls(**values)

    def with_matrix(self, matrix: np.ndarray) -> "FeatureOptions":
        return replace(self, matrix=np.asarray(matrix, np.float32))

    def spliced(self, static: np.ndarray) -> np.ndarray:
        """Normalised static features (T, 13) with their differences or their neighbours, float32."""
        if self.left or self.right:
            static = splice(static, self.left, self.right)
        return np.ascontiguousarray(add_deltas(static) if self.deltas else static, np.float32)

    def complete(self, static: np.ndarray) -> np.ndarray:
        """Normalised static features (T, 13) to the Gaussians' input before adaptation, float32 (T, D)."""
        features = self.spliced(static)
        return features if self.matrix is None else apply_transform(features, self.matrix)

    def open(self, data, transforms: Transforms | None = None) -> "ModelFeatures":
        """The Gaussians' input for the utterances of a data directory, adapted if there are transforms."""
        return ModelFeatures(self, data, transforms)


class ModelFeatures:
    """A mapping from utterance to the Gaussians' input, float32 (T, D); iterates in C order."""

    def __init__(self, options: FeatureOptions, data, transforms: Transforms | None = None):
        self.reader = FeatureReader(data, {"norm_means": options.norm_means, "norm_vars": options.norm_vars})
        self.options, self.data, self.transforms = options, self.reader.data, transforms

    def __getitem__(self, utt: str) -> np.ndarray:
        features = self.options.complete(self.reader[utt])
        return features if self.transforms is None else apply_transform(features, self._transform(self.transforms, self.data.utt2spk[utt]))

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for utt in self.data.utt2spk:
            yield utt, self[utt]

    @staticmethod
    def _transform(transforms: Transforms, speaker: str) -> np.ndarray:
        if speaker not in transforms:
            raise RecipeError("speaker without a transform", id=speaker, expected="a matrix in trans.JOB",
                              found=f"transforms of {len(transforms)} other speakers",
                              next="steps/align_fmllr or steps/decode_fmllr with this data directory")
        return transforms[speaker]


def apply_transform(features: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(T, S) by a linear (D, S) or affine (D, S + 1) matrix -> float32 (T, D)."""
    width = features.shape[1]
    if matrix.shape[1] not in (width, width + 1):
        raise RecipeError("transform and features disagree", expected=f"{width} or {width + 1} columns", found=matrix.shape)
    result = features @ matrix[:, :width].T
    return np.ascontiguousarray(result + matrix[:, width] if matrix.shape[1] > width else result, np.float32)


def write_transforms(path, transforms: Transforms) -> None:
    """Publishes an archive of one matrix a speaker (Kaldi's trans.JOB)."""
    with publish_path(path) as temporary, open(temporary, "wb") as stream:
        for speaker, matrix in transforms.items():
            write_archive(stream, speaker, np.asarray(matrix, np.float32))


def transform_archives(folder) -> list[Path]:
    return sorted(path for path in Path(folder).glob("trans.*") if path.suffix[1:].isdigit())


def remove_transforms(folder) -> None:
    """Before others are written: those of more jobs than there will be would stay beside them, and be read."""
    for path in transform_archives(folder):
        path.unlink()


def read_transforms(folder, data: DataDir) -> dict[str, np.ndarray]:
    """The transforms of the speakers of `data` from the folder's trans.* archives, whatever their number of jobs.

    Raises:
      RecipeError: no archive, or a speaker who is in none or in two.
    """
    paths = transform_archives(folder)
    found: dict[str, np.ndarray] = {}
    for path in paths:
        own = {speaker: matrix for speaker, matrix in read_matrices(path).items() if speaker in data.spk2utt}
        if twice := own.keys() & found.keys():
            raise RecipeError("speaker with two transforms", file=path, id=min(twice), expected="each speaker in one archive",
                              found="another archive of the folder has one too", next="make the folder anew")
        found.update(own)
    missing = data.spk2utt.keys() - found.keys()
    if missing:
        raise RecipeError("speakers without a transform", file=Path(folder) / "trans.JOB", id=min(missing),
                          expected=f"{len(data.spk2utt)} speakers of {data.path}", found=f"{len(found)} of them in {len(paths)} archives",
                          next="steps/align_fmllr or steps/decode_fmllr with this data directory")
    return found

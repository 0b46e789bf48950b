"""Gathers what an exp directory holds about its systems. What is not there is named, never guessed."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..io.errors import RecipeError, require_file
from ..io.options import load_config
from .scored import basic_figure, stm_figures, stm_scorer
from .significance import interval, replicates
from .tune import Pair, Tuned, tune
from .wer import Counts

NAMES = {"mono": "monophone GMM-HMM", "tri1": "triphone GMM-HMM", "tri2": "triphone GMM-HMM, LDA+MLLT",
         "tri3": "triphone GMM-HMM, fMLLR (SAT)", "dnn": "baseline DNN", "cnn": "vision-style CNN", "sainath": "Sainath-style CNN",
         "ens_lstm_cnn": "LSTM + CNN ensemble", "ens_2lstm": "ensemble of 2 LSTMs", "ens_2lstm_cnn": "2 LSTMs + CNN ensemble",
         "self": "CNN taught by a CNN"}

FEW = 10  # speakers


@dataclass
class StmFigure:
    """One system's figure on one part of the test set, from a scorer that follows NIST's rules."""

    scorer: str
    counts: Counts
    interval: tuple[float, float]  # 95 %, percent


@dataclass
class System:
    """One row of Table 1; None where `missing` says why."""

    name: str
    display: str
    parameters: int | None = None
    fer: float | None = None  # percent
    errors: Tuned | None = None
    interval: tuple[float, float] | None = None  # 95 %, of the test WER
    stm: dict[str, StmFigure] = field(default_factory=dict)  # by part of the test set, where it has an stm
    seconds_per_frame: float | None = None
    missing: list[str] = field(default_factory=list)


@dataclass
class Coverage:
    """One row of Table 2 for one teacher: mass in percent and mean number of classes, when at most C are kept."""

    teacher: str
    c: int
    mass: float
    classes: float


def gather(exp, systems: list[str], *, dev: str, test: str, lm: str = "", timing=None) -> list[System]:
    """Reads every system's numbers, in the order given.

    Args:
      systems: "name" or "name=Display"; exp/<name> is the system's directory.
      dev, test, lm: names of the sets and of the language model: exp/<name>/decode_<set>_<lm> is read.
      timing: the file, or the folder with the file timing.json, that steps/time_nnets writes.
    """
    seconds = read_timing(timing) if timing else {}
    rows = []
    for entry in systems:
        name, _, display = entry.partition("=")
        folder = system_folder(exp, name)
        row = System(name, display or display_name(name))
        row.parameters = count_parameters(folder, row.missing)
        row.fer = read_fer(folder, row.missing)
        row.seconds_per_frame = seconds.get(name)
        if row.seconds_per_frame is None:
            row.missing.append("run time: not timed")
        decoded = [decode_name(name, lm) for name in (dev, test)]
        absent = [name for name in decoded if not any((folder / name).glob("wer_*"))]
        if absent:
            row.missing.append(f"WER: no wer files in {' and '.join(absent)}")
        else:
            row.errors = tune(*(folder / name for name in decoded))
            figure = basic_figure(folder / decoded[1], row.errors.pair)
            if figure:
                row.interval = interval(replicates(figure.utterances))
                speakers = len({utterance.group for utterance in figure.utterances})
                if speakers < FEW:
                    row.missing.append(f"interval: {speakers} speakers are too few for a bootstrap to be believed")
            else:
                row.missing.append("interval: scored without counts by utterance (score again: steps/score)")
            row.stm = gather_stm(folder / decoded[1], row.errors.pair)
        rows.append(row)
    return rows


def system_folder(exp, name: str) -> Path:
    folder = Path(exp) / name
    if not folder.is_dir():
        raise RecipeError("no such system", file=folder, expected="a directory of a trained system", found="nothing",
                          next="run the earlier stages, or leave it out")
    return folder


def decode_name(set_name: str, lm: str) -> str:
    """A decoding directory's name within its system's."""
    return f"decode_{set_name}_{lm}" if lm else f"decode_{set_name}"


def gather_stm(decode_dir: Path, pair: Pair) -> dict[str, StmFigure]:
    scorer = stm_scorer(decode_dir)
    if scorer is None:
        return {}
    return {subset: StmFigure(scorer, figure.counts, interval(replicates(figure.utterances)))
            for subset, figure in stm_figures(decode_dir, pair).items()}


def display_name(name: str) -> str:
    student = re.fullmatch(r"student_l([\d.]+)_c(\d+)", name)
    if student:
        return f"CNN taught by LSTMs, lambda {student[1]}, C = {student[2]}"
    return NAMES.get(name, re.sub(r"^lstm(\d*)$", r"BLSTM \1", name).strip())


def read_json(path: Path):
    try:
        return json.loads(Path(require_file(path)).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError("not JSON", file=path, found=str(error), next="make it again") from None


def read_timing(path) -> dict[str, float]:
    """Seconds per frame by name: a system's path below the folder that all are in, exp: cnn, cldnn/lstm."""
    path = Path(path)
    times = read_json(path / "timing.json" if path.is_dir() else path)["seconds_per_frame"]
    above = os.path.commonpath([str(Path(folder).parent) for folder in times])
    return {os.path.relpath(folder, above): float(value) for folder, value in times.items()}


def read_fer(folder: Path, missing: list[str]) -> float | None:
    if (folder / "eval.json").exists():
        result = read_json(folder / "eval.json")
        if "fer" in result:
            return 100.0 * result["fer"]
        missing.append(f"FER: CTC learns no labels of frames; {100 * result['uer']:.2f} % of the units of the best path are wrong")
        return None
    missing.append("FER: a GMM has none" if (folder / "final.mdl").exists() else "FER: no eval.json")
    return None


def count_parameters(folder: Path, missing: list[str]) -> int | None:
    """Parameters of a network, of all members of an ensemble, or of all Gaussians of a GMM (mean, variance, weight)."""
    if (folder / "info.json").exists():
        return int(read_json(folder / "info.json")["parameters"])
    if (folder / "ensemble.yaml").exists():
        members = [count_parameters(folder.parent / member, [])
                   for member in load_config(folder / "ensemble.yaml")["members"]]
        known = [count for count in members if count is not None]
        if len(known) == len(members):
            return sum(known)
    elif (folder / "final.mdl").exists():
        from ..hmm.model import AcousticModel

        gmm = AcousticModel.load(folder).gmm
        if gmm is not None:
            return int(gmm.num_gauss * (2 * gmm.dim + 1))
    missing.append("parameters: neither info.json nor Gaussians")
    return None


def gather_coverage(exp) -> list[Coverage]:
    """Table 2 of every soft-label store in the exp directory."""
    rows = []
    for path in sorted(Path(exp).glob("*/meta.json")):
        meta = read_json(path)
        rows += [Coverage(path.parent.name, row["C"], 100.0 * row["mass"], row["classes"])
                 for row in meta.get("coverage", ())]
    return rows

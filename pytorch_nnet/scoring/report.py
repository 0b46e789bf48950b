"""Tables 1 and 2 of the paper for a corpus, as RESULTS.md and as tab-separated files."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Sequence

from ..io.errors import RecipeError
from ..io.publish import publish
from .paper import COVERAGE, paper_row
from .results import Coverage, System

ROOT = Path(__file__).resolve().parents[2]
TABLE1 = ("system", "parameters", "FER %", "dev WER %", "test WER %", "ins", "del", "sub", "words", "failed", "LMWT",
          "WIP", "oracle test WER %", "run time")
LEGEND = """\
FER on {dev}. WER = (ins + del + sub) / words; LM weight (LMWT) and word insertion penalty (WIP) are those with the
lowest WER on {dev} (of equals the smaller); *oracle* is the lowest WER any of them gives on {test}, for comparison
only. *failed* counts test utterances without a hypothesis: all their words are deletions. Run time of a frame relative to
`{baseline}`. Parameters of a GMM: mean, variance and weight of every Gaussian."""
PAPER = ("system", "FER %", "test WER %", "the paper's", "FER %", "WER %", "parameters", "run time")
PAPER_LEGEND = """\
The paper: Switchboard, 300 hours, 9000 classes, FER on a held-out hour, WER on the Switchboard part of Hub5'00
(arXiv:1511.06433). Another corpus gives other numbers; the order of the systems is what compares."""
TABLE2 = ("soft labels", "C", "mass covered %", "classes kept, mean", "paper: mass %", "paper: classes")


def number(value: float | None, form: str = ".2f") -> str:
    return "n/a" if value is None else format(value, form)


def size(parameters: int | None) -> str:
    """Three significant digits with K or M."""
    if parameters is None:
        return "n/a"
    for limit, suffix in ((1e6, "M"), (1e3, "K")):
        if parameters >= limit:
            scaled = parameters / limit
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{suffix}"
    return str(parameters)


def table1(systems: Sequence[System], baseline: str) -> list[list[str]]:
    """Rows of Table 1; the run time is relative to the system `baseline`."""
    names = {system.name: system for system in systems}
    if baseline not in names:
        raise RecipeError("the baseline of the run times is not among the systems", id=baseline,
                          expected=", ".join(names), found=baseline)
    unit = names[baseline].seconds_per_frame
    rows = []
    for system in systems:
        seconds, errors = system.seconds_per_frame, system.errors
        row = [system.display, size(system.parameters), number(system.fer)]
        if errors:
            test = errors.test
            row += [number(errors.dev.wer), number(test.wer), *map(str, (test.ins, test.dels, test.sub, test.words,
                                                                         test.failed)),
                    f"{errors.pair[0]:g}", f"{errors.pair[1]:g}", number(errors.oracle.wer)]
        else:
            row += ["n/a"] * 10
        rows.append([*row, f"x{seconds / unit:.2f}" if seconds and unit else "n/a"])
    return rows


def beside_the_paper(systems: Sequence[System]) -> list[list[str]]:
    rows = []
    for system in systems:
        paper = paper_row(system.name)
        if paper:
            rows.append([system.display, number(system.fer), number(system.errors and system.errors.test.wer),
                         paper.name,
                         number(paper.fer), number(paper.wer), paper.parameters or "n/a",
                         "n/a" if paper.run_time is None else f"x{paper.run_time:g}"])
    return rows


def table2(coverage: Sequence[Coverage]) -> list[list[str]]:
    rows = []
    for row in coverage:
        mass, classes = COVERAGE.get(row.c, (None, None))
        rows.append([row.teacher, str(row.c), number(row.mass), number(row.classes), number(mass), number(classes)])
    return rows


def write_tables(out, systems: Sequence[System], coverage: Sequence[Coverage], *, baseline: str, dev: str, test: str,
                 figures: Sequence[str] = ()) -> None:
    """Publishes table1.tsv, table2.tsv and RESULTS.md in the folder `out`."""
    out = Path(out)
    first, second = table1(systems, baseline), table2(coverage)
    write_tsv(out / "table1.tsv", ("name", *TABLE1), [[system.name, *row] for system, row in zip(systems, first)])
    write_tsv(out / "table2.tsv", TABLE2, second)
    text = ["# Results", "",
            f"Tuned on {dev}, tested on {test}. Commit {commit()}; {machine()}; {time.strftime('%Y-%m-%d')}.", "",
            "## Table 1: systems", "", markdown(TABLE1, first), "",
            LEGEND.format(dev=dev, test=test, baseline=baseline), ""]
    notes = doubts(systems)
    if notes:
        text += ["n/a and doubtful:", "", *notes, ""]
    beside = beside_the_paper(systems)
    if beside:
        text += ["## Beside the paper", "", markdown(PAPER, beside), "", PAPER_LEGEND, ""]
    if second:
        text += ["## Table 2: posterior mass kept by the C most probable classes", "", markdown(TABLE2, second), ""]
    text += [line for name in figures for line in (f"![{Path(name).stem}]({name})", "")]
    with publish(out / "RESULTS.md") as file:
        file.write("\n".join(text).rstrip() + "\n")


def doubts(systems: Sequence[System]) -> list[str]:
    """What is missing, with the reason, and what to distrust; systems with the same reason together."""
    concerned: dict[str, list[str]] = {}
    for system in systems:
        reasons = list(system.missing)
        if system.errors and system.errors.at_edge:
            reasons.append(f"the LM weight chosen, {system.errors.pair[0]:g}, is at the edge of the sweep; widen it")
        for reason in reasons:
            concerned.setdefault(reason, []).append(system.display)
    return [f"- {reason}: {'; '.join(names)}" for reason, names in concerned.items()]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose numbers stand right."""
    ruler = ["---" if any(not is_number(row[column]) for row in rows) else "---:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ruler, *rows))


def is_number(cell: str) -> bool:
    return cell == "n/a" or cell.lstrip("x").rstrip("KM").replace(".", "", 1).isdigit()


def write_tsv(path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with publish(path) as file:
        file.writelines("\t".join(row) + "\n" for row in (header, *rows))


def commit() -> str:
    """The working tree's commit, '-dirty' if tracked files differ from it."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], cwd=ROOT,
                              capture_output=True, text=True)
    except OSError:
        return "unknown (no git)"
    return done.stdout.strip() or "unknown (no repository)"


def machine() -> str:
    """CPU model and the cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
                 platform.processor() or platform.machine())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores"

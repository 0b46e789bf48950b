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
TABLE1 = ("system", "parameters", "FER %", "dev WER %", "test WER %", "95 % interval", "ins", "del", "sub", "words", "failed", "LMWT",
          "WIP", "oracle test WER %", "run time")
LEGEND = """\
FER on {dev}. WER = (ins + del + sub) / words, by the basic scorer: words are compared with the transcript after the recipe's
scoring rules. The interval holds 95 % of the bootstrap samples of the speakers of {test} (Bisani and Ney 2004); that other training
runs would give other figures is not in it. LM weight (LMWT) and word insertion penalty (WIP) are those with the lowest WER on {dev},
averaged with that of neighbouring LM weights (of equals the smaller); *oracle* is the lowest WER any of them gives on {test}, for
comparison only. *failed* counts test utterances without a hypothesis: all their words are deletions. Run time of a frame relative to
`{baseline}`. Parameters of a GMM: mean, variance and weight of every Gaussian."""
STM_LEGEND = """\
{test} against its stm and glm, by NIST's rules, at the LM weight and penalty of Table 1. Scorer: {scorers}. Intervals are
those of a bootstrap over conversation sides. Words of the reference: {words}. Tests between systems: significance.tsv."""
PARTS = {"swbd": "Switchboard", "callhm": "CallHome", "fsh": "Fisher", "all": "all"}
SCORER_NAMES = {"hubscr": "hubscr (NIST)", "builtin": "built in, which counts as hubscr does"}
STM_TSV = ("name", "scorer", "part", "WER %", "low", "high", "ins", "del", "sub", "words", "segments", "failed", "LMWT", "WIP")
PAPER = ("system", "FER %", "test WER %", "the paper's", "FER %", "WER %", "parameters", "run time")
PAPER_LEGEND = """\
Our WER: of the Switchboard part where the test set has one (Table 1b), else of Table 1. The paper: Switchboard, 300 hours, 9000
classes, FER on a held-out hour, WER on the Switchboard part of Hub5'00 (arXiv:1511.06433). Another corpus gives other numbers; the
order of the systems is what compares."""
TABLE2 = ("soft labels", "C", "mass covered %", "classes kept, mean", "paper: mass %", "paper: classes")


def number(value: float | None, form: str = ".2f") -> str:
    return "n/a" if value is None else format(value, form)


def brackets(bounds: tuple[float, float] | None) -> str:
    return "n/a" if bounds is None else f"[{bounds[0]:.2f}, {bounds[1]:.2f}]"


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
            row += [number(errors.dev.wer), number(test.wer), brackets(system.interval),
                    *map(str, (test.ins, test.dels, test.sub, test.words, test.failed)),
                    f"{errors.pair[0]:g}", f"{errors.pair[1]:g}", number(errors.oracle.wer)]
        else:
            row += ["n/a"] * 11
        rows.append([*row, f"x{seconds / unit:.2f}" if seconds and unit else "n/a"])
    return rows


def beside_the_paper(systems: Sequence[System]) -> list[list[str]]:
    rows = []
    for system in systems:
        paper = paper_row(system.name)
        if paper:
            part = system.stm.get("swbd")
            counts = part.counts if part else system.errors.test if system.errors else None
            rows.append([system.display, number(system.fer), number(counts.wer if counts else None), paper.name,
                         number(paper.fer), number(paper.wer), paper.parameters or "n/a",
                         "n/a" if paper.run_time is None else f"x{paper.run_time:g}"])
    return rows


def stm_parts(systems: Sequence[System]) -> list[str]:
    return [part for part in PARTS if any(part in system.stm for system in systems)]


def stm_table(systems: Sequence[System]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of Table 1b: WER and interval on every part of the test set."""
    parts = stm_parts(systems)
    header = ["system"] + [column for part in parts for column in (f"{PARTS[part]} WER %", "95 % interval")]
    rows = []
    for system in systems:
        figures = [system.stm.get(part) for part in parts]
        rows.append([system.display] + [cell for figure in figures for cell in
                                        ((number(figure.counts.wer), brackets(figure.interval)) if figure else ("n/a", "n/a"))])
    return header, rows


def stm_rows(systems: Sequence[System]) -> list[list[str]]:
    """Rows of table1b.tsv, one a system and part."""
    return [[system.name, figure.scorer, part, number(figure.counts.wer), *map(number, figure.interval),
             *map(str, (figure.counts.ins, figure.counts.dels, figure.counts.sub, figure.counts.words, figure.counts.sentences,
                        figure.counts.failed)), *(map("{:g}".format, system.errors.pair) if system.errors else ("n/a", "n/a"))]
            for system in systems for part, figure in system.stm.items()]


def stm_section(systems: Sequence[System], test: str) -> list[str]:
    """Table 1b and its legend, as lines."""
    figures = [figure for system in systems for figure in system.stm.values()]
    scorers = " and ".join(SCORER_NAMES[name] for name in sorted({figure.scorer for figure in figures}))
    words = {part: sorted({system.stm[part].counts.words for system in systems if part in system.stm}) for part in stm_parts(systems)}
    # Alternatives of different length make the number depend on the hypothesis.
    told = ", ".join(f"{PARTS[part]} {' to '.join(map(str, dict.fromkeys((own[0], own[-1]))))}" for part, own in words.items())
    return ["## Table 1b: Hub5 scoring", "", markdown(*stm_table(systems)), "",
            STM_LEGEND.format(test=test, scorers=scorers, words=told), ""]


def table2(coverage: Sequence[Coverage]) -> list[list[str]]:
    rows = []
    for row in coverage:
        mass, classes = COVERAGE.get(row.c, (None, None))
        rows.append([row.teacher, str(row.c), number(row.mass), number(row.classes), number(mass), number(classes)])
    return rows


def write_tables(out, systems: Sequence[System], coverage: Sequence[Coverage], *, baseline: str, dev: str, test: str,
                 figures: Sequence[str] = ()) -> None:
    """Publishes table1.tsv, table1b.tsv (where there is an stm), table2.tsv and RESULTS.md in the folder `out`."""
    out = Path(out)
    first, second = table1(systems, baseline), table2(coverage)
    write_tsv(out / "table1.tsv", ("name", *TABLE1), [[system.name, *row] for system, row in zip(systems, first)])
    write_tsv(out / "table2.tsv", TABLE2, second)
    text = ["# Results", "",
            f"Tuned on {dev}, tested on {test}. Commit {commit()}; {machine()}; {time.strftime('%Y-%m-%d')}.", "",
            "## Table 1: systems", "", markdown(TABLE1, first), "",
            LEGEND.format(dev=dev, test=test, baseline=baseline), ""]
    if stm_parts(systems):
        text += stm_section(systems, test)
        write_tsv(out / "table1b.tsv", STM_TSV, stm_rows(systems))
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

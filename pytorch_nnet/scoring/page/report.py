"""The report of an experiment: every section from files that stages have left; what is not there is named with the reason."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

from ...frames.store import FrameStore
from ...hmm.aligned import AlignmentDir
from ...io.errors import RecipeError, require_file
from ...io.launcher import DEFAULT_CMD
from ...io.publish import publish
from ...training.records import read_records
from ..confusions import read_confusions
from ..costs import stage_costs
from ..results import decode_name
from ..transcripts import Transcript, transcripts
from ..tune import tune
from .charts import Row, fer_wer, wer_chart
from .cost import cost_table
from .curves import MARKS, all_curves, network_curves
from .document import Section, document
from .elements import escape, legend, picture_file
from .markdown import inline, render
from .phones import confusion_picture, worst_table
from .transcripts import frequent_errors, transcript_list
from .utterance import feature_picture

OWN_FIGURES = ("learning_curves.png", "fer_wer.png")  # of steps/make_tables: the report draws them itself
READING = """\
<p>Words as the basic scorer counts them, at the LM weight and penalty tuned on {dev}. The words of the reference stand above; where the
system differs, its own stand below, with the time in the recording, in seconds, at which a word begins:</p>
<p class="said sample"><span><b>right</b><i>&nbsp;</i><u>1.20</u></span> <span class="S"><b>said</b><i>set</i><u>1.55</u></span>
<span class="D"><b>lost</b><i>&minus;</i><u>&nbsp;</u></span> <span class="I"><b>&nbsp;</b><i>added</i><u>2.31</u></span></p>
<p>A deleted word has no time of its own. Folded: one conversation side, or one speaker, a line.</p>"""


@dataclass
class Sources:
    """Where things lie.

    dev, test: data directories; their names are those of the sets. results: the folder with RESULTS.md and table1.tsv, in which the report
    goes.
    lm: in the names of decoding directories. shown: systems whose transcripts are shown, by name; empty: the best on dev and the baseline.
    more: other folders with a RESULTS.md. paper: the folder of PAPER.md, in which the report then goes, or None.
    """

    dev: Path
    test: Path
    lang: Path
    exp: Path
    results: Path
    lm: str
    baseline: str
    shown: list[str] = field(default_factory=list)
    more: list[Path] = field(default_factory=list)
    paper: Path | None = None
    rules: str | None = None
    nj: int = 1
    cmd: str = DEFAULT_CMD


def write_page(sources: Sources) -> Path:
    """Publishes report.html in the folder of the results, or of the paper's, and returns its path."""
    table = read_table(sources.results / "table1.tsv")
    lines = require_lines(sources.results / "RESULTS.md")
    sections = [
        Section("results", "Results", wer_chart(table) + tables(sources.results, after_lead(lines))),
        *(Section(f"also-{folder.name}", f"Results: {folder.name}", document_section(folder, "RESULTS.md")) for folder in sources.more),
        Section("fer-wer", "Frame error against word error", fer_wer(table) or absent("no system has both")),
        Section("curves", "Learning curves", curves_section(sources, table)),
        Section("phones", "Phone confusions", phones_section(sources)),
        Section("features", "Features and alignment", features_section(sources)),
        Section("transcripts", "References and hypotheses", transcripts_section(sources, table)),
        *([Section("paper", "The paper's experiments", document_section(sources.paper, "PAPER.md"))] if sources.paper else []),
        Section("cost", "Time and memory", cost_section(sources))]
    path = (sources.paper or sources.results) / "report.html"
    with publish(path) as file:
        file.write(document(f"Speech recognition on {sources.test.name}", lead(table, lines), sections))
    return path


def read_table(path: Path) -> list[Row]:
    with open(require_file(path, next="steps/make_tables"), encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def require_lines(path: Path) -> list[str]:
    return Path(require_file(path, next="steps/make_tables")).read_text(encoding="utf-8").splitlines()


def absent(reason: str) -> str:
    return f"<p>n/a: {escape(reason)}.</p>"


def lead(table: Sequence[Row], lines: Sequence[str]) -> str:
    """What was tuned and tested on what, and the system that dev says is the best."""
    told = next((line for line in lines[1:] if line.strip()), "")
    best = best_on_dev(table)
    figure = ""
    if best:
        row = next(row for row in table if row["name"] == best)
        figure = (f'<p class="lead">Of {len(table)} systems the best on dev is <strong>{escape(row["system"])}</strong>: '
                  f'WER {row["dev WER %"]}&nbsp;% on dev, <strong>{row["test WER %"]}&nbsp;%</strong> on the test set.</p>')
    return f'{figure}<p class="quiet">{inline(told)}</p>'


def after_lead(lines: Sequence[str]) -> list[str]:
    """The lines without the first paragraph, which `lead` shows."""
    start = next((place for place, line in enumerate(lines[1:], 1) if line.strip()), len(lines))
    return [*lines[:1], *lines[start + 1:]]


def best_on_dev(table: Sequence[Row]) -> str | None:
    """The name of the system with the lowest WER on dev, of equals the first."""
    known = [(float(row["dev WER %"]), row["name"]) for row in table if row["dev WER %"] != "n/a"]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def tables(folder: Path, lines: Sequence[str]) -> str:
    """A report of ours below its title, with the pictures in it."""

    def picture(name: str, words: str) -> str:
        return "" if name in OWN_FIGURES else picture_file(folder / name, words)

    return render(lines[1:], picture, level=2)


def document_section(folder: Path, name: str) -> str:
    return tables(folder, require_lines(folder / name))


def curves_section(sources: Sources, table: Sequence[Row]) -> str:
    curves = {row["system"]: records for row in table if (records := read_records(sources.exp / row["name"]))}
    if not curves:
        return absent("no system has a train.jsonl")
    panels = "".join(network_curves(name, records) for name, records in curves.items())
    note = ("<p>During training the networks are validated on the frames of dev that <code>valid_frames</code> asks for; "
            "Table 1's FER is of all of them.</p>")
    return f'{note}{all_curves(curves)}<h3>Each network</h3>{legend(MARKS)}<div class="panels">{panels}</div>'


def phones_section(sources: Sources) -> str:
    folder = sources.exp / "confusions"
    paths = sorted(folder.glob("*.tsv"))
    if not paths:
        return absent(f"no {folder} (steps/phone_confusions)")
    parts = []
    for path in paths:
        found = read_confusions(path)
        told = f"{found.error:.2f} % of {found.frames.sum()} frames of {sources.dev.name} have another phone than their label."
        parts.append(f"<h3>{escape(path.stem)}</h3><p>{escape(told)}</p>{confusion_picture(found)}"
                     f"<h4>The most frequent confusions</h4>{worst_table(found)}")
    return "".join(parts)


def features_section(sources: Sources) -> str:
    store, ali = (sources.exp / f"{what}_{sources.dev.name}" for what in ("frames", "dnn_ali"))
    if not (store / "meta.json").exists() or not (ali / "num_jobs").exists():
        return absent(f"no {store} or no {ali}")
    return feature_picture(FrameStore.open(store), AlignmentDir(sources.dev, sources.lang, ali))


def transcripts_section(sources: Sources, table: Sequence[Row]) -> str:
    names = sources.shown or list(dict.fromkeys(filter(None, (best_on_dev(table), sources.baseline))))
    displays = {row["name"]: row["system"] for row in table}
    for name in names:
        if name not in displays:
            raise RecipeError("a system whose transcripts are asked for is not in the tables", id=name, expected=", ".join(displays), found=name)
    decoded = {name: [sources.exp / name / decode_name(data.name, sources.lm) for data in (sources.dev, sources.test)] for name in names}
    missing = [str(folder) for folders in decoded.values() for folder in folders if not any(folder.glob("wer_*"))]
    if missing:
        return absent(f"no wer files in {' and '.join(missing)}")
    found: dict[str, list[Transcript]] = {
        displays[name]: transcripts(sources.test, sources.lang, folders[1], tune(*folders).pair, rules_file=sources.rules, nj=sources.nj,
                                    cmd=sources.cmd) for name, folders in decoded.items()}
    often = (f"<h3>The most frequent errors of {escape(name)}</h3>{frequent_errors(own)}" for name, own in found.items())
    return "".join(often) + f"<h3>Every utterance</h3>{READING.format(dev=escape(sources.dev.name))}{transcript_list(found)}"


def cost_section(sources: Sources) -> str:
    stages, unknown = stage_costs([sources.test.parent, sources.exp], sources.exp.parent)
    old = f"<p>{unknown} commands of an older version left no stage in their markers and are not counted.</p>" if unknown else ""
    if not stages:
        return absent("no marker says what its command took") + old
    return ("<p>Of the last run of every command, until this report was made. Time: in which at least one command of the stage ran; peak: "
            "resident memory of the largest process. Work of a command that was killed and went on later, and work on other machines, is "
            "not in it.</p>"
            f"{cost_table(stages)}{old}")

"""PAPER.md: the paper's tables, figures and claims on a corpus, the paper's own values beside them."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, Sequence

from ..decoding.forward import NETWORKS
from ..frames.store import FrameStore
from ..io.publish import publish
from .paper import paper_row
from .paper_claims import judge
from .paper_figures import Drawn, figure2, figure3, gamma_figures, lambda_figures
from .paper_results import METRICS, Gap, Results, told
from .report import TABLE2, commit, machine, markdown, number, size, table2, write_tsv
from .results import Coverage, count_parameters, gather_coverage, read_json, read_timing

ROWS = {"sainath": "Sainath-style CNN", "cnn": "vision-style CNN", "lstm1": "smaller BLSTM", "lstm2": "bigger BLSTM", "ens_lstm_cnn": "LSTM + CNN",
        "ens_2cnn": "2 CNNs", "ens_3cnn": "3 CNNs", "ens_2lstm": "2 LSTMs, the teacher", "ens_3lstm": "3 LSTMs",
        "ens_2lstm_cnn": "2 LSTMs + CNN", "student_l0.75_c90": "LSTM -> CNN blending, lambda 0.75, C = 90",
        "self": "CNN -> CNN self-teaching, lambda 0.5, C = 90"}
TIMED = ("sainath", "cnn", "lstm1", "lstm2", "ens_lstm_cnn", "student_l0.75_c90")
TABLE1 = ("system", "parameters", "n", "FER %", "n", "WER %", "paper: FER %", "WER %", "parameters")
TABLE1_TSV = ("name", "system", "parameters", *(f"{metric} {what}" for metric in METRICS.values() for what in ("n", "mean", "deviation", "min", "max")),
              "paper FER", "paper WER", "paper parameters")
COST = ("system", "parameters", "M multiplications a frame", "ratio", "us a frame", "ratio", "paper: parameters", "run time")
OVERLAP = ("pair", "n", "wrong %, mean of the two", "both wrong %", "by chance %", "both wrong alike %", "alike, of both wrong %", "kappa")
PAIRS = ("CNN-LSTM", "CNN-CNN", "LSTM-LSTM")

HEAD = """\
FER on {dev}. WER on {what}; LM weight and word insertion penalty of each system are those with the lowest WER on {dev}. Figures are
means over seeds, with the least and the largest in brackets where n, the number of seeds, is above one. The paper: Switchboard, 309
hours, 9000 classes, WER on the Switchboard part of Hub5'00 (arXiv:1511.06433); on another corpus the order of the systems is what
compares."""
CLAIMS_LEGEND = """\
Held: the means are in that order, nothing more; whether the difference exceeds one standard deviation over seeds is said beside it."""
COST_LEGEND = """\
Multiplications: of one window, from the layers' sizes, every window by itself as in the paper. Time: whole utterances on one thread,
where CNNs share what windows have in common and LSTMs cannot (steps/time_nnets). Ratios to the vision-style CNN; the paper's run times
are measured ones."""
OVERLAP_LEGEND = """\
Means over the n pairs of networks of each kind, on {frames} frames of {store}. By chance: what both would get wrong were their
errors independent. Kappa, Cohen's, takes their error rates out: 0 where the frames that both get wrong are as many as by chance, 1 where
they are the same."""


class Sources(NamedTuple):
    """Where things lie. data holds <dev> and lang; exp what local/run_paper.sh has made."""

    exp: Path
    data: Path
    dev: str
    test: str
    ali: str = "dnn_ali_{dev}"


def table1(results: Results) -> tuple[list[list[str]], list[list[str]], list[Gap]]:
    """Rows for the report, for the tsv, and what is missing."""
    rows, tsv, missing = [], [], []
    for name, display in ROWS.items():
        fer, wer = (results.spread(name, metric) for metric in METRICS)
        paper = paper_row(name)
        theirs = [number(paper.fer if paper else None), number(paper.wer if paper else None), paper and paper.parameters or "n/a"]
        folder = results.exp / name
        parameters = size(count_parameters(folder, []) if folder.is_dir() else None)
        rows.append([display, parameters, str(fer.n), fer.text(), str(wer.n), wer.text(), *theirs])
        figures = [cell for one in (fer, wer) for cell in (
            str(one.n), number(one.mean), number(one.deviation), number(min(one.values, default=None)), number(max(one.values, default=None)))]
        tsv.append([name, display, parameters, *figures, *theirs])
        missing += [*fer.missing, *wer.missing]
    return rows, tsv, missing


def cost_table(exp: Path) -> tuple[list[list[str]], list[str]]:
    """Test-time cost of TIMED, and what is missing. Times are run.sh's, exp/timing."""
    from ..models import load_model
    from ..models.operations import multiplications

    timing = exp / "timing" / "timing.json"
    seconds = read_timing(timing) if timing.exists() else {}
    missing = [] if seconds else [f"run times: no {timing} (steps/time_nnets)"]
    counts = {}
    for name in TIMED:
        if not any((exp / name / file).exists() for file in NETWORKS):
            missing.append(f"cost of {name}: not made")
            continue
        model = load_model(exp / name)
        counts[name] = model.parameters, sum(multiplications(network.module, network.dim) for network, _ in model.members)
    rows = []
    for name in TIMED:
        paper, (parameters, products) = paper_row(name), counts.get(name, (None, None))
        time_ratio = seconds[name] / seconds["cnn"] if name in seconds and seconds.get("cnn") else None
        rows.append([ROWS[name], size(parameters), number(products and products / 1e6),
                     f"x{products / counts['cnn'][1]:.2f}" if products and "cnn" in counts else "n/a",
                     number(seconds[name] * 1e6, ".1f") if name in seconds else "n/a", f"x{time_ratio:.2f}" if time_ratio else "n/a",
                     paper and paper.parameters or "n/a", f"x{paper.run_time:g}" if paper and paper.run_time else "n/a"])
    return rows, missing


def overlap_table(pairs: Sequence[dict[str, Any]]) -> tuple[list[list[str]], str]:
    """Rows, and in a sentence whether unlike networks' errors are the least alike, as the paper observed."""
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair["kinds"]].append(pair)
    rows, kappas = [], {}
    for kinds in PAIRS:
        own = groups.get(kinds, [])
        mean = {key: fmean(pair[key] for pair in own) for key in ("both_wrong", "chance", "same_wrong", "kappa", "same_share")} if own else {}
        wrong = fmean((pair["first_wrong"] + pair["second_wrong"]) / 2 for pair in own) if own else None
        percent = [number(value if value is None else 100 * value) for value in
                   (wrong, *(mean.get(key) for key in ("both_wrong", "chance", "same_wrong", "same_share")))]
        rows.append([kinds, str(len(own)), *percent, number(mean.get("kappa"), ".3f")])
        kappas[kinds] = mean.get("kappa")
    known = {kinds: value for kinds, value in kappas.items() if value is not None}
    if len(known) < len(kappas):
        return rows, "n/a: " + "; ".join(f"no {kinds} pair" for kinds, value in kappas.items() if value is None)
    least = min(known, key=lambda kinds: known[kinds])
    verdict = "held" if least == "CNN-LSTM" else "not held"
    figures = ", ".join(f"{kinds} {value:.3f}" for kinds, value in known.items())
    return rows, f"The paper: errors of a CNN and an LSTM are less alike than those of two CNNs or two LSTMs. Here **{verdict}** (kappa: {figures})."


def claims_section(results: Results, out: Path) -> list[str]:
    claims = judge(results)
    write_tsv(out / "claims.tsv", ("claim", "outcome", "metric", "held", "figures"), [
        [claim.text, claim.outcome, verdict.metric, {True: "yes", False: "no", None: "n/a"}[verdict.held], verdict.figures]
        for claim in claims for verdict in claim.verdicts])
    lines = ["## The paper's claims", ""]
    for index, claim in enumerate(claims, 1):
        lines += [f"{index}. {claim.text} **{claim.outcome}**", ""]
        lines += [f"   - {verdict.metric}: {verdict.figures}" for verdict in claim.verdicts]
        lines += [f"   - the paper: {claim.paper}", ""]
    return [*lines, CLAIMS_LEGEND, ""]


def table2_section(coverage: Sequence[Coverage], out: Path) -> list[str]:
    rows = table2(coverage)
    write_tsv(out / "table2.tsv", TABLE2, rows)
    body = markdown(TABLE2, rows) if rows else "n/a: no soft-label store"
    return ["## Table 2: posterior mass kept by the C most probable classes", "", body, ""]


def overlap_section(exp: Path, out: Path) -> list[str]:
    path = exp / "error_overlap" / "overlap.json"
    lines = ["## How alike errors are (section 5.2)", ""]
    if not path.exists():
        return [*lines, f"n/a: no {path} (steps/compare_errors)", ""]
    found = read_json(path)
    rows, sentence = overlap_table(found["pairs"])
    write_tsv(out / "overlap.tsv", OVERLAP, rows)
    return [*lines, markdown(OVERLAP, rows), "", sentence, "", OVERLAP_LEGEND.format(frames=found["frames"], store=found["store"]), ""]


def figures_section(sources: Sources, results: Results, out: Path) -> list[str]:
    exp, mass = sources.exp, sources.exp / "posterior_mass" / "mass.json"
    drawn: list[Drawn] = []
    for title, name, draw in (
            ("Figure 2", "frames_train", lambda store: figure2(out, store, read_json(mass) if mass.exists() else None)),
            ("Figure 3", f"frames_{sources.dev}",
             lambda store: figure3(out, store, sources.data, sources.dev, exp / sources.ali.format(dev=sources.dev)))):
        made = (exp / name / "meta.json").exists()
        drawn.append(draw(FrameStore.open(exp / name)) if made else Drawn(title, "", None, f"no {exp / name}"))
    drawn += [*gamma_figures(out, results), *lambda_figures(out, results)]
    lines = ["## Figures", ""]
    for figure in drawn:
        lines += [f"### {figure.title}", "", f"![{figure.title}]({figure.file})" if figure.file else f"n/a: {figure.reason}", "",
                  *([figure.legend, ""] if figure.legend else [])]
    return lines


def write_report(out, sources: Sources, results: Results) -> Path:
    """Publishes PAPER.md, its tables as tsv and its figures as png with tsv in the folder `out`; returns PAPER.md's path."""
    out = Path(out)
    rows, tsv, missing = table1(results)
    write_tsv(out / "table1.tsv", TABLE1_TSV, tsv)
    cost, absent = cost_table(sources.exp)
    write_tsv(out / "cost.tsv", COST, cost)
    coverage = [row for row in gather_coverage(sources.exp) if row.teacher in ("soft_ens_2lstm", "soft_cnn")]
    rest = [*table2_section(coverage, out), *overlap_section(sources.exp, out),
            "## Test-time cost", "", markdown(COST, cost), "", COST_LEGEND, ""]
    figures = figures_section(sources, results, out)
    claims = claims_section(results, out)  # after the figures and tables, so that results knows every system
    plan, counted = results.plan, {row.words for row in results.known.values() if row.words}
    what = f"the Switchboard part of {sources.test} by NIST's rules" if results.scorers()[:1] not in ([], ["basic"]) else sources.test
    words = f" ({' or '.join(map(str, sorted(counted)))} words)" if counted else ""
    text = ["# Blending LSTMs into CNNs", "",
            (f"Seeds {', '.join(map(str, plan.seeds))}; lambda x C grid: seeds {', '.join(map(str, plan.grid_seeds))}. "
             f"Commit {commit()}; {machine()}; {time.strftime('%Y-%m-%d')}."), "",
            HEAD.format(dev=sources.dev, what=what + words), "", *claims, "## Table 1", "", markdown(TABLE1, rows), ""]
    notes = [*(f"- {line}" for line in (*told(missing), *absent)), *results.doubts()]
    if notes:
        text += ["n/a and doubtful:", "", *notes, ""]
    with publish(out / "PAPER.md") as file:
        file.write("\n".join([*text, *rest, *figures]).rstrip() + "\n")
    return out / "PAPER.md"

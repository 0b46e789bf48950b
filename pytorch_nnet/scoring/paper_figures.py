"""Figures 2 to 7 of the paper, each with the figures it is drawn from as a tab-separated file."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

import numpy as np

from ..frames.store import FrameStore
from .figures import save, start
from .paper import COVERAGE, paper_row
from .paper_mass import classes_for
from .paper_results import METRICS, Gap, Plan, Results, told
from .report import number, write_tsv

SHARES = (0.99, 0.995, 0.999)  # of the mass, marked in Figure 2
SHIFT = 0.01  # seconds a frame
FIGURE_3_FRAMES = 300  # the utterance nearest to this length is shown
AXES = {"fer": "FER, dev (%)", "wer": "WER, test (%)"}
PAIRS = {"lstm_cnn": "LSTM + CNN", "cnn_cnn": "CNN + CNN", "lstm_lstm": "LSTM + LSTM"}
MARKERS = "osD^v<>P"
THEIRS = ("paper: FER %", "paper: WER %")


class Drawn(NamedTuple):
    """title and legend for the report; the figure's file name, or the reason why there is none."""

    title: str
    legend: str
    file: str | None
    reason: str = ""


def figure2(out: Path, store: FrameStore, mass: dict | None) -> Drawn:
    """Lengths of the training utterances, classes by how often they are labels, mass by rank (None: that panel says so)."""
    lengths = np.diff(store.offsets)
    covered = np.cumsum(np.sort(store.label_counts())[::-1]) / store.num_frames
    figure, axes = start().subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    axes[0].hist(lengths, bins=50, color="C0")
    axes[0].set(title="Utterance lengths, train", xlabel="length (frames of 10 ms)", ylabel="utterances")
    ranks = np.arange(1, store.num_classes + 1)
    axes[1].plot(ranks, covered, color="C0", label="labels")
    axes[1].plot([0, store.num_classes], [0, 1], "k--", linewidth=1, label="uniform")
    axes[1].set(title="Class coverage, train", xlabel="most frequent classes", ylabel="fraction of frames covered", ylim=(0, 1.02))
    axes[1].legend(loc="lower right")
    sums = np.cumsum(mass["mass"] if mass else [0.0] * store.num_classes)
    axes[2].set(title="Mass coverage", xlabel="most probable classes kept", ylabel="mean fraction of mass covered")
    marks = ""
    if mass is None:
        axes[2].text(0.5, 0.5, "n/a: no posterior_mass", ha="center", transform=axes[2].transAxes)
    else:
        name = Path(mass["model"]).name
        axes[2].plot(ranks, sums, color="C0", label=name)
        for colour, share in zip(("C1", "C2", "C3"), SHARES):
            axes[2].axvline(classes_for(np.array(mass["mass"]), share), color=colour, linestyle="--", linewidth=1,
                            label=f"{100 * share:g} %: {classes_for(np.array(mass['mass']), share)} classes")
        axes[2].plot(list(COVERAGE), [percent / 100 for percent, _ in COVERAGE.values()], "kx", label="the paper's teacher (Table 2)")
        axes[2].set(xscale="log", ylim=(0, 1.02))
        axes[2].legend(loc="lower right", fontsize=9)
        marks = f" Mass of {name} over {mass['frames']} training frames."
    for axis in axes:
        axis.grid(alpha=0.3)
    write_tsv(out / "figure2_lengths.tsv", ("frames", "utterances"), [[str(a), str(b)] for a, b in zip(*np.unique(lengths, return_counts=True))])
    write_tsv(out / "figure2_coverage.tsv", ("classes", "fraction of labels", "fraction of mass"),
              [[str(k + 1), f"{covered[k]:.6f}", f"{sums[k]:.6f}" if mass else "n/a"] for k in range(store.num_classes)])
    legend = (f"{store.num_utts} utterances, {store.num_frames} frames; {store.num_classes} classes (the paper: 248 k "
              f"utterances, 111 M frames, 9000 classes).{marks}")
    return Drawn("Figure 2: lengths, classes, mass", legend, save(figure, out / "figure2.png"))


def figure3(out: Path, store: FrameStore, data: Path, dev: str, ali: Path) -> Drawn:
    """Features of one utterance with the phones of its alignment, if `ali` is there."""
    title = "Figure 3: an utterance"
    index = int(np.argmin(np.abs(np.diff(store.offsets) - FIGURE_3_FRAMES)))
    utt = store.utts[index]
    _, features, labels = next(store.utterances([index]))
    phones = phones_of(utt, data, dev, ali)
    figure, axis = start().subplots(figsize=(13, 3.6), layout="constrained")
    seconds = SHIFT * len(features)
    image = axis.imshow(features.T, origin="lower", aspect="auto", extent=(0, seconds, 0.5, features.shape[1] + 0.5), cmap="magma")
    axis.set(xlabel="time (s)", ylabel="mel channel")
    figure.colorbar(image, label="feature, normalised", pad=0.01)
    borders = [start_of for _, start_of, _ in phones[1:]] if phones else np.flatnonzero(np.diff(labels)) + 1
    for border in borders:
        axis.axvline(SHIFT * border, color="white", linewidth=0.6, alpha=0.8)
    for name, begin, frames in phones:
        axis.text(SHIFT * (begin + frames / 2), features.shape[1] + 1.2, name, ha="center", va="bottom", fontsize=7, rotation=90)
    if phones:
        write_tsv(out / "figure3.tsv", ("phone", "start s", "end s"),
                  [[name, f"{SHIFT * begin:.2f}", f"{SHIFT * (begin + frames):.2f}"] for name, begin, frames in phones])
    else:
        write_tsv(out / "figure3.tsv", ("frame", "class"), [[str(t), str(label)] for t, label in enumerate(labels)])
    what = "Lines and names: phones of the alignment." if phones else f"Lines: where the class changes ({ali} is not there)."
    return Drawn(title, f"10th root of {features.shape[1]} mel channels, normalised; {utt}. {what}", save(figure, out / "figure3.png"))


def phones_of(utt: str, data: Path, dev: str, ali: Path) -> list[tuple[str, int, int]]:
    """(phone, first frame, frames), or nothing where there is no alignment."""
    if not (ali / "num_jobs").exists():
        return []
    from ..hmm.aligned import AlignmentDir

    return [(phone, begin, frames) for phone, begin, frames in AlignmentDir(data / dev, data / "lang", ali)[utt].phones]


def gamma_figures(out: Path, results: Results) -> list[Drawn]:
    """Figures 4 and 5: FER and WER of pairs against the first network's weight."""
    drawn, table = [], []
    plan = results.plan
    for pair in PAIRS:
        for gamma in plan.gammas if pair in plan.pairs() else ():
            row = results.get(plan.at_gamma(pair, gamma))
            table.append([PAIRS[pair], f"{gamma:g}", row.system, number(row.fer), number(row.wer), *theirs(row.system)])
    write_tsv(out / "figures4_5.tsv", ("pair", "gamma", "system", AXES["fer"], AXES["wer"], *THEIRS), table)
    for which, metric in enumerate(METRICS, 4):
        curves, gaps = {}, []
        for pair in plan.pairs():
            gaps += [gap for gamma in plan.gammas for gap in results.gap(plan.at_gamma(pair, gamma), metric)]
            points = [(gamma, getattr(results.get(plan.at_gamma(pair, gamma)), metric)) for gamma in plan.gammas]
            curves[PAIRS[pair]] = [(gamma, value) for gamma, value in points if value is not None]
        drawn.append(curve_figure(
            out / f"figure{which}.png", f"Figure {which}: {METRICS[metric]} of pairs",
            f"gamma is the weight of the pair's first network; at 0 and 1 one network is alone.{absent(gaps)}", curves, "gamma", AXES[metric]))
    return drawn


def lambda_figures(out: Path, results: Results) -> list[Drawn]:
    """Figures 6 and 7: FER and WER of students against lambda, for each C."""
    drawn, table = [], []
    plan = results.plan
    weights = [0.0, *plan.lambdas]
    for c in plan.top_cs:
        for weight in weights:
            spreads = [results.student(weight, c, metric) for metric in METRICS]
            printed = theirs("cnn" if not weight else plan.student(weight, c) if c == 90 else "")  # Table 1's, the only ones printed
            table.append([str(c), f"{weight:g}", *(cell for one in spreads for cell in (number(one.mean), str(one.n))), *printed])
    write_tsv(out / "figures6_7.tsv", ("C", "lambda", AXES["fer"], "n", AXES["wer"], "n", *THEIRS), table)
    for which, metric in enumerate(METRICS, 6):
        curves, gaps = {}, []
        for c in plan.top_cs:
            gaps += [gap for weight in plan.lambdas for gap in results.student(weight, c, metric).missing]
            points = [(weight, results.student(weight, c, metric).mean) for weight in plan.lambdas]
            curves[f"C = {c}"] = [(weight, value) for weight, value in points if value is not None]
        baseline = results.student(0, plan.top_cs[0], metric)
        drawn.append(curve_figure(
            out / f"figure{which}.png", f"Figure {which}: {METRICS[metric]} of students",
            f"Mean of {seeds_text(plan)}. Dashed: the baseline CNN, lambda 0.{absent(gaps)}", curves, "lambda", AXES[metric], baseline.mean))
    return drawn


def theirs(system: str) -> list[str]:
    """The paper's FER and WER of a system, where it prints them; its curves are only drawn."""
    row = paper_row(system)
    return [number(row.fer if row else None), number(row.wer if row else None)]


def absent(gaps: Sequence[Gap]) -> str:
    return f" n/a: {'; '.join(told(gaps, metrics=1))}." if gaps else ""


def seeds_text(plan: Plan) -> str:
    return f"{len(plan.grid_seeds)} seeds" if len(plan.grid_seeds) > 1 else f"one seed, {plan.grid_seeds[0]}"


def curve_figure(path: Path, title: str, legend: str, curves: Mapping[str, Sequence[tuple[float, float]]], xlabel: str, ylabel: str,
                 baseline: float | None = None) -> Drawn:
    """One line a curve; a curve without points is left to the legend, and a figure without any is not drawn."""
    if not any(curves.values()):
        path.unlink(missing_ok=True)
        return Drawn(title, legend, None, "no system of it has been made, or decoded")
    figure, axis = start().subplots(figsize=(7.5, 4.5), layout="constrained")
    for index, (label, points) in enumerate(curves.items()):
        label = label if points else f"{label}: n/a"
        axis.plot(*zip(*points) if points else ((), ()), marker=MARKERS[index % len(MARKERS)], color=f"C{index}", label=label)
    if baseline is not None:
        axis.axhline(baseline, color="black", linestyle="--", linewidth=1, label="baseline CNN")
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=(-0.03, 1.03))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    return Drawn(title, legend, save(figure, path))

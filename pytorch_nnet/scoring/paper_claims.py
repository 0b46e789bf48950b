"""The paper's five claims, each held or not on this corpus, by the figures measured here."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Callable, NamedTuple

from .paper_results import METRICS, Results, Spread, told

TABLE_STUDENT = (0.75, 90)  # lambda and C of the paper's Table 1


class Verdict(NamedTuple):
    """Of one claim in one metric. held is None if something is missing; `figures` says what it rests on, or what is missing."""

    metric: str
    held: bool | None
    figures: str


@dataclass
class Claim:
    text: str
    paper: str  # what the paper found
    verdicts: list[Verdict]

    @property
    def outcome(self) -> str:
        """held, not held, or in which metric only; n/a if neither could be judged."""
        judged = {verdict.metric: verdict.held for verdict in self.verdicts if verdict.held is not None}
        held = [metric for metric, yes in judged.items() if yes]
        if not judged:
            return "n/a"
        unjudged = "" if len(judged) == len(self.verdicts) else f" in {', '.join(judged)}"
        if len(held) in (0, len(judged)):
            return ("held" if held else "not held") + unjudged
        return f"held in {', '.join(held)} only"


def judge(results: Results) -> list[Claim]:
    claims = []
    for text, paper, rule in RULES:
        claims.append(Claim(text, paper, [Verdict(METRICS[metric], *rule(results, metric)) for metric in METRICS]))
    return claims


Judged = tuple[bool | None, str]


def unlike_ensembles(results: Results, metric: str) -> Judged:
    unlike = results.spread("ens_lstm_cnn", metric)
    like = {"2 LSTMs": results.spread("ens_2lstm", metric), "2 CNNs": results.spread("ens_2cnn", metric)}
    if not (unlike.n and all(one.n for one in like.values())):
        return None, missing([unlike, *like.values()])
    best = min(like.values(), key=lambda one: one.known_mean)
    listed = ", ".join(f"{name} {one.text()}" for name, one in like.items())
    return unlike.known_mean < best.known_mean, f"LSTM + CNN {unlike.text()}; {listed}; {difference(unlike, best)}"


def blending(results: Results, metric: str) -> Judged:
    return compare(results, metric, "student", results.plan.student(*TABLE_STUDENT), "baseline CNN", "cnn")


def less_by_itself(results: Results, metric: str) -> Judged:
    held, figures = compare(results, metric, "taught by LSTMs", results.plan.student(*TABLE_STUDENT), "taught by a CNN", "self")
    baseline = results.spread("cnn", metric)
    return held, figures if held is None else f"{figures}; baseline {baseline.text()}"


def best_weight_inside(results: Results, metric: str) -> Judged:
    weights = sorted({0.0, *results.plan.lambdas})
    if 1.0 not in weights or len(weights) < 3:
        return None, "needs lambda 1 and one between 0 and 1 in the grid"
    best = {}
    for c in results.plan.top_cs:
        points = {weight: results.student(weight, c, metric) for weight in weights}
        if not all(point.n for point in points.values()):
            return None, missing(list(points.values()))
        best[c] = min(points, key=lambda weight: points[weight].known_mean)
    listed = ", ".join(f"{weight:g} at C = {c}" for c, weight in best.items())
    return all(0 < weight < 1 for weight in best.values()), f"lowest {METRICS[metric]} at lambda {listed}"


def thirty_are_enough(results: Results, metric: str) -> Judged:
    """C = 30 no worse than 90 and C = 1 worse than 30, by the mean over lambda, beyond one standard deviation of a student's seeds."""
    if not {1, 30, 90} <= set(results.plan.top_cs):
        return None, "needs C 1, 30 and 90 in the grid"
    means = {}
    for c in (1, 30, 90):
        points = [results.student(weight, c, metric) for weight in results.plan.lambdas]
        if not all(point.n for point in points):
            return None, missing(points)
        means[c] = fmean(point.known_mean for point in points)
    deviation = results.spread(results.plan.student(*TABLE_STUDENT), metric).deviation
    margin = deviation or 0.0
    held = means[30] - means[90] <= margin < means[1] - means[30]
    known = f"margin {margin:.2f}, a student's standard deviation over seeds" if deviation is not None else \
        "margin 0, as a spread over seeds is not known"
    return held, "mean over lambda " + ", ".join(f"{value:.2f} at C = {c}" for c, value in means.items()) + f"; {known}"


def compare(results: Results, metric: str, title: str, name: str, other_title: str, other: str) -> Judged:
    one, two = results.spread(name, metric), results.spread(other, metric)
    if not (one.n and two.n):
        return None, missing([one, two])
    return one.known_mean < two.known_mean, f"{title} {one.text()}, {other_title} {two.text()}; {difference(one, two)}"


def difference(one: Spread, two: Spread) -> str:
    """The difference of two means, and whether it is more than seeds alone make."""
    value = one.known_mean - two.known_mean
    deviations = [spread.deviation for spread in (one, two) if spread.deviation is not None]
    if not deviations:
        remark = "one seed, so no spread to hold it against"
    else:
        remark = ("beyond" if abs(value) > max(deviations) else "within") + f" one standard deviation over seeds, {max(deviations):.2f}"
    if one.missing or two.missing:
        remark += "; not all seeds are there"
    return f"difference {value:+.2f}, {remark}"


def missing(spreads: list[Spread]) -> str:
    return "n/a: " + "; ".join(told((gap for spread in spreads for gap in spread.missing), metrics=1))


RULES: list[tuple[str, str, Callable[[Results, str], Judged]]] = [
    ("Ensembles of unlike models beat ensembles of like ones.",
     "LSTM + CNN 32.4 % FER, as two LSTMs have, and 13.4 % WER, better than two CNNs or two LSTMs (Figures 4 and 5)", unlike_ensembles),
    ("Blending beats its own baseline.", "FER 34.11 against 35.51 %, WER 13.83 against 14.1 % (Table 1)", blending),
    ("The best lambda lies strictly inside (0, 1).", "so for every C, with the best at 0.25, 0.5 or 0.75 (Figures 6 and 7)", best_weight_inside),
    ("C = 30 is enough, C = 1 is not.", "90 classes gave no better WER than 30; far fewer were far worse (Figure 7)", thirty_are_enough),
    ("Self-teaching helps less than an LSTM teacher.", "FER 34.61 against 34.11 %, WER 14.1 against 13.83 % (section 5.3)", less_by_itself)]

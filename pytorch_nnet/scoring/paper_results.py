"""The systems of the paper's experiments, by the names local/run_paper.sh gives them, and what was measured of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Iterable, NamedTuple

from ..io.errors import RecipeError
from .results import decode_name, read_fer
from .scored import pair_name, stm_scorer
from .tune import Pair, tune
from .wer import Counts, read_wer

METRICS = {"fer": "FER", "wer": "WER"}


@dataclass
class Plan:
    """What local/run_paper.sh was asked for. The first of `seeds` is that of the networks in exp itself; lambda 0 is the baseline
    CNN and not among `lambdas`."""

    seeds: list[int]
    grid_seeds: list[int]
    lambdas: list[float]
    top_cs: list[int]
    gammas: list[float]

    def system(self, name: str, seed: int) -> str:
        """Path under exp."""
        return name if seed == self.seeds[0] else f"seed{seed}/{name}"

    @staticmethod
    def student(weight: float, c: int) -> str:
        return f"student_l{weight:.10g}_c{c}"

    def seeds_of(self, name: str) -> list[int]:
        """Seeds a row of Table 1 is a mean of; ensembles across seeds need two or three of them."""
        if name == "ens_2cnn":  # a CNN and the next seed's: with two seeds there is one such pair
            return self.seeds if len(self.seeds) > 2 else self.seeds[:len(self.seeds) - 1]
        if name in ("ens_3lstm", "ens_3cnn"):
            return self.seeds[:1] if len(self.seeds) >= (2 if name == "ens_3lstm" else 3) else []
        return self.seeds

    def pairs(self) -> dict[str, tuple[str, str, str]]:
        """Of each pair: the first network, whose weight is gamma, the second, and the ensemble of equal shares."""
        found = {"lstm_cnn": ("lstm1", "cnn", "ens_lstm_cnn"), "lstm_lstm": ("lstm1", "lstm2", "ens_2lstm")}
        if len(self.seeds) > 1:
            found["cnn_cnn"] = ("cnn", self.system("cnn", self.seeds[1]), "ens_2cnn")
        return found

    def at_gamma(self, pair: str, gamma: float) -> str:
        first, second, middle = self.pairs()[pair]
        return {0.0: second, 0.5: middle, 1.0: first}.get(gamma, f"gamma/{pair}_{gamma:.10g}")


@dataclass
class Measured:
    """One system. fer: percent of dev. wer: percent of the test set, or of its Switchboard part where an stm tells it apart, tuned on
    dev. scorer: basic, hubscr or builtin. missing: why fer or wer is None."""

    system: str
    fer: float | None = None
    wer: float | None = None
    dev_wer: float | None = None
    words: int = 0  # that the WER is of
    scorer: str = ""
    failed: int = 0  # test utterances without a hypothesis
    at_edge: bool = False
    missing: dict[str, str] = field(default_factory=dict)


class Gap(NamedTuple):
    """A value that is not there, and why."""

    system: str
    metric: str
    reason: str


@dataclass
class Spread:
    """Values of one metric over seeds; `missing` says why there are fewer than there should be."""

    values: list[float]
    missing: list[Gap] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def known_mean(self) -> float:
        """The mean of a spread that has values."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation (n - 1), from two values on."""
        return stdev(self.values) if len(self.values) > 1 else None

    def text(self) -> str:
        """'35.51 (35.20 to 35.80)', or the mean alone of one value."""
        if not self.values:
            return "n/a"
        if self.n == 1:
            return f"{self.values[0]:.2f}"
        return f"{self.mean:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"


class Results:
    """Reads what an exp directory holds, each system once. What is not there is named, never guessed."""

    def __init__(self, exp, plan: Plan, *, dev: str, test: str, lm: str = ""):
        self.exp, self.plan = Path(exp), plan
        self.decoded = [decode_name(name, lm) for name in (dev, test)]
        self.known: dict[str, Measured] = {}

    def get(self, system: str) -> Measured:
        if system not in self.known:
            self.known[system] = self.read(system)
        return self.known[system]

    def read(self, system: str) -> Measured:
        folder, row = self.exp / system, Measured(system)
        if not folder.is_dir():
            row.missing = dict.fromkeys(METRICS, "not made")
            return row
        reasons: list[str] = []
        row.fer = read_fer(folder, reasons)
        if row.fer is None:
            row.missing["fer"] = reasons[0].removeprefix("FER: ")
        absent = [name for name in self.decoded if not any((folder / name).glob("wer_*"))]
        if absent:
            row.missing["wer"] = f"no wer files in {' and '.join(absent)}"
            return row
        tuned = tune(*(folder / name for name in self.decoded))
        row.scorer, counts = reported(folder / self.decoded[1], tuned.pair, tuned.test)
        row.wer, row.words, row.failed = counts.wer, counts.words, counts.failed
        row.dev_wer, row.at_edge = tuned.dev.wer, tuned.at_edge
        return row

    def spread(self, name: str, metric: str, seeds: list[int] | None = None) -> Spread:
        """Of a row of Table 1 over its seeds, or over those given. metric: fer or wer."""
        if metric not in METRICS:
            raise RecipeError("unknown metric", id=metric, expected=" or ".join(METRICS), found=metric)
        wanted = self.plan.seeds_of(name) if seeds is None else seeds
        if not wanted:
            return Spread([], [Gap(name, metric, f"needs {3 if name == 'ens_3cnn' else 2} seeds")])
        rows = [self.get(self.plan.system(name, seed)) for seed in wanted]
        values = [getattr(row, metric) for row in rows]
        return Spread([value for value in values if value is not None],
                      [gap for row in rows for gap in self.gap(row.system, metric)])

    def gap(self, system: str, metric: str) -> list[Gap]:
        """Why a system lacks a value; nothing if it does not."""
        return [Gap(system, metric, reason) for name, reason in self.get(system).missing.items() if name == metric]

    def student(self, weight: float, c: int, metric: str) -> Spread:
        """A point of the grid; weight 0 is the baseline CNN with the grid's seeds."""
        name = self.plan.student(weight, c) if weight else "cnn"
        return self.spread(name, metric, self.plan.grid_seeds)

    def doubts(self) -> list[str]:
        """What to distrust among the systems read so far."""
        edge = [row.system for row in self.known.values() if row.at_edge]
        failed = [f"{row.system} ({row.failed})" for row in self.known.values() if row.failed]
        scorers = self.scorers()
        other = [f"{row.system} ({row.scorer})" for row in self.known.values() if row.scorer not in ("", *scorers[:1])]
        return [f"- {what}: {', '.join(names)}" for what, names in (
            ("the LM weight chosen is at the edge of the sweep", edge),
            (f"not scored by {scorers[0]} as most are, so not to be compared" if scorers else "", other),
            ("test utterances without a hypothesis, whose words count as deleted", failed)) if names]

    def scorers(self) -> list[str]:
        """Of the systems read so far, the most frequent first."""
        used = [row.scorer for row in self.known.values() if row.scorer]
        return sorted(set(used), key=lambda name: (-used.count(name), name))


def told(gaps: Iterable[Gap], metrics: int = len(METRICS)) -> list[str]:
    """A line for every reason: 'not made: seed2/cnn, WER of lstm1'. A metric is named where not all of `metrics` are missing."""
    found: dict[str, dict[str, set[str]]] = {}
    for gap in gaps:
        found.setdefault(gap.reason, {}).setdefault(gap.system, set()).add(gap.metric)
    return [f"{reason}: " + ", ".join(name if len(absent) >= metrics else f"{METRICS[min(absent)]} of {name}"
                                      for name, absent in systems.items()) for reason, systems in found.items()]


def reported(decode_dir: Path, pair: Pair, basic: Counts) -> tuple[str, Counts]:
    """Scorer and counts of the WER that stands beside the paper's: the Switchboard part by NIST's rules where there is one."""
    scorer = stm_scorer(decode_dir)
    part = decode_dir / f"scoring_{scorer}" / "swbd" / f"wer_{pair_name(pair)}"
    return (str(scorer), read_wer(part)) if part.exists() else ("basic", basic)

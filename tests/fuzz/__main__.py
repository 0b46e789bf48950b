"""The long form: python -m fuzz --cases N [--seed N] [--target NAME] [--case N] [--out FOLDER]; exits 1 if a case failed."""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fuzz import everything  # noqa: F401  (registers the targets)
from fuzz.harness import TARGETS, Target, keep, kinds, repeat, run
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.main import run_main
from pytorch_nnet.io.options import option, parse

USAGE = """Usage: tests/fuzz.sh [options]
 e.g.: tests/fuzz.sh --cases 5000
       tests/fuzz.sh --target arpa --seed 1 --case 37"""


@dataclass
class Options:
    cases: int = option(5000, "how many, over all targets")
    seed: int = option(1, "of the mutations")
    target: str = option("", "one target alone")
    case: int = option(-1, "one case alone, of one target: shows what became of it")
    out: str = option("fuzz_failures", "folder for failures: input, report, command")


def shares(cases: int, targets: list[Target]) -> dict[str, int]:
    """How many cases each target gets: inversely as they cost, at least one, together at least `cases`."""
    unit = cases / sum(1 / one.cost for one in targets)
    return {one.name: int(unit / one.cost) + 1 for one in targets}


def main(argv: list[str]) -> int:
    options, _ = parse(Options, argv, USAGE, nargs=0)
    if options.target and options.target not in TARGETS:
        raise RecipeError("no such target", id=options.target, expected=" ".join(sorted(TARGETS)))
    targets = [TARGETS[options.target]] if options.target else list(TARGETS.values())
    if options.case >= 0:
        for one in targets:
            for outcome in run(one, [options.case], options.seed):
                print(f"{one.name} {options.case}: {outcome.kind}\n{outcome.detail}")
                return int(outcome.failed)
    counts, failures, started = Counter(), [], time.monotonic()
    for one, number in ((one, shares(options.cases, targets)[one.name]) for one in targets):
        before, own = time.monotonic(), Counter()
        for outcome in run(one, range(number), options.seed):
            own["failed" if outcome.failed else outcome.kind] += 1
            if outcome.failed:
                failures.append(outcome)
                keep(outcome, options.seed, Path(options.out))
        counts += own
        print(
            f"{one.name}: {number} cases, {own['refused']} refused, {own['read']} read, {own['failed']} failed, {time.monotonic() - before:.1f} s",
            flush=True,
        )
    for (name, kind), number in kinds(failures).most_common():
        first = next(outcome for outcome in failures if (outcome.target, outcome.kind) == (name, kind))
        print(f"{number:5d}  {name}: {kind}; {repeat(first, options.seed)}")
    print(
        f"fuzz: {sum(counts.values())} cases of {len(targets)} targets, seed {options.seed}: {counts['refused']} refused, {counts['read']} read, "
        f"{counts['failed']} failed, in {time.monotonic() - started:.0f} s"
    )
    return int(bool(failures))


if __name__ == "__main__":
    sys.argv[0] = "fuzz"
    run_main(main)

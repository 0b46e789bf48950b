"""The fuzzer: a few hundred cases of every reader, and that it would see a failure (long form: tests/fuzz.sh)."""

import os
import random
import time

import pytest

from fuzz import everything  # noqa: F401  (registers the targets)
from fuzz.__main__ import shares
from fuzz.harness import TARGETS, Target, case, keep, one, repeat, run
from fuzz.mutate import BYTES, TEXT, mutate
from pytorch_nnet.io.errors import RecipeError, reading

CASES, SEED = 350, 7


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_valid_files_are_read(tmp_path, name):
    target = TARGETS[name]
    assert one(target.check, target.seed(), tmp_path / "case") == ("read", "")


def test_no_mutated_file_is_more_than_an_error_or_a_result():
    numbers = shares(CASES, list(TARGETS.values()))
    failed = [f"{repeat(outcome, SEED)}\n{outcome.kind}\n{outcome.detail}" for target in TARGETS.values()
              for outcome in run(target, range(numbers[target.name]), SEED) if outcome.failed]
    assert not failed, "\n".join(failed)


def stumbling(change):
    """A target whose check calls `change`."""
    return Target("stumbling", lambda: {"x": b"one 1\ntwo 2\n"}, change)


def endless():
    with reading("x"):
        while True:
            time.sleep(0.01)


def greedy():
    with reading("x"):
        bytearray(1 << 33)


def refusing():
    raise RecipeError("no")


@pytest.mark.parametrize("change, kind", [
    (lambda: None, "read"), (refusing, "refused"), (lambda: [][1], "IndexError in the check"), (greedy, "memory"), (endless, "too long"),
    (lambda: os.kill(os.getpid(), 9), "process ended (SIGKILL)"), (lambda: os._exit(3), "process ended (code 3)"),
    (lambda: open("sprung", "w").close(), "a command ran")])
def test_every_kind_of_failure_is_seen(monkeypatch, change, kind):
    monkeypatch.setattr("fuzz.harness.SECONDS", 0.2)
    outcomes = list(run(stumbling(change), range(3), 1))
    assert [(outcome.number, outcome.kind) for outcome in outcomes] == [(0, kind), (1, kind), (2, kind)]
    assert all(outcome.failed == (kind not in ("read", "refused")) for outcome in outcomes)


def test_cases_are_what_their_seed_says(tmp_path, monkeypatch):
    files = {"x": b"one 1\ntwo 2\n", "y": b"three 3\n"}
    assert case(files, "t", 1, 5) == case(files, "t", 1, 5) and files["x"] == b"one 1\ntwo 2\n"
    assert len({str(case(files, "t", seed, number)) for seed in (1, 2) for number in range(20)}) > 30
    for change in (*BYTES, *TEXT):
        for content in (b"", b"\n", b"a", b"a b\nc 1\n", bytes(range(256))):
            assert change(content, random.Random(1)) == change(content, random.Random(1)), change.__name__
    assert mutate(b"a 1\n", random.Random(3)) == mutate(b"a 1\n", random.Random(3))
    target = stumbling(lambda: [][1])
    monkeypatch.setitem(TARGETS, "stumbling", target)
    outcome = next(run(target, [4], 9))
    keep(outcome, 9, tmp_path)
    report = (tmp_path / "stumbling-9-4/report.txt").read_text()
    assert "tests/fuzz.sh --target stumbling --seed 9 --case 4" in report and "IndexError" in report
    assert {path.name: path.read_bytes() for path in (tmp_path / "stumbling-9-4/files").iterdir()} == case(target.seed(), "stumbling", 9, 4)

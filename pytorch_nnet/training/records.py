"""What a training says of itself, an epoch a line: train.jsonl (docs/formats.md)."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from ..io.errors import RecipeError, reading

NAME = "train.jsonl"
NEEDED = ("epoch", "frames", "lr", "train_loss", "valid_loss", "seconds", "event")  # and an error rate


def read_records(folder) -> list[dict]:
    """One record an epoch, or none if steps/train_nnet has not made the folder. Raises RecipeError for a damaged file."""
    path = Path(folder) / NAME
    if not path.exists():
        return []
    with reading(path, "not a training's log", expected=f"JSON with {', '.join(NEEDED)} on every line", next="train again (steps/train_nnet)"):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for record in records:
            for key in NEEDED:
                record[key]
            error_rate(record)
    return records


def error_rate(record: dict) -> tuple[str, float]:
    """Name and value of the error rate on dev: FER of frames, UER of a CTC network's units."""
    return ("UER", record["valid_uer"]) if "valid_uer" in record else ("FER", record["valid_fer"])


def rate_names(records: Iterable[dict]) -> str:
    """The names of all error rates in some records: FER, UER or both."""
    return " or ".join(sorted({error_rate(record)[0] for record in records}))


def require_records(folder) -> list[dict]:
    """As `read_records`; RecipeError if there is no epoch."""
    records = read_records(folder)
    if not records:
        raise RecipeError("no learning curve", file=Path(folder) / NAME, expected="a line for each epoch", found="none",
                          next="name a network that steps/train_nnet trains; its first epoch must have ended")
    return records


def millions_seen(records: Sequence[dict]) -> list[float]:
    """Millions of frames trained on by the end of each epoch; a record counts those of its own epoch."""
    return [total / 1e6 for total in accumulate(record["frames"] for record in records)]


class Change(NamedTuple):
    """What the schedule did after an epoch. rate: the new one, None if it stayed. rollback: the epoch whose weights came back, or 0."""

    epoch: int
    rate: float | None
    rollback: int


def changes(records: Sequence[dict]) -> list[Change]:
    """Rate changes and rollbacks of a training, in order."""
    found, best = [], 0
    for epoch, (record, after) in enumerate(zip(records, [*records[1:], None]), 1):
        events = record["event"].split()
        best = epoch if "best" in events else best
        rate = after["lr"] if after and after["lr"] != record["lr"] else None
        if rate is not None or "rollback" in events:
            found.append(Change(epoch, rate, best if "rollback" in events else 0))
    return found

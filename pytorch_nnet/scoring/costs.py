"""What each stage of a run took, from the markers that utils/once.py leaves where a command has ended well."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, NamedTuple


class Command(NamedTuple):
    """began: seconds since 1970. cpu_seconds: of all its processes. peak_mib: resident memory of the largest. program: its name. made: a folder
    that it made, or added to."""

    began: float
    seconds: float
    cpu_seconds: float
    peak_mib: float
    program: str
    made: str


@dataclass
class StageCost:
    """One stage. Of each command its last run counts: time of work that a kill made vain does not.

    script: the recipe's. commands: in the order in which they began.
    """

    script: str
    number: int
    title: str
    commands: list[Command] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """Seconds in which at least one of its commands ran."""
        total, reached = 0.0, float("-inf")
        for command in self.commands:
            end = command.began + command.seconds
            total += max(0.0, end - max(command.began, reached))
            reached = max(reached, end)
        return total

    @property
    def cpu_seconds(self) -> float:
        return sum(command.cpu_seconds for command in self.commands)

    @property
    def peak_mib(self) -> float:
        return max(command.peak_mib for command in self.commands)


def read_markers(folders: Iterable[Path], root: Path) -> dict[Path, dict[str, Any]]:
    """{path: record} of the markers under these folders, and of those of what these name as inputs, taken from `root`: in the input's
    folder or one above it, as a command may have made several inputs at once."""
    paths = sorted({path for folder in folders for path in Path(folder).rglob(".done*")}, key=str)
    found: dict[Path, dict[str, Any]] = {}
    seen: set[Path] = set()
    while paths:
        path = paths.pop(0).resolve()
        if path in found or not path.is_file():
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # not a marker of ours
            continue
        found[path] = record
        places = {place for name in record.get("inputs", {}) for place in (Path(name), *Path(name).parents)} - seen
        seen |= places
        paths += sorted(marker for place in places for marker in (root / place).glob(".done*"))
    return found


def stage_costs(folders: Iterable[Path], root: Path) -> tuple[list[StageCost], int]:
    """Stages by number, those of the script that began first in front, and the number of commands whose markers, of an older version, say no stage."""
    stages: dict[tuple[str, int], StageCost] = {}
    seen, older = set(), set()
    records = sorted(read_markers(folders, root).items(), key=lambda item: (item[1].get("began", 0.0), str(item[0])))
    for path, record in records:
        words, where = record.get("command", []), record.get("stage")
        key = (*words, record.get("began"), record.get("seconds"))  # a command may mark several folders
        if where and key not in seen:
            seen.add(key)
            stage = stages.setdefault((where["script"], where["number"]), StageCost(where["script"], where["number"], where["title"]))
            stage.commands.append(Command(record["began"], record["seconds"], record["cpu_seconds"], record["peak_mib"],
                                          os.path.basename(words[0]), os.path.relpath(path.parent, root.resolve())))
        elif not where:
            older.add(key)
    scripts = list(dict.fromkeys(script for script, _ in stages))
    return sorted(stages.values(), key=lambda stage: (scripts.index(stage.script), stage.number)), len(older)

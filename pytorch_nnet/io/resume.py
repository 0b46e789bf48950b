"""What a killed command left behind: whether it is of the same work, and the stages of a work that goes on from where it was.

Work is the same if its options are and no input was written since: size and time of every input count, not its content, as a look at
hours of audio would cost more than it saves. utils/once.py compares contents.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterable

from .publish import publish, publish_folder, temporary_name

STATE = "state.json"
WORK = ".work.json"


def work(options, inputs: Iterable, **others) -> dict[str, Any]:
    """The facts that decide what a command makes: options (a dataclass) but for the launcher, inputs, and `others`.

    An input is a file, or a folder, which stands for the files directly in it that are not hidden.
    """
    stamps = {}
    for path in map(Path, inputs):
        files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")] if path.is_dir() else [path]
        for file in files:
            status = file.stat()
            stamps[str(file)] = [status.st_size, status.st_mtime_ns]
    values = {name: value for name, value in asdict(options).items() if name != "cmd"}
    return json.loads(json.dumps({"options": values, "inputs": stamps, **others}))


class Landmark:
    """The last place from which a command in `folder` can go on: `folder`/.landmark.N, N counting up.

    It holds hard links to files that the command will replace (never change in place: io.publish), and the facts.
    """

    def __init__(self, folder, facts: dict[str, Any]):
        self.folder, self.facts = Path(folder), facts

    def places(self) -> list[Path]:
        found = [path for path in self.folder.glob(".landmark.*") if re.fullmatch(r"\d+", path.suffix[1:])]
        return sorted(found, key=lambda path: int(path.suffix[1:]))

    def save(self, patterns: Iterable[str], state: dict[str, Any]) -> None:
        """Keeps the files of the folder that fit a pattern, with a JSON-able state, instead of the place before."""
        before = self.places()
        number = int(before[-1].suffix[1:]) + 1 if before else 1
        with publish_folder(self.folder / f".landmark.{number}") as temporary:
            for pattern in patterns:
                for path in self.folder.glob(pattern):
                    link(path, temporary / path.name)
            (temporary / STATE).write_text(json.dumps({"facts": self.facts, "state": state}))
        for place in before:
            shutil.rmtree(place)

    def restore(self) -> dict[str, Any] | None:
        """Puts the files back and returns the state; None, and nothing is changed, without a place of the same work."""
        for place in reversed(self.places()):
            try:
                kept = json.loads((place / STATE).read_text())
            except (OSError, ValueError):
                continue
            if kept["facts"] != self.facts:
                continue
            for path in place.iterdir():
                target = self.folder / path.name
                if path.name != STATE and not (target.exists() and target.samefile(path)):  # renaming would do nothing then
                    link(path, temporary_name(target))
                    os.replace(temporary_name(target), target)
            return kept["state"]
        return None

    def remove(self) -> None:
        for place in self.places():
            shutil.rmtree(place)


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def same_work(folder, facts: dict[str, Any]) -> bool:
    """Whether what is in `folder` was begun with these facts (`note_work`)."""
    try:
        return json.loads((Path(folder) / WORK).read_text()) == facts
    except (OSError, ValueError):
        return False


def note_work(folder, facts: dict[str, Any] | None) -> None:
    """Notes the facts with which work in `folder` begins; None: it has ended."""
    path = Path(folder) / WORK
    if facts is None:
        path.unlink(missing_ok=True)
    else:
        with publish(path) as file:
            json.dump(facts, file)

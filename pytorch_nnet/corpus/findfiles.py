"""Finding a corpus's files wherever a disc layout put them: by name, at any depth, whatever the case."""

from __future__ import annotations

import filecmp
import os
import re
from collections import Counter
from typing import Iterable

from ..io.errors import RecipeError


def find_files(folders, pattern: str, *, what: str, expected: str, option: str, counts: Counter, within: tuple[str, ...] = (),
               required: bool = True, next: str | None = None) -> dict[str, str]:
    """Returns file name (lower case) -> absolute path for all files whose whole name matches `pattern`, in C order.

    Args:
      folders: one folder or several. what, expected: for the report, "ms98 transcripts" and an example of a name.
      option: what the folders are given as, such as --ms98. next: how to come by the files, if that is more than the option.
      counts: a file that is there twice with the same content is taken once and counted.
      within: names of folders that must be on the way to the file, in any case.
    Raises:
      RecipeError: a folder is missing, nothing was found though required, or a name has two contents.
    """
    folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    next = next or f"check the folders given as {option}"
    regex, above = re.compile(pattern, re.IGNORECASE), {name.lower() for name in within}
    found: dict[str, str] = {}
    for folder in folders:
        if not os.path.isdir(folder):
            raise RecipeError(f"{what}: no such folder", file=folder, expected="an existing folder", found="nothing", next=next)
        for path in walk(folder):
            name = os.path.basename(path).lower()
            if not regex.fullmatch(name) or not above <= set(path.lower().split(os.sep)):
                continue
            if name in found and not os.path.samefile(found[name], path):
                if not filecmp.cmp(found[name], path, shallow=False):
                    raise RecipeError(f"{what}: a file name found twice", file=path, id=name, expected="one content under each name",
                                      found=found[name], next="name the folder that holds the right one only")
                counts[f"{what}: second copies of a file, not used"] += 1
                continue
            found[name] = path
    if required and not found:
        where = f"{expected}, at any depth" + (f" below {'/'.join(within)}" if within else "")
        raise RecipeError(f"{what} not found", file=" ".join(map(str, folders)), expected=where, found="no such file", next=next)
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def walk(folder) -> Iterable[str]:
    """Every file below the folder, following links (discs are often linked together)."""
    for parent, inner, names in os.walk(os.path.abspath(folder), followlinks=True):
        inner.sort()
        yield from (os.path.join(parent, name) for name in sorted(names))

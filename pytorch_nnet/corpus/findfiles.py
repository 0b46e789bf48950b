"""Finding a corpus's files wherever a disc layout put them: by name, at any depth, whatever the case."""

from __future__ import annotations

import os
import re
from typing import Iterable

from ..io.errors import RecipeError


def find_files(folders, pattern: str, *, what: str, expected: str, required: bool = True) -> dict[str, str]:
    """Returns file name (lower case) -> absolute path for all files whose whole name matches `pattern`, in C order.

    Args:
      folders: one folder or several. what, expected: for the report, "ms98 transcripts" and an example of a name.
    Raises:
      RecipeError: a folder is missing, nothing was found though required, or a name was found twice.
    """
    folders = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    regex = re.compile(pattern, re.IGNORECASE)
    found: dict[str, str] = {}
    for path in walk(folders, what):
        name = os.path.basename(path).lower()
        if not regex.fullmatch(name):
            continue
        if name in found and not os.path.samefile(found[name], path):
            raise RecipeError(f"{what}: a file name found twice", file=path, id=name, expected="each name once", found=found[name],
                              next="name the folder that holds one copy only")
        found[name] = path
    if required and not found:
        raise RecipeError(f"{what} not found", file=" ".join(map(str, folders)), expected=f"{expected}, at any depth",
                          found="no such file", next="check the folders given as --swbd1, --ms98 and --eval2000")
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def walk(folders: Iterable, what: str) -> Iterable[str]:
    """Every file below the folders, following links (discs are often linked together)."""
    for folder in folders:
        if not os.path.isdir(folder):
            raise RecipeError(f"{what}: no such folder", file=folder, expected="an existing folder", found="nothing",
                              next="check the folders given as --swbd1, --ms98 and --eval2000")
        for parent, inner, names in os.walk(os.path.abspath(folder), followlinks=True):
            inner.sort()
            yield from (os.path.join(parent, name) for name in sorted(names))

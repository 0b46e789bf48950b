"""What info.json says of a network, read without torch, which takes seconds to start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..io.errors import RecipeError, reading
from ..io.options import load_config
from ..lang.units import Units


def info_of(folder) -> dict[str, Any]:
    """info.json of a network, or of the first member of an ensemble, whose members agree about their classes; empty for a GMM."""
    folder = Path(folder)
    if (folder / "ensemble.yaml").exists():
        members = load_config(folder / "ensemble.yaml").get("members") or [""]
        folder = folder.absolute().parent / str(members[0])
    path = folder / "info.json"
    if not path.is_file():
        return {}
    with reading(path, next="train it again (steps/train_nnet)"):
        return dict(json.loads(path.read_text(encoding="utf-8")))


def units_of(folder) -> Units | None:
    """The units of a network that CTC trained; None: another model. Raises RecipeError if they are not its classes."""
    info = info_of(folder)
    return units_in(info, Path(folder) / "info.json") if info else None


def units_in(info: dict[str, Any], path) -> Units | None:
    """The same from the content of info.json."""
    if "units" not in info:
        return None
    units = Units.from_facts(info["units"], file=path)
    if len(units.symbols) != info.get("num_classes"):
        raise RecipeError("units and classes of a network differ", file=path, expected=f"{info.get('num_classes')} with the blank",
                          found=len(units.symbols), next="train it again (steps/train_nnet)")
    return units


def subsampling_of(folder) -> int:
    """Frames to an output."""
    value = info_of(folder).get("subsampling", 1)
    if type(value) is not int or value < 1:
        raise RecipeError("bad entry of info.json", file=Path(folder) / "info.json", id="subsampling", expected="a number from 1 on",
                          found=repr(value)[:80], next="train it again (steps/train_nnet)")
    return value


def require_pdfs(folder) -> None:
    """Raises RecipeError for a network that CTC trained, whose outputs are no states of HMMs."""
    if units_of(folder):
        raise RecipeError("a network of units cannot align states of HMMs", file=folder, expected="a network that learnt labels of frames",
                          found="one that CTC trained")

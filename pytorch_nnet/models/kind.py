"""What a network says of itself, so that it is one file in models/networks and a config."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable

from ..io.errors import RecipeError


@dataclass(frozen=True)
class Kind:
    """A kind of network, known by its `--arch`.

    Args:
      name: as --arch has it. display: as tables call it.
      options: a dataclass of its sizes, with the paper's as defaults; a name that another kind has too must mean the same type.
      mini: what differs in sizes that train in minutes on a CPU.
      build: (options, number of classes, features per frame) -> a network; see `models.registry.build_network`.
      check: raises RecipeError for sizes that cannot be; widths below 1 are refused for every kind.
      title: display and sizes, where tables should have them.
    """

    name: str
    display: str
    options: type
    mini: dict[str, Any]
    build: Callable[[Any, int, int], Any]
    check: Callable[[Any], None] = lambda options: None
    title: Callable[[Any], str] | None = None

    def sizes(self, preset: str, given: dict[str, Any]) -> Any:
        """The options of a preset with what was given in their place. Raises RecipeError for a preset or a size that cannot be."""
        presets: dict[str, dict[str, Any]] = {"mini": self.mini, "paper": {}}
        if preset not in presets:
            raise RecipeError("unknown preset", id=preset, expected="one of " + ", ".join(presets))
        known = {field.name for field in dataclasses.fields(self.options)}
        for name in given:
            if name not in known:
                raise RecipeError("option of another network", id=name, expected=f"for {self.name}: {', '.join(sorted(known))}",
                                  found=f"{name} {given[name]}")
        none: dict[str, list] = {name: [] for name, value in given.items() if value == [0]}  # as an empty list on a command line means the preset's
        options = self.options(**{**presets[preset], **given, **none})
        for name in known:
            value = getattr(options, name)
            if isinstance(value, list) and any(isinstance(item, int) and item < 1 for item in value):
                raise RecipeError("impossible network shape", id=name, expected="widths of at least 1", found=value)
        self.check(options)
        return options


def many(name: str, values: list, count: int) -> None:
    """Raises RecipeError unless there are `count` values."""
    if len(values) != count:
        raise RecipeError("impossible network shape", id=name, expected=f"{count} numbers", found=values)


def stacked(display: str, hidden: list[int]) -> str:
    """'BLSTM 4x512' where all layers are as wide, else the display name alone."""
    return f"{display} {len(hidden)}x{hidden[0]}" if hidden and len(set(hidden)) == 1 else display

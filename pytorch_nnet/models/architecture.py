"""A network's shape as options: --arch, --preset and the options of all networks (models.networks), each once."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from ..io.errors import RecipeError
from ..io.options import build, option
from .kind import Kind
from .networks import KINDS


class Shape:
    """What Architecture can do; its fields are the networks' options, None where the preset's value is meant."""

    arch: str
    preset: str

    @property
    def kind(self) -> Kind:
        """Raises RecipeError for a name that no network has."""
        if self.arch not in KINDS:
            raise RecipeError("unknown arch", id=self.arch, expected="one of " + ", ".join(KINDS))
        return KINDS[self.arch]

    def sizes(self) -> Any:
        """The options of the network's own kind, all of them."""
        return self.kind.sizes(self.preset, {name: value for name in OPTIONS if (value := getattr(self, name)) is not None})

    def resolved(self) -> "Shape":
        """The same with the preset's values filled in. Raises RecipeError for an unknown name or an impossible shape."""
        sizes = self.sizes()
        return dataclasses.replace(self, **{field.name: getattr(sizes, field.name) for field in dataclasses.fields(sizes)})  # type: ignore[type-var]

    def display_name(self) -> str:
        """How tables call it: 'BLSTM 4x512', 'vision-style CNN'."""
        return self.kind.title(self.sizes()) if self.kind.title else self.kind.display


def union() -> list[tuple[str, Any, Any]]:
    """The options of all networks as fields, None by default; what each network means by one is its comment."""
    types: dict[str, Any] = {}
    comments: dict[str, dict[str, list[str]]] = {}
    for kind in KINDS.values():
        hints = typing.get_type_hints(kind.options)
        for field in dataclasses.fields(kind.options):
            if types.setdefault(field.name, hints[field.name]) != hints[field.name]:
                raise TypeError(f"{kind.name}: option {field.name} is {types[field.name]} elsewhere")
            comments.setdefault(field.name, {}).setdefault(field.metadata["help"], []).append(kind.name)
    return [(name, types[name] | None, option(None, "; ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())))
            for name, texts in sorted(comments.items())]


OPTIONS = [name for name, _, _ in union()]
Architecture: Any = dataclasses.make_dataclass(
    "Architecture", [("arch", str, option("vision", ", ".join(KINDS))), ("preset", str, option("mini", "sizes to start from: mini or paper")), *union()],
    bases=(Shape,))


def shape_from(config: dict[str, Any], *, where: str | None = None) -> Any:
    """The Architecture that a network's config.yaml holds, whatever else it holds."""
    kind = KINDS.get(str(config.get("arch")))
    own = [field.name for field in dataclasses.fields(kind.options)] if kind else []
    return build(Architecture, {key: config[key] for key in ("arch", "preset", *own) if config.get(key) is not None}, where=where)

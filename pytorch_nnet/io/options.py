"""Options live once: a dataclass is the command line, the config file and the record in exp/.

    @dataclass
    class DecodeOptions:
        beam: float = option(13.0, "search beam")
        skip_scoring: bool = option(False, "do not score")

    USAGE = '''Usage: steps/decode [options] <graph> <data> <decode-dir>
     e.g.: steps/decode --nj 4 exp/tri1/graph data/dev exp/tri1/decode_dev'''

    options, (graph, data, out) = parse(DecodeOptions, argv, USAGE, nargs=3)

On the command line `--beam 13`, `--beam=13` and `--skip-scoring true` (Kaldi's way), with - or _ alike. `--config FILE`
reads `beam: 13` lines (YAML); the command line wins over it. Unknown names are refused with the nearest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import re
import sys
import typing
from pathlib import Path
from typing import Any, ClassVar, Protocol, Sequence, TypeVar

from .errors import RecipeError, reading


class Options(Protocol):
    """A dataclass of options."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=Options)
NO_TEXT = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f\\ud800-\\udfff]")  # the last: bytes of the command line that are no UTF-8
MAX_COLLECTIONS = 100  # of a config file, which has a few lists


def option(default: Any, help: str) -> Any:
    """A dataclass field with its comment. Lists are given on the command line as comma-separated values."""
    metadata = {"help": help}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse(cls: type[T], argv: Sequence[str], usage: str, nargs: int | tuple[int, int] | None = None, *,
          flags: Sequence[str] = ()) -> tuple[T, list[str]]:
    """Parses `argv` into an instance of `cls` and the positional arguments.

    Args:
      nargs: number of positional arguments, or (least, most); None accepts any number.
      flags: names of boolean options that stand alone, where Kaldi's script has them so (validate_data_dir --no-text).
    Raises:
      RecipeError: unknown option, bad value. Exits 0 on --help and 1 on a wrong number of arguments, with the usage.
    """
    given: dict[str, Any] = {}
    from_file: dict[str, Any] = {}
    positional: list[str] = []
    queue = list(argv)
    while queue:
        word = queue.pop(0)
        if word == "--":
            positional += queue
            break
        if word in ("--help", "-h"):
            print(usage_text(cls, usage))
            sys.exit(0)
        if not word.startswith("--"):
            positional.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if not equals and name.replace("-", "_") in flags and queue[:1] not in (["true"], ["false"]):
            value = "true"
        elif not equals:
            if not queue:
                raise RecipeError("option without a value", id=word, next="call again with --help")
            value = queue.pop(0)
        name = name.replace("-", "_")
        if name == "config":
            from_file.update(load_config(value))
        else:
            given[name] = value
    options = build(cls, {**from_file, **given})
    least, most = (nargs, nargs) if isinstance(nargs, int) else nargs or (0, len(positional))
    if not least <= len(positional) <= most:
        print(usage_text(cls, usage), file=sys.stderr)
        raise RecipeError("wrong number of arguments", expected=least if least == most else f"{least} to {most}",
                          found=" ".join(positional) or "none")
    return options, positional


def load_config(path) -> dict[str, Any]:
    """Reads a YAML mapping of option names to values."""
    import yaml  # not in the k2 environment, which takes its options from the command line

    path = Path(path)
    if not os.path.isfile(path):  # unlike Path's, it does not raise for a name that is too long
        raise RecipeError("no such config file", file=str(path)[:1000])
    with reading(path, "config file is not YAML", expected="lines of the form 'name: value', each name once"):
        text = path.read_text(encoding="utf-8")
        collections = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            collections += isinstance(event, yaml.CollectionStartEvent)
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for gigabytes
                raise ValueError("an alias (*name)")
            if collections > MAX_COLLECTIONS:  # the parser takes quadratic time for deep ones
                raise ValueError(f"more than {MAX_COLLECTIONS} lists and mappings")
        content = yaml.safe_load(text) or {}
        if not isinstance(content, dict):
            raise RecipeError("config file is not a mapping", file=path, expected="lines of the form 'name: value'", found=type(content).__name__)
        names = [key.value.replace("-", "_") for key, _ in (yaml.compose(text, yaml.SafeLoader) or yaml.MappingNode("", [])).value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RecipeError("option given twice", file=path, id=twice[0], expected="each name once", found=f"{names.count(twice[0])} times")
    return {str(key).replace("-", "_"): value for key, value in content.items()}


def build(cls: type[T], values: dict[str, Any], *, where: str | None = None) -> T:
    """Makes `cls` from raw values (strings or YAML scalars), converting types and refusing unknown names."""
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    converted = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise RecipeError("unknown option", file=where, id=name,
                              expected=f"did you mean '{near[0]}'?" if near else "one of " + ", ".join(known))
        converted[name] = convert(name, value, hints[name], where)
    missing = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in converted
               and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    if missing:
        raise RecipeError("required option not given", file=where, id=", ".join(missing))
    return cls(**converted)


def convert(name: str, value: Any, hint: Any, where: str | None = None) -> Any:
    """Converts one raw value to the type of its field: bool, int, float, str, list[...], or X | None."""
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    optional = type(None) in typing.get_args(hint)
    if optional and (value is None or value == ""):
        return None
    if isinstance(value, str) and NO_TEXT.search(value):
        raise RecipeError("bad value for an option", file=where, id=name, expected="text in UTF-8, without control characters",
                          found=ascii(value[:80]))
    if optional:
        hint, arguments = arguments[0], list(typing.get_args(arguments[0]))
    if (typing.get_origin(hint) or hint) is list:
        items = value if isinstance(value, (list, tuple)) else [v for v in str(value).split(",") if v != ""]
        return [convert(name, item, arguments[0] if arguments else str, where) for item in items]
    try:
        if hint is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if hint in (int, float, str) and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
            raise TypeError
        if hint is int:
            if isinstance(value, float) and value != int(value):
                raise ValueError
            return int(value)
        if hint is float and not math.isfinite(float(value)):
            raise ValueError
        if hint in (float, str):
            return hint(value)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise RecipeError("bad value for an option", file=where, id=name,
                          expected="true or false" if hint is bool else hint.__name__, found=repr(value)[:80]) from None
    return value


def usage_text(cls, usage: str) -> str:
    """The usage, then one line an option: name, default, comment."""
    lines = [usage.strip(), "", "Options (also in a YAML file given as --config FILE):"]
    for field in dataclasses.fields(cls):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        shown = "required" if default is dataclasses.MISSING else json.dumps(default)
        lines.append(f"  --{field.name.replace('_', '-'):<24} {field.metadata.get('help', '')} [{shown}]")
    return "\n".join(lines)


def record(options: Any) -> dict[str, Any]:
    """The options as plain values, for config.yaml and fingerprints."""
    return dataclasses.asdict(options)

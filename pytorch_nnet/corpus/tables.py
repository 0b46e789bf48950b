"""Tables of a data directory that this recipe does not read, but that others leave in it: what they are keyed by, and what a value is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

from ..io.archives import read_scp
from ..io.errors import RecipeError


class Extra(NamedTuple):
    keyed: str  # "utterance", "speaker" or "recording"
    good: Callable[[str], bool]
    expected: str


def is_word(value: str) -> bool:
    return len(value.split()) == 1


def is_positive(value: str) -> bool:
    try:
        return 0 < float(value) < math.inf
    except ValueError:
        return False


EXTRAS = {
    "vad.scp": Extra("utterance", lambda value: True, "a place in an archive"),
    "utt2lang": Extra("utterance", is_word, "one language"),
    "utt2uniq": Extra("utterance", is_word, "one utterance"),
    "utt2dur": Extra("utterance", is_positive, "seconds, above 0"),
    "utt2max_frames": Extra("utterance", is_positive, "a number of frames, above 0"),
    "utt2warp": Extra("utterance", is_positive, "a factor, above 0"),
    "reco2dur": Extra("recording", is_positive, "seconds, above 0"),
    "spk2gender": Extra("speaker", lambda value: value in ("m", "f"), "m or f"),
    "spk2warp": Extra("speaker", is_positive, "a factor, above 0"),
}


def check_extra(path: Path, ids: Iterable[str], next: str) -> None:
    """Raises RecipeError unless a table of EXTRAS has just the keys `ids` and good values."""
    extra, known = EXTRAS[path.name], set(ids)
    table = read_scp(path, allow_pipes=path.suffix != ".scp")
    if table.keys() != known:
        missing, surplus = sorted(known - table.keys()), sorted(table.keys() - known)
        raise RecipeError(f"utt2spk and {path.name} disagree", file=path, id=(missing or surplus)[0],
                          expected=f"the {len(known)} {extra.keyed}s of the directory",
                          found=f"{len(missing)} missing, {len(surplus)} unknown", next=next)
    for id, value in table.items():
        if not extra.good(value):
            raise RecipeError(f"bad value in {path.name}", file=path, id=id, expected=extra.expected, found=value[:80],
                              next=f"correct it; or {next} drops it")

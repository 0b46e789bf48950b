"""Brings a user's own corpus into the recipe: sets as Kaldi data directories or Lhotse cuts, and a plain lexicon."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Sequence

from ..io.errors import RecipeError, require_file
from ..io.publish import publish_folder
from .datadir import DataDir
from .maintain import publish_data_dir

VARIANT = re.compile(r"\(\d+\)$")  # CMUdict's second pronunciations: READ(2)
SILENCE, SPOKEN_NOISE = "sil", "spn"  # names of these phones, if the lexicon does not use them in capitals


def bring_in(source, target, seen_from) -> DataDir:
    """Publishes `target`, a data directory without features, from a Kaldi data directory or a manifest of Lhotse's cuts.

    Args:
      seen_from: folder from which relative paths in wav.scp are seen; they become absolute.
    Raises:
      RecipeError: what `DataDir.load` raises, and audio that is not there.
    """
    source = Path(source)
    if source.is_dir():
        data = DataDir.load(source, need=("text", "wav.scp"))
        data.wav = {recording: place if place.rstrip().endswith("|") else os.path.join(seen_from, place)
                    for recording, place in data.wav.items()}
        data.feats, data.cmvn, data.num_frames = {}, {}, {}
        data = publish_data_dir(data, source, target)
    else:
        from lhotse import load_manifest

        from .manifests import from_lhotse

        data = from_lhotse(load_manifest(require_file(source)), target)
    for place in data.wav.values():
        if not place.rstrip().endswith("|"):
            require_file(place, next=f"relative paths in {source}/wav.scp are seen from {seen_from}")
    return replace(data, path=Path(target))


def write_dict(lexicon, oov: str, silence_phones: Sequence[str], folder) -> dict[str, int]:
    """Publishes a dictionary folder (Kaldi's data/local/dict) from lines `<word> <phone> ...`.

    Phones that differ in a number at the end alone, such as stress or tone, share the roots of their trees. CMUdict's `;;;` comments and
    `READ(2)` are understood.
    Args:
      oov: the word for unknown words; it gets the pronunciation `spn` (or `SPN`) if the lexicon has none.
      silence_phones: phones of the lexicon, beside sil and spn, that are noises.
    Returns:
      What was made: words, pronunciations, phones, repeated lines left out.
    Raises:
      RecipeError: a line without phones, one with pronunciation probabilities, a lexicon without words.
    """
    entries: dict[tuple[str, ...], None] = {}
    repeated = 0
    for number, line in enumerate(Path(require_file(lexicon)).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(";;;") or not line.strip():
            continue
        word, *phones = line.split()
        if not phones or re.fullmatch(r"[01]?\.\d+|1(\.0*)?", phones[0]):
            raise RecipeError("bad line of a lexicon", file=f"{lexicon}:{number}", id=word, expected="<word> <phone> ..., without probabilities",
                              found=repr(line.strip()))
        entry = (VARIANT.sub("", word), *phones)
        repeated += entry in entries
        entries[entry] = None
    if not entries:
        raise RecipeError("a lexicon without words", file=lexicon, expected="<word> <phone> ...", found="nothing")
    used = {phone for _, *phones in entries for phone in phones}
    pause, noise = (name.upper() if name.upper() in used else name for name in (SILENCE, SPOKEN_NOISE))
    silence = list(dict.fromkeys([pause, noise, *silence_phones]))
    if oov not in {word for word, *_ in entries}:
        entries[oov, noise] = None
    sets: dict[str, list[str]] = {}
    for phone in sorted(used - set(silence), key=str.encode):
        sets.setdefault(phone.rstrip("0123456789") or phone, []).append(phone)
    lines = {"lexicon.txt": sorted((" ".join(entry) for entry in entries), key=str.encode), "silence_phones.txt": silence,
             "optional_silence.txt": [pause], "nonsilence_phones.txt": [" ".join(phones) for phones in sets.values()],
             "extra_questions.txt": []}
    with publish_folder(folder) as temporary:
        for name, content in lines.items():
            (temporary / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    return {"words": len({word for word, *_ in entries}), "pronunciations": len(entries),
            "phones": len(silence) + sum(map(len, sets.values())), "repeated lines left out": repeated}

"""Which phones a network takes for which, frame by frame: the phone of its most probable class against that of the label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np

from ..frames.store import FrameStore
from ..hmm.model import AcousticModel
from ..io.errors import RecipeError, reading, require_file
from ..io.progress import track
from ..lang.lang_dir import LangDir
from .report import write_tsv

HEADER = ("label", "network", "frames")


@dataclass
class Confusions:
    """frames: int (P, P), by phone of the label, then by the network's."""

    phones: list[str]
    frames: np.ndarray

    @property
    def error(self) -> float:
        """Percent of all frames whose phone is wrong."""
        return 100.0 * (1 - np.trace(self.frames) / self.frames.sum())

    @property
    def rates(self) -> np.ndarray:
        """(P, P): shares of each label's frames; zero where it has none."""
        totals = self.frames.sum(1, keepdims=True)
        return np.divide(self.frames, totals, out=np.zeros(self.frames.shape), where=totals > 0)


def phones_of_classes(model: AcousticModel, names: dict[int, str]) -> tuple[list[str], np.ndarray]:
    """Phones by name, in the order of their ids, and the index of that phone for every class (K,).

    Phones that share a class, as a tree with common roots lets them, cannot be told apart: they go under one name, a/b.
    """
    group = {name: name for name in names.values()}  # a name leads to another of its group, the first one to itself

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    owner: dict[int, str] = {}
    tuples = model.table.tuples.tolist()
    for phone, _, *pdfs in sorted(tuples):
        for pdf in pdfs:
            one, other = first(owner.setdefault(pdf, names[phone])), first(names[phone])
            group[other] = one
    together: dict[str, list[str]] = {}
    for phone in sorted({row[0] for row in tuples}):
        own = together.setdefault(first(names[phone]), [])
        own += [names[phone]] * (names[phone] not in own)
    index = {name: place for place, name in enumerate(together)}
    return ["/".join(own) for own in together.values()], np.array([index[first(owner[pdf])] for pdf in range(model.num_pdfs)])


def confusions(lang, ali, store: FrameStore, network) -> Confusions:
    """Over every frame of a store.

    Args:
      ali: a directory with the model and tree that the store's labels come from. network: as of models.load_model.
    Raises:
      RecipeError: another number of classes than the tree has, or than the network has.
    """
    phones, phone_of = phones_of_classes(AcousticModel.load(ali), LangDir(lang).bare_phone)
    for what, found in ((store.path, store.num_classes), (network.path, network.num_classes)):
        if found != len(phone_of):
            raise RecipeError("another number of classes than the tree has", file=what, expected=f"{len(phone_of)}, as in {ali}", found=found,
                              next="name the alignment directory that the frame store was made from")
    frames = np.zeros((len(phones), len(phones)), int)
    for _, features, labels in track(store.utterances(), f"phones of {network.path.name}", store.num_utts):
        np.add.at(frames, (phone_of[labels], phone_of[network.posteriors(features).argmax(1)]), 1)
    return Confusions(phones, frames)


def write_confusions(path, found: Confusions) -> None:
    """Publishes a line for every pair of phones that occurs, and one for each phone with itself."""
    count = len(found.phones)
    write_tsv(path, HEADER, [[found.phones[a], found.phones[b], str(found.frames[a, b])]
                             for a in range(count) for b in range(count) if a == b or found.frames[a, b]])


def read_confusions(path) -> Confusions:
    lines = Path(require_file(path, next="steps/phone_confusions")).read_text(encoding="utf-8").splitlines()
    with reading(path, "not a table of confusions", expected=f"lines of {', '.join(HEADER)}", next="steps/phone_confusions"):
        rows: Sequence[tuple[str, ...]] = [tuple(line.split("\t")) for line in lines[1:]]
        phones = list(dict.fromkeys(label for label, _, _ in rows))
        index = {phone: place for place, phone in enumerate(phones)}
        frames = np.zeros((len(phones), len(phones)), int)
        for label, network, number in rows:
            frames[index[label], index[network]] = int(number)
    return Confusions(phones, frames)

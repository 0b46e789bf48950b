"""Acronyms, which the lexicon writes as one word (i._b._m.) and NIST's references letter by letter (Kaldi: swbd's
local/map_acronyms_ctm.py). A test set's acronyms.map, beside its stm, has a line for each: the word, a tab, its letters."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Mapping

from ..io.errors import RecipeError, reading

Letters = Mapping[str, list[str]]


def read_letters(data) -> Letters:
    """Word -> its letters, of a data directory; empty where it has no acronyms.map."""
    path = Path(data) / "acronyms.map"
    table: dict[str, list[str]] = {}
    if path.exists():
        with reading(path, "not a text file of UTF-8"):
            lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            word, _, letters = line.partition("\t")
            if not word or not letters.split():
                raise RecipeError("bad line of acronyms", file=f"{path}:{number}", expected="<word> TAB <letters>", found=repr(line),
                                  next="prepare the set again (local/prepare_switchboard, local/prepare_rt03)")
            table[word] = letters.split()
    return table


def spelled(words: Iterable[str], letters: Letters) -> list[str]:
    """The words with every acronym as its letters."""
    return [part for word in words for part in letters.get(word, (word,))]

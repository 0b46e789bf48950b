"""Units of CTC: the phones or graphemes that words are written in, and the blank (Graves et al. 2006).

Class 0 is the blank, the others are the units in order. Phones are units without their places in words. Optional silence is no unit: between
words nothing is said, which is what the blank stands for. Graphemes are the characters of the lexicon's words; every word begins with `|`, so
that words can be told apart without a lexicon, and a word that no letter is spoken of ([laughter]: its phones are silence phones) is a unit of
its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Iterable, Iterator, Sequence

from ..io.errors import RecipeError
from .lang_dir import LangDir
from .lexicon import Pronunciation

BLANK = "<blk>"
WORD_BEGIN = "|"
KINDS = ("phones", "graphemes")


@dataclass(frozen=True)
class Units:
    """kind: phones or graphemes. symbols: the class names, symbols[0] is the blank."""

    kind: str
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RecipeError("unknown units", id=self.kind, expected=" or ".join(KINDS))
        if self.symbols[:1] != (BLANK,) or len(set(self.symbols)) < len(self.symbols) or any(len(name.split()) != 1 for name in self.symbols):
            raise RecipeError("bad list of units", expected=f"{BLANK}, then each name once, without spaces", found=" ".join(self.symbols)[:80])

    @classmethod
    def of_lang(cls, lang: LangDir, kind: str) -> "Units":
        """Phones: all of phones.txt but the optional silence, in its order, each once; graphemes in the order of their code points."""
        if kind not in KINDS:
            raise RecipeError("unknown units", id=kind, expected=" or ".join(KINDS))
        if kind == "phones":
            left_out = {0, lang.optional_silence, *lang.disambig}
            names = dict.fromkeys(name for number, name in sorted(lang.bare_phone.items()) if number not in left_out)
            return cls(kind, (BLANK, *(name for name in names if name != lang.bare_phone[lang.optional_silence])))
        whole, silence = unspoken(lang), {lang.bare_phone[lang.optional_silence]}
        found = {unit for word, phones in bare_lexicon(lang) if set(phones) != silence for unit in spelling(word, word in whole)}
        return cls(kind, (BLANK, *sorted(found)))

    @classmethod
    def from_facts(cls, facts: Any, *, file) -> "Units":
        """What `facts` gave. Raises RecipeError for anything else."""
        if not isinstance(facts, dict) or not isinstance(facts.get("symbols"), list) or not all(isinstance(name, str) for name in facts["symbols"]):
            raise RecipeError("bad list of units", file=file, expected="kind and symbols", found=repr(facts)[:80])
        return cls(str(facts.get("kind")), tuple(facts["symbols"]))

    def facts(self) -> dict[str, Any]:
        """As meta.json of a store and info.json of a network hold them."""
        return {"kind": self.kind, "symbols": list(self.symbols)}

    @property
    def label_map(self) -> str:
        """Says what the classes mean, as frames.labels.label_map_hash does for pdfs, and is never equal to one of those."""
        return hashlib.sha256("\n".join(["ctc", self.kind, *self.symbols]).encode()).hexdigest()

    @cached_property
    def number(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.symbols)}

    def classes(self, names: Iterable[str], *, file=None, id: str | None = None) -> list[int]:
        """Raises RecipeError for a name that is no unit."""
        try:
            return [self.number[name] for name in names]
        except KeyError as error:
            raise RecipeError("not one of the units", file=file, id=id, expected=f"{len(self.symbols) - 1} {self.kind}", found=error.args[0],
                              next="use the lang directory that the store and the network were made with") from None


class UnitLexicon:
    """A lang directory's words in units."""

    def __init__(self, units: Units, lang: LangDir):
        self.units, self.lang = units, lang
        self.silence = lang.bare_phone[lang.optional_silence]
        self.whole, self.lexicon = unspoken(lang), list(bare_lexicon(lang))
        self.first: dict[str, tuple[str, ...]] = {}
        for word, phones in self.lexicon:
            self.first.setdefault(word, phones)

    def spoken(self, word: str, phones: Sequence[str]) -> tuple[str, ...]:
        """The units of a word with this pronunciation, in phones without places; none if it is optional silence alone."""
        phones = tuple(phone for phone in phones if phone != self.silence)
        return phones if self.units.kind == "phones" or not phones else spelling(word, word in self.whole)

    def pronunciations(self) -> list[Pronunciation]:
        """(word, units), each pair once, of all words that have units."""
        return list(dict.fromkeys((word, units) for word, phones in self.lexicon if (units := self.spoken(word, phones))))

    def of_words(self, words: Iterable[str]) -> list[int]:
        """Classes of a transcript: of each word the first pronunciation in phones/align_lexicon.txt, which is in C order; a word that the
        lexicon lacks is spelled if all its letters are units, else it is the word for unknown ones."""
        found: list[int] = []
        for word in words:
            if word in self.first:
                units = self.spoken(word, self.first[word])
            elif self.units.kind == "graphemes" and self.units.number.keys() >= set(word):
                units = spelling(word, False)
            else:
                oov = self.lang.id2word[self.lang.oov]
                units = self.spoken(oov, self.first[oov])
            found += self.units.classes(units, id=word)
        return found


def bare_lexicon(lang: LangDir) -> Iterator[Pronunciation]:
    """(word, phones) in C order, phones without their places in words."""
    for word, phones in lang.lexicon:
        yield word, tuple(lang.bare_phone[lang.phones[phone]] for phone in phones)


def spelling(word: str, whole: bool) -> tuple[str, ...]:
    """whole: the word is one unit."""
    return (WORD_BEGIN, *([word] if whole else word))


def unspoken(lang: LangDir) -> set[str]:
    """Words that silence phones alone are the pronunciation of: noises, laughter, unknown words."""
    silence = {lang.id2phone[number] for number in lang.silence_phones}
    return {word for word, _ in lang.lexicon} - {word for word, phones in lang.lexicon if not silence >= set(phones)}

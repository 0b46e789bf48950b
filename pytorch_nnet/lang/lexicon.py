"""The dictionary folder (Kaldi's data/local/dict), its checks, and disambiguation symbols."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError, reading, require_file

Pronunciation = tuple[str, tuple[str, ...]]  # word, phones

# Symbols the lang directory adds itself; "#1"... are refused by their form.
NOT_TEXT = "not a text file of UTF-8"
RESERVED = ("<eps>", "<s>", "</s>", "#0")


@dataclass
class Dictionary:
    """A checked dictionary folder.

    Phone sets keep the lines of their files: phones on one line share a root of the decision tree.
    """

    path: Path
    lexicon: list[Pronunciation]  # in the file's order
    silence_sets: list[list[str]]
    nonsilence_sets: list[list[str]]
    optional_silence: str
    extra_questions: list[list[str]]

    @property
    def silence_phones(self) -> list[str]:
        return [phone for line in self.silence_sets for phone in line]

    @property
    def nonsilence_phones(self) -> list[str]:
        return [phone for line in self.nonsilence_sets for phone in line]

    @property
    def words(self) -> list[str]:
        """Every word once, in C order."""
        return sorted({word for word, _ in self.lexicon}, key=str.encode)

    @classmethod
    def load(cls, path, oov: str) -> "Dictionary":
        """Reads and checks a dictionary folder.

        Args:
          path: folder with lexicon.txt, silence_phones.txt, nonsilence_phones.txt, optional_silence.txt, and perhaps
            extra_questions.txt.
          oov: the word that stands for every word outside the lexicon.
        Raises:
          RecipeError: unknown phone, empty pronunciation, entry given twice, phone in two sets, `oov` without a
            pronunciation, optional silence that is no silence phone.
        """
        path = Path(path)
        silence = read_phone_sets(path / "silence_phones.txt")
        nonsilence = read_phone_sets(path / "nonsilence_phones.txt")
        owner: dict[str, str] = {}
        for name, sets in (("silence_phones.txt", silence), ("nonsilence_phones.txt", nonsilence)):
            for phone in (phone for line in sets for phone in line):
                if phone in owner:
                    raise RecipeError("phone given twice", file=path / name, id=phone,
                                      expected="each phone in one place",
                                      found=f"also in {owner[phone]}")
                owner[phone] = name
        with reading(path / "optional_silence.txt", NOT_TEXT):
            optional = Path(require_file(path / "optional_silence.txt")).read_text(encoding="utf-8").split()
        if len(optional) != 1 or owner.get(optional[0]) != "silence_phones.txt":
            raise RecipeError("optional silence is not one silence phone", file=path / "optional_silence.txt",
                              expected="one of " + " ".join(p for line in silence for p in line),
                              found=" ".join(optional))
        questions = []
        if (path / "extra_questions.txt").exists() and (path / "extra_questions.txt").stat().st_size:
            questions = read_phone_sets(path / "extra_questions.txt")
            for phone in (phone for line in questions for phone in line):
                if phone not in owner:
                    raise RecipeError("question about an unknown phone", file=path / "extra_questions.txt", id=phone,
                                      expected="a phone of silence_phones.txt or nonsilence_phones.txt", found=phone)
        lexicon = read_lexicon(path / "lexicon.txt", owner.keys())
        if oov not in {word for word, _ in lexicon}:
            raise RecipeError("the word for unknown words has no pronunciation", file=path / "lexicon.txt", id=oov,
                              expected=f"a line such as '{oov} SPN'", found="none")
        return cls(path, lexicon, silence, nonsilence, optional[0], questions)


def read_phone_sets(path) -> list[list[str]]:
    """Lines of phones; empty lines and names the lang directory gives itself are errors."""
    sets = []
    with reading(path, NOT_TEXT), open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            phones = line.split()
            bad = [p for p in phones if p == "<eps>" or p.startswith("#")]
            if not phones or bad:
                raise RecipeError("bad line of phones", file=f"{path}:{number}",
                                  expected="phones; not <eps>, no name with #",
                                  found=repr(line))
            sets.append(phones)
    return sets


def read_lexicon(path, phones) -> list[Pronunciation]:
    """Reads 'WORD ph1 ph2 ...' lines; `phones` is the collection of known phones."""
    entries: dict[Pronunciation, int] = {}
    with reading(path, NOT_TEXT), open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, *pronunciation = line.split() or [""]
            where = f"{path}:{number}"
            if not pronunciation:
                raise RecipeError("empty pronunciation", file=where, id=word or None, expected="<word> <phone> ...",
                                  found=repr(line))
            if word in RESERVED or (word[0] == "#" and word[1:].isdigit()):
                raise RecipeError("reserved symbol in the lexicon", file=where, id=word,
                                  expected="no " + " ".join(RESERVED) + " #1 ...", found=word)
            unknown = [phone for phone in pronunciation if phone not in phones]
            if unknown:
                raise RecipeError("unknown phone in the lexicon", file=where, id=word,
                                  expected="phones of silence_phones.txt and nonsilence_phones.txt", found=unknown[0])
            entry = (word, tuple(pronunciation))
            if entry in entries:
                raise RecipeError("entry given twice", file=where, id=word,
                                  expected="each pronunciation of a word once",
                                  found=f"the same as line {entries[entry]}")
            entries[entry] = number
    return list(entries)


def add_disambiguation(lexicon: list[Pronunciation]) -> tuple[list[Pronunciation], int]:
    """Appends #1, #2, ... to pronunciations shared by several words or beginning another one.

    Without them L o G could not be made deterministic (Mohri, Pereira, Riley 2008, 3.1). The numbers count up per phone
    sequence, in the lexicon's order. Kaldi: utils/add_lex_disambig.pl.

    Returns:
      the new lexicon and the largest number used (0: none).
    """
    shared = Counter(phones for _, phones in lexicon)
    prefixes = {phones[:length] for phones in shared for length in range(1, len(phones))}
    used: Counter[tuple[str, ...]] = Counter()
    marked = []
    for word, phones in lexicon:
        if shared[phones] > 1 or phones in prefixes:
            used[phones] += 1
            phones = (*phones, f"#{used[phones]}")
        marked.append((word, phones))
    return marked, max(used.values(), default=0)

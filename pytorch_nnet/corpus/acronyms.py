"""Words that are spelled out letter by letter: `IBM` is written `i._b._m.`, as in the Fisher transcripts.

Which words those are, the dictionary tells: their pronunciation is that of their letters. Kaldi: egs/swbd/s5c/local/
format_acronyms_dict.py. Reference transcripts of Hub5 have single letters instead, so a scorer needs the way back, which
acronyms.map gives.
"""

from __future__ import annotations

from pathlib import Path

from ..io.errors import RecipeError, reading, require_file

Entry = tuple[str, tuple[str, ...]]  # word, phones
Acronyms = dict[str, tuple[str, str]]  # IBM -> (i._b._m., i b m)

# The names of the letters in the phones of the ms98 dictionary.
LETTERS = {letter: tuple(phones.split()) for letter, phones in (entry.split(None, 1) for entry in (
    "a ey", "b b iy", "c s iy", "d d iy", "e iy", "f eh f", "g jh iy", "h ey ch", "i ay", "j jh ey", "k k ey", "l eh l", "m eh m",
    "n eh n", "o ow", "p p iy", "q k y uw", "r aa r", "s eh s", "t t iy", "u y uw", "v v iy", "w d ah b ax l y uw", "x eh k s",
    "y w ay", "z z iy"))}


def spelled(word: str, phones: tuple[str, ...]) -> tuple[str, str] | None:
    """(`b._b._c.'s`, `b b c's`) of a word whose phones are those of its letters, plus s or z for a plural or genitive; else None."""
    for ending in ("", "'s", "s"):
        letters = word.lower().removesuffix(ending)
        if not word.endswith(ending) or len(letters) < 2 or not set(letters) <= LETTERS.keys():
            continue
        stem, last = (phones[:-1], phones[-1:]) if ending else (phones, ())
        if stem == tuple(phone for letter in letters for phone in LETTERS[letter]) and last in ((), ("s",), ("z",)):
            return "._".join(letters) + "." + ending, " ".join(letters) + ("'s" if ending else "")
    return None


def find_acronyms(entries: list[Entry]) -> tuple[list[Entry], Acronyms]:
    """Rewrites the spelled words of a dictionary; words keep their case.

    Single capital letters join in (`the letter B` is `b.`) as soon as the dictionary spells any word or has such a letter.
    Returns:
      the entries, rewritten, with the letters added that its phones can spell; word -> (written out, single letters).
    """
    result, acronyms = [], {}
    known = {phone for _, phones in entries for phone in phones}
    for word, phones in entries:
        found = spelled(word, phones)
        if len(word) == 1 and word.isupper() and word != "I" and phones == LETTERS.get(word.lower()):
            found = (f"{word.lower()}.", word.lower())
        if found:
            acronyms[word] = found
        result.append((found[0] if found else word, phones))
    for letter, phones in LETTERS.items():
        if acronyms and known.issuperset(phones):
            acronyms[letter.upper()] = (f"{letter}.", letter)
            result.append((f"{letter}.", phones))
    return result, acronyms


def write_acronyms(path, acronyms: Acronyms) -> None:
    """Kaldi's acronyms.map: with tabs, a word of the transcripts, what it is in the lexicon, its letters for scoring."""
    Path(path).write_text("".join("\t".join((word, *forms)) + "\n" for word, forms in sorted(acronyms.items())), encoding="utf-8")


def read_acronyms(path) -> Acronyms:
    """Reads what `write_acronyms` wrote."""
    acronyms: Acronyms = {}
    with reading(path, "not a text file of UTF-8", next="local/prepare_switchboard"):
        lines = Path(require_file(path, next="local/prepare_switchboard")).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) != 3 or not all(fields):
            raise RecipeError("bad line of acronyms", file=f"{path}:{number}", expected="<word> TAB <in the lexicon> TAB <letters>",
                              found=repr(line), next="local/prepare_switchboard")
        acronyms[fields[0]] = fields[1], fields[2]
    return acronyms

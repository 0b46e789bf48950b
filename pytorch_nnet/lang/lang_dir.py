"""The lang directory (Kaldi's data/lang): written once by `write_lang`, read everywhere as `LangDir`."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Iterable, Mapping, Sequence

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish_folder
from .lexicon import Dictionary, Pronunciation, add_disambiguation
from .lexicon_fst import write_lexicon_fst
from .topology import topology_text
from .word_positions import bare, boundaries, with_positions

NUMBER = re.compile(r"[0-9]{1,9}")
NEXT = "steps/prepare_lang <dict> <oov-word> <lang>"


class LangDir:
    """A lang directory; each table is read when it is first asked for, so opening one costs nothing."""

    def __init__(self, path):
        self.folder = Path(path)
        require_file(self.folder / "words.txt", next=NEXT)

    def path(self, name: str) -> Path:
        """The path of a file in the directory, such as "L_disambig.fst"; RecipeError if it is not there."""
        maker = "steps/format_lm <arpa.gz> <lang>" if name == "G.fst" else NEXT
        return Path(require_file(self.folder / name, next=maker))

    @cached_property
    def words(self) -> dict[str, int]:
        return read_symbols(self.path("words.txt"))

    @cached_property
    def id2word(self) -> dict[int, str]:
        return {number: word for word, number in self.words.items()}

    @cached_property
    def phones(self) -> dict[str, int]:
        return read_symbols(self.path("phones.txt"))

    @cached_property
    def id2phone(self) -> dict[int, str]:
        return {number: phone for phone, number in self.phones.items()}

    @cached_property
    def silence_phones(self) -> list[int]:
        return self.ids("phones/silence.int")

    @cached_property
    def nonsilence_phones(self) -> list[int]:
        return self.ids("phones/nonsilence.int")

    @cached_property
    def optional_silence(self) -> int:
        return self.ids("phones/optional_silence.int")[0]

    @cached_property
    def bare_phone(self) -> dict[int, str]:
        """Names of phones by id; without their places in words, where they know them (word_positions.py)."""
        placed = (self.folder / "phones/word_boundary.txt").exists()
        return {number: bare(name) if placed else name for number, name in self.id2phone.items()}

    @cached_property
    def disambig(self) -> list[int]:
        """Phone ids of #0, #1, ..."""
        return self.ids("phones/disambig.int")

    @cached_property
    def oov(self) -> int:
        """Word id of the word that stands for every word outside the lexicon."""
        return self.ids("oov.int")[0]

    @cached_property
    def vocabulary(self) -> list[str]:
        """The lexicon's words in C order, without <eps>, #0, <s> and </s>."""
        return [word for word in self.words if word not in ("<eps>", "#0", "<s>", "</s>")]

    @cached_property
    def lexicon(self) -> list[Pronunciation]:
        """(word, phones) in C order; the optional silence is not in it."""
        entries, path = [], self.path("phones/align_lexicon.txt")
        with reading(path, "not a text file of UTF-8", next=NEXT), open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                word, *phones = line.split()[:1] + line.split()[2:]
                unknown = [name for name in phones if name not in self.phones] + [name for name in [word] if name not in self.words]
                if unknown or not phones:
                    raise RecipeError("bad line of a lexicon", file=f"{path}:{number}", id=next(iter(unknown), None), next=NEXT,
                                      expected="<word> <word> <phone> ..., of words.txt and phones.txt", found=repr(line[:80]))
                if word != "<eps>":
                    entries.append((word, tuple(phones)))
        return entries

    def ids(self, name: str) -> list[int]:
        """The numbers in one of the directory's .int files, at least one."""
        path = self.path(name)
        with reading(path, "not a file of numbers", expected="ids of phones.txt or words.txt", next=NEXT):
            numbers = [int(number) for number in path.read_text(encoding="ascii").split()]
            if not numbers or min(numbers) < 0:
                raise ValueError(f"{len(numbers)} numbers, or one below 0")
            return numbers

    def to_ids(self, words: Iterable[str]) -> tuple[list[int], int]:
        """Word ids, unknown words as `oov`, and how many were unknown."""
        table, oov = self.words, self.oov
        found = [table.get(word) for word in words]
        return [oov if number is None else number for number in found], found.count(None)

    def copy(self, path) -> "LangDir":
        """Publishes the directory under another name, for another grammar: without G.fst and what was made of it."""
        with publish_folder(path) as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("G.fst", "tmp", ".*"))
        return LangDir(path)

    def transcripts(self, text: Mapping[str, Sequence[str]], *, file=None,
                    max_oov: float = 0.1) -> tuple[dict[str, list[int]], Counter]:
        """Word ids of every utterance and the count of each word outside the lexicon.

        Raises:
          RecipeError: more than `max_oov` of all words are unknown, which means the wrong dictionary, other capitals or
            another language.
        """
        unknown = Counter(word for words in text.values() for word in words if word not in self.words)
        self.check_oov(unknown, sum(map(len, text.values())), file=file, max_oov=max_oov)
        return {utt: self.to_ids(words)[0] for utt, words in text.items()}, unknown

    def check_oov(self, unknown: Counter, total: int, *, file=None, max_oov: float = 0.1) -> None:
        """Raises RecipeError if more than `max_oov` of `total` words are `unknown`, which has the count of each."""
        if sum(unknown.values()) > max_oov * total:
            commonest = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:10]
            raise RecipeError("too many words outside the lexicon", file=file, id=commonest[0][0],
                              expected=f"at most {100 * max_oov:g} % of {total} words",
                              found=f"{sum(unknown.values())}: " + ", ".join(f"{word} ({n})" for word, n in commonest),
                              next=f"add them to the dictionary of {self.folder}, then {NEXT}")


def read_symbols(path) -> dict[str, int]:
    """Reads an OpenFst symbol table."""
    table: dict[str, int] = {}
    numbers: set[int] = set()
    with reading(path, "not a text file of UTF-8", next=NEXT), open(require_file(path, next=NEXT), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if len(fields) != 2 or not NUMBER.fullmatch(fields[1]) or fields[0] in table or int(fields[1]) in numbers:
                raise RecipeError("bad line in a symbol table", file=f"{path}:{number}",
                                  expected="<symbol> <number>, each symbol and each number once",
                                  found=repr(line), next=NEXT)
            table[fields[0]] = int(fields[1])
            numbers.add(int(fields[1]))
    return table


def write_lang(dictionary: Dictionary, oov: str, path, *, sil_prob: float = 0.5, sil_states: int = 5,
               nonsil_states: int = 3, position_dependent: bool = False) -> LangDir:
    """Publishes a lang directory (Kaldi: utils/prepare_lang.sh).

    Args:
      sil_prob: probability of optional silence between two words, inside (0, 1).
      position_dependent: phones know their place in a word (word_positions.py).
    """
    if not 0.0 < sil_prob < 1.0:
        raise RecipeError("silence probability out of range", expected="0 < --sil-prob < 1", found=sil_prob)
    if min(sil_states, nonsil_states) < 1:
        raise RecipeError("a phone needs a state", expected="at least 1", found=min(sil_states, nonsil_states))
    if position_dependent:
        dictionary = with_positions(dictionary)
    silence, nonsilence, sil = dictionary.silence_phones, dictionary.nonsilence_phones, dictionary.optional_silence
    marked, largest = add_disambiguation(dictionary.lexicon)
    sil_disambig = f"#{largest + 1}"
    disambig = [f"#{number}" for number in range(largest + 2)]
    phones = {phone: number for number, phone in enumerate(["<eps>", *silence, *nonsilence, *disambig])}
    words = {word: number for number, word in enumerate(["<eps>", *dictionary.words, "#0", "<s>", "</s>"])}
    sets = dictionary.silence_sets + dictionary.nonsilence_sets
    aligned = {f"<eps> <eps> {sil}", *(f"{word} {word} {' '.join(spoken)}" for word, spoken in dictionary.lexicon)}

    with publish_folder(path) as folder:
        (folder / "phones").mkdir()
        write_symbols(folder / "phones.txt", phones)
        write_symbols(folder / "words.txt", words)
        write_lines(folder / "oov.txt", [oov])
        write_lines(folder / "oov.int", [words[oov]])
        for name, members in {"silence": silence, "nonsilence": nonsilence, "optional_silence": [sil],
                              "context_indep": silence, "disambig": disambig, "wdisambig_phones": ["#0"]}.items():
            write_phones(folder / "phones" / name, members, phones)
            write_lines(folder / "phones" / f"{name}.csl", [":".join(str(phones[phone]) for phone in members)])
        write_phones(folder / "phones" / "sets", map(" ".join, sets), phones)
        # One tree root per set, all its states shared, and questions may split it.
        write_phones(folder / "phones" / "roots", (f"shared split {' '.join(line)}" for line in sets), phones)
        write_phones(folder / "phones" / "extra_questions", map(" ".join, dictionary.extra_questions), phones)
        if position_dependent:
            write_phones(folder / "phones" / "word_boundary", boundaries(dictionary), phones)
        write_lines(folder / "phones" / "wdisambig.txt", ["#0"])
        write_lines(folder / "phones" / "wdisambig_words.int", [words["#0"]])
        in_order = sorted(aligned, key=str.encode)
        write_lines(folder / "phones" / "align_lexicon.txt", in_order)
        write_lines(folder / "phones" / "align_lexicon.int",
                    (" ".join([*(str(words[w]) for w in line.split()[:2]), *(str(phones[p]) for p in line.split()[2:])])
                     for line in in_order))
        topology = topology_text([phones[p] for p in nonsilence], [phones[p] for p in silence], nonsil_states,
                                 sil_states)
        (folder / "topo").write_text(topology)
        write_lexicon_fst(folder / "L.fst", dictionary.lexicon, phones, words, sil, sil_prob)
        write_lexicon_fst(folder / "L_disambig.fst", marked, phones, words, sil, sil_prob, sil_disambig, "#0")
    return LangDir(path)


def write_lines(path, lines: Iterable) -> None:
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_symbols(path, table: Mapping[str, int]) -> None:
    write_lines(path, (f"{symbol} {number}" for symbol, number in table.items()))


def write_phones(stem: Path, lines: Iterable[str], phones: Mapping[str, int]) -> None:
    """Writes lines of phones as .txt and, phones as ids and other words kept, as .int."""
    lines = list(lines)
    write_lines(stem.with_name(f"{stem.name}.txt"), lines)
    in_numbers = (" ".join(str(phones.get(word, word)) for word in line.split()) for line in lines)
    write_lines(stem.with_name(f"{stem.name}.int"), in_numbers)

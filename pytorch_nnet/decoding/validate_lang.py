"""Is a lang directory whole, and do its parts agree? (Kaldi: utils/validate_lang.pl.)"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

import numpy as np

from ..hmm.topology import read_topology
from ..io.errors import RecipeError, reading
from ..lang.grammar import check_no_silent_cycle
from ..lang.lang_dir import NEXT, LangDir
from .openfst import FstArrays, read_fst

# Files of phones: each as .txt and .int, the first group also as .csl (ids between colons).
LISTS = ("silence", "nonsilence", "optional_silence", "context_indep", "disambig", "wdisambig_phones")
LINES = ("sets", "roots", "extra_questions")
ROOT_WORDS = ({"shared", "not-shared"}, {"split", "not-split"})
BOUNDARIES = ("nonword", "begin", "end", "internal", "singleton")
DISAMBIG = re.compile(r"#[0-9]+")


class Checker:
    """One pass over a lang directory; every method raises RecipeError at the first thing that is wrong."""

    def __init__(self, path, determinization: bool = True):
        self.lang, self.determinization = LangDir(path), determinization
        self.phones, self.words = self.lang.phones, self.lang.words
        self.arcs: dict[str, int] = {}

    def error(self, what: str, name: str, **details) -> RecipeError:
        details.setdefault("next", NEXT)
        return RecipeError(what, file=self.lang.folder / name, **details)

    def run(self) -> None:
        self.check_symbols()
        members = {name: self.read_list(name) for name in LISTS if name != "wdisambig_phones" or self.exists("phones/wdisambig_phones.txt")}
        self.check_classes(members)
        for name in LINES:
            self.check_lines(name, members["silence"] + members["nonsilence"])
        self.check_boundaries(members["disambig"])
        self.check_oov()
        self.check_lexicon(members)
        self.check_topology(members)
        for name in ("L.fst", "L_disambig.fst"):
            self.check_lexicon_fst(name)
        if self.exists("G.fst"):
            self.check_grammar()

    def exists(self, name: str) -> bool:
        return (self.lang.folder / name).exists()

    def check_symbols(self) -> None:
        """<eps> is 0 in both tables, #0 is in both; phones.txt has no word of the grammar."""
        for name, table in (("phones.txt", self.phones), ("words.txt", self.words)):
            for symbol, number in (("<eps>", 0), ("#0", table.get("#0", -1))):
                if table.get(symbol) != number or number < 0:
                    raise self.error("symbol missing, or under a wrong number", name, id=symbol,
                                     expected="0" if symbol == "<eps>" else "any number",
                                     found=table.get(symbol, "none"))
        for symbol in ("<s>", "</s>"):
            if symbol in self.phones:
                raise self.error("a word of the grammar among the phones", "phones.txt", id=symbol, expected="phones", found=symbol)

    def read(self, name: str) -> str:
        path = self.lang.folder / name
        if not path.exists():
            raise self.error("missing input", name, expected="a file of a lang directory", found="nothing")
        with reading(path, "not a text file of UTF-8", next=NEXT):
            return path.read_text(encoding="utf-8")

    def lines(self, name: str) -> Iterator[list[str]]:
        """The fields of each line; a file may have none (extra_questions), a line must."""
        for number, line in enumerate(self.read(name).splitlines(), 1):
            if not line.split():
                raise self.error("empty line", f"{name}:{number}", expected="a symbol or several", found=repr(line))
            yield line.split()

    def both_forms(self, stem: str, tables=None) -> list[list[str]]:
        """The lines of <stem>.txt, whose .int must say the same. tables: what numbers each field; phones.txt, if it is left out."""
        text, ints = list(self.lines(f"{stem}.txt")), list(self.lines(f"{stem}.int"))
        if len(text) != len(ints):
            raise self.error("text and numbers disagree", f"{stem}.int", expected=f"{len(text)} lines as in {stem}.txt",
                             found=f"{len(ints)} lines")
        for number, (words, ids) in enumerate(zip(text, ints), 1):
            known = [(tables[place] if tables and place < len(tables) else self.phones).get(word) for place, word in enumerate(words)]
            if ids != [word if id is None else str(id) for word, id in zip(words, known)]:
                raise self.error("text and numbers disagree", f"{stem}.int:{number}", expected=" ".join(words), found=" ".join(ids))
        return text

    def read_list(self, name: str) -> list[str]:
        """A file of one phone a line, in its three forms."""
        stem, found = f"phones/{name}", []
        for number, words in enumerate(self.both_forms(stem), 1):
            if len(words) != 1 or words[0] not in self.phones or words[0] in found:
                raise self.error("bad line of phones", f"{stem}.txt:{number}", id=words[0], expected="one phone of phones.txt, each once",
                                 found=" ".join(words))
            found += words
        expected = ":".join(str(self.phones[phone]) for phone in found)
        lines = self.read(f"{stem}.csl").split()
        if lines != expected.split():
            raise self.error("text and numbers disagree", f"{stem}.csl", expected=expected, found=" ".join(lines)[:200])
        return found

    def check_classes(self, members: dict[str, list[str]]) -> None:
        """Every symbol of phones.txt is in exactly one of silence, nonsilence, disambig; optional silence is one silence phone."""
        owner: dict[str, str] = {}
        for name in ("silence", "nonsilence", "disambig"):
            for phone in members[name]:
                if owner.setdefault(phone, name) != name:
                    raise self.error("phone in two classes", f"phones/{name}.txt", id=phone,
                                     expected="one of silence, nonsilence, disambig",
                                     found=f"{owner[phone]} and {name}")
        if missing := sorted(self.phones.keys() - owner.keys() - {"<eps>"}):
            raise self.error("phone in no class", "phones.txt", id=missing[0], expected="one of silence, nonsilence, disambig",
                             found=f"{len(missing)} such phones")
        for name in ("silence", "nonsilence"):
            if not members[name]:
                raise self.error("no phones", f"phones/{name}.txt", expected="at least one", found="none")
            if wrong := next((phone for phone in members[name] if phone.startswith("#") or phone == "<eps>"), None):
                raise self.error("bad name of a phone", f"phones/{name}.txt", id=wrong, expected="no #, not <eps>", found=wrong)
        optional = members["optional_silence"]
        if len(optional) != 1 or optional[0] not in members["silence"]:
            raise self.error("optional silence is not one silence phone", "phones/optional_silence.txt",
                             expected="one of " + " ".join(members["silence"]),
                             found=" ".join(optional) or "none")
        if wrong := next((phone for phone in members["context_indep"] if owner[phone] == "disambig"), None):
            raise self.error("bad name of a phone", "phones/context_indep.txt", id=wrong, expected="phones with HMMs", found=wrong)
        numbers = [f"#{number}" for number in range(len(members["disambig"]))]
        if sorted(members["disambig"]) != sorted(numbers):
            raise self.error("disambiguation symbols with gaps", "phones/disambig.txt",
                             expected=f"#0 to {numbers[-1] if numbers else '#1'}",
                             found=" ".join(members["disambig"][:10]))
        if "wdisambig_phones" in members and members["wdisambig_phones"] != ["#0"]:
            raise self.error("bad disambiguation symbol of words", "phones/wdisambig_phones.txt", expected="#0",
                             found=" ".join(members["wdisambig_phones"]))
        if self.exists("phones/wdisambig_words.int") and self.lang.ids("phones/wdisambig_words.int") != [self.words["#0"]]:
            raise self.error("bad disambiguation symbol of words", "phones/wdisambig_words.int", expected=self.words["#0"], found="another")

    def check_lines(self, name: str, real: list[str]) -> None:
        """sets and roots hold every phone that has an HMM once; questions are about such phones."""
        seen: set[str] = set()
        stem = f"phones/{name}"
        for number, words in enumerate(self.both_forms(stem), 1):
            phones = words[2:] if name == "roots" else words
            if name == "roots" and not (len(words) > 2 and words[0] in ROOT_WORDS[0] and words[1] in ROOT_WORDS[1]):
                raise self.error("bad line of tree roots", f"{stem}.txt:{number}", expected="(not-)shared (not-)split <phone> ...",
                                 found=" ".join(words))
            for phone in phones:
                if phone not in real or name != "extra_questions" and phone in seen:
                    raise self.error("bad line of phones", f"{stem}.txt:{number}", id=phone, found=phone,
                                     expected="phones with HMMs" + ("" if name == "extra_questions" else ", each once"))
                seen.add(phone)
        if name != "extra_questions" and (missing := sorted(set(real) - seen)):
            raise self.error("phone without a line", f"{stem}.txt", id=missing[0], expected=f"all {len(real)} phones",
                             found=f"{len(missing)} missing")

    def check_boundaries(self, disambig: list[str]) -> None:
        """Where phones know their place in a word (Kaldi's _B _I _E _S), word_boundary has each once."""
        if not self.exists("phones/word_boundary.txt"):
            return
        seen = set()
        for number, words in enumerate(self.both_forms("phones/word_boundary"), 1):
            if len(words) != 2 or words[0] not in self.phones or words[1] not in BOUNDARIES or words[0] in seen:
                raise self.error("bad line of word boundaries", f"phones/word_boundary.txt:{number}", id=words[0],
                                 expected="<phone> " + "|".join(BOUNDARIES),
                                 found=" ".join(words))
            seen.add(words[0])
        if wrong := sorted((self.phones.keys() - set(disambig) - {"<eps>"}) ^ seen):
            raise self.error("phone without a line", "phones/word_boundary.txt", id=wrong[0], expected="every phone with an HMM",
                             found=f"{len(wrong)} others")

    def check_oov(self) -> None:
        words = self.both_forms("oov", [self.words])
        if len(words) != 1 or len(words[0]) != 1 or words[0][0] not in self.words:
            raise self.error("not one word for unknown words", "oov.txt", expected="a word of words.txt",
                             found=" ".join(words[0]) if words else "none")

    def check_lexicon(self, members: dict[str, list[str]]) -> None:
        """align_lexicon has words and phones of the tables, every word of words.txt, and the word for unknown ones."""
        stem = "phones/align_lexicon"
        real, known = set(members["silence"]) | set(members["nonsilence"]), set()
        for number, words in enumerate(self.both_forms(stem, [self.words, self.words]), 1):
            if len(words) < 3 or words[0] not in self.words or words[1] not in self.words or not set(words[2:]) <= real:
                raise self.error("bad line of a lexicon", f"{stem}.txt:{number}", id=words[0],
                                 expected="<word> <word> <phone> ..., of words.txt and phones with HMMs",
                                 found=" ".join(words)[:200])
            known.add(words[0])
        specials = {"<eps>", "#0", "<s>", "</s>"}
        if missing := sorted(self.words.keys() - known - specials, key=str.encode):
            raise self.error("word without a pronunciation", f"{stem}.txt", id=missing[0], expected="every word of words.txt",
                             found=f"{len(missing)} missing")
        if wrong := next((word for word in ("#0", "<s>", "</s>") if word in known), None):
            raise self.error("a symbol of the grammar in the lexicon", f"{stem}.txt", id=wrong, expected="words", found=wrong)

    def check_topology(self, members: dict[str, list[str]]) -> None:
        found = set(read_topology(self.lang.path("topo")).phones.tolist())
        wanted = {self.phones[phone] for name in ("silence", "nonsilence") for phone in members[name]}
        if wrong := sorted(found ^ wanted):
            raise self.error("topo and phones disagree", "topo",
                             id=f"phone {wrong[0]} ({self.lang.id2phone.get(wrong[0], 'not in phones.txt')})",
                             expected=f"the {len(wanted)} phones with HMMs", found=f"{len(wrong)} others")

    def read_fst(self, name: str) -> FstArrays:
        fst = read_fst(self.lang.path(name), next=NEXT)
        if fst.start < 0 or not np.isfinite(fst.final).any():
            raise self.error("transducer without a start or an end", name, expected="both", found=f"{fst.num_states} states")
        self.arcs[name] = len(fst.arcs)
        return fst

    def refuse(self, name: str, fst: FstArrays, bad: np.ndarray, what: str, expected: str, **details) -> None:
        """Raises RecipeError for the first arc for which `bad` (arcs,) is true."""
        if bad.any():
            arc = int(np.argmax(bad))
            raise self.error(what, name, id=f"state {fst.src[arc]}", expected=expected,
                             found=f"{fst.arcs['ilabel'][arc]} in, {fst.arcs['olabel'][arc]} out", **details)

    def check_lexicon_fst(self, name: str) -> None:
        """Labels are those of the tables, arcs are sorted by word, every word can be said; L_disambig passes #0 through."""
        fst, marked = self.read_fst(name), name == "L_disambig.fst"
        phones = set(self.phones.values()) - (set() if marked else set(self.lang.disambig))
        heard, said = fst.arcs["ilabel"], fst.arcs["olabel"]
        self.refuse(name, fst, ~(np.isin(heard, list(phones)) & np.isin(said, list(self.words.values()))),
                    "label that the tables do not have",
                    "phones" + ("" if marked else " with HMMs") + " in, words out")
        self.refuse(name, fst, falling(fst, said), "arcs are not sorted by word", "no word after a later one",
                    next="sort it (fstarcsort --sort_type=olabel), or " + NEXT)
        known, silent = set(said.tolist()), {"<eps>", "#0", "<s>", "</s>"}
        if missing := sorted(word for word, number in self.words.items() if number not in known and word not in silent):
            raise self.error("word that the lexicon's transducer cannot say", name, id=missing[0], expected="every word of words.txt",
                             found=f"{len(missing)} missing")
        if marked and not ((fst.arcs["dst"] == fst.src) & (heard == self.phones["#0"]) & (said == self.words["#0"])).any():
            raise self.error("L_disambig.fst does not pass #0 through", name,
                             expected="a loop with #0 in and out, for the grammar's back-off arcs", found="none")

    def check_grammar(self) -> None:
        """Words on both sides but for #0, which is in alone; sorted and deterministic on the input; no cycle without a word."""
        import kaldifst

        name, make = "G.fst", "steps/format_lm <arpa.gz> <lang>"
        fst, backoff = self.read_fst(name), self.words["#0"]
        words = list(set(self.words.values()) - {0, backoff, self.words.get("<s>"), self.words.get("</s>")})
        heard, said = fst.arcs["ilabel"], fst.arcs["olabel"]
        good = np.where(heard == backoff, said == 0, np.isin(heard, words) & np.isin(said, words))
        self.refuse(name, fst, ~good,
                    "label that words.txt does not have, or that no grammar may have", "words, but not <s> and </s>; #0 in alone", next=make)
        if self.determinization:
            self.refuse(name, fst, falling(fst, heard, strictly=True),
                        "G.fst is not sorted or not deterministic", "one arc for each word, in the order of their numbers",
                        next=make)
        check_no_silent_cycle(kaldifst.StdVectorFst.read(str(self.lang.path(name))), backoff, file=self.lang.folder / name)


def falling(fst: FstArrays, labels: np.ndarray, strictly: bool = False) -> np.ndarray:
    """(arcs,) bool: arcs whose label is below that of the arc before it from the same state, or `strictly` not above it."""
    result = np.zeros(len(labels), bool)
    steps = np.diff(labels.astype(np.int64))
    result[1:] = (np.diff(fst.src) == 0) & ((steps <= 0) if strictly else (steps < 0))
    return result


def validate_lang(path, *, determinization: bool = True) -> str:
    """Checks a lang directory; returns a line with its sizes.

    Args:
      determinization: see that G.fst is sorted and deterministic.
    Raises:
      RecipeError: the first thing that is wrong.
    """
    checker = Checker(path, determinization)
    checker.run()
    lang = checker.lang
    arcs = ", ".join(f"{name} {count} arcs" for name, count in checker.arcs.items())
    sizes = f"{len(lang.vocabulary)} words, {len(lang.silence_phones)} silence and {len(lang.nonsilence_phones)} other phones"
    return (f"{Path(path)} is valid: {sizes}, {arcs}"
            + ("" if "G.fst" in checker.arcs else "; no G.fst yet"))

"""From the markup of the Mississippi State transcripts and dictionary to plain words.

The conventions are those of Kaldi's Switchboard recipe (egs/swbd/s5c/local/swbd1_data_prep.sh, swbd1_map_words.pl and
map_acronyms_transcripts.py). The same rules go over transcripts and dictionary, so that a partial word such as `th[at]-` is `th-`
in both and keeps its pronunciation; one that the dictionary does not have is an unknown word, <unk>.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Iterable, Mapping

NOISES = ("[noise]", "[vocalized-noise]", "[laughter]")  # words with phones of their own: nsn, spn, lau
DROPPED = {"[silence]": "[silence] dropped",
           "<b_aside>": "<b_aside>, <e_aside> dropped", "<e_aside>": "<b_aside>, <e_aside> dropped"}  # around words to somebody in the room

# (name, pattern, replacement), applied in this order to a word in any case. A '-' marks the part that was not spoken.
RULES = tuple((name, re.compile(pattern, re.IGNORECASE), replacement) for name, pattern, replacement in (
    ("laughed word: [laughter-yes] -> yes", r"^(-?)\[laughter-(.+)\](-?)$", r"\1\2\3"),
    ("mispronounced: [yeam/yeah] -> yeam", r"^\[(.+)/[^/]+\](-?)$", r"\1\2"),
    ("begun late: -[be]cause -> -cause", r"^-?\[[^][]+\](.+)$", r"-\1"),
    ("cut off: th[at]- -> th-", r"^(.+?)\[[^][]+\]-?$", r"\1-"),
    ("cut off and mistyped: ex[tra]-/extra] -> ex-", r"^([^][]+)\[.+\]$", r"\1-"),
    ("gap inside: ammu[ni]tion -> ammu-tion", r"^(.*\w)\[[^][]+\](\w.*)$", r"\1-\2"),
    ("coined word: {yuppiedom} -> yuppiedom", r"^\{(.+)\}$", r"\1"),
    ("pronunciation number: them_1 -> them", r"_\d+", r""),
))
ACRONYM = "acronym: IBM -> i._b._m."
CASE = "case: Hello -> hello"
NUMBER = "word with a digit, kept as written"
LETTER = re.compile(r"[A-Z]")
SPELLED_I = "+I+"  # the letter I, told from the pronoun by the letters around it


def rewrite(word: str) -> tuple[str, list[str]]:
    """Applies RULES to one word; returns it, in its own case, and the names of the rules that changed something."""
    applied = []
    if word.lower() not in NOISES:
        for name, pattern, replacement in RULES:
            changed = pattern.sub(replacement, word, count=1)
            if changed != word:
                applied.append(name)
            word = changed
    return word, applied


class TextRules:
    """Turns lines of a transcript into plain words and counts what each rule did.

    Args:
      acronyms: word, in its own case, -> how it is written out; see `corpus.acronyms`.
    """

    def __init__(self, acronyms: Mapping[str, str] | None = None):
        self.acronyms = {SPELLED_I if word == "I" else word: written for word, written in (acronyms or {}).items()}
        self.seen: Counter[str] = Counter()  # words as they stand in the transcripts
        self.known: dict[str, tuple[str | None, list[str]]] = {}  # such a word -> result, rules; most come again and again

    def words(self, tokens: list[str]) -> list[str]:
        """The plain words of a line; an empty result means that nothing was said."""
        if "I" in tokens and SPELLED_I in self.acronyms:
            tokens = letter_runs(tokens)
        self.seen.update(tokens)
        kept = []
        for token in tokens:
            if token not in self.known:
                self.known[token] = self.convert(token)
            word = self.known[token][0]
            if word is not None:
                kept.append(word)
        return kept

    def convert(self, token: str) -> tuple[str | None, list[str]]:
        """One word and the names of the rules that touched it; None: it is dropped."""
        lower = token.lower()
        if lower in DROPPED:
            return None, [DROPPED[lower]]
        if lower in NOISES:
            return lower, [f"{lower} kept as a word of its own"]
        word, applied = rewrite(token)
        if word in self.acronyms:
            return self.acronyms[word], [*applied, ACRONYM]
        if word.lower() != word:
            applied.append(CASE)
        if any(character.isdigit() for character in word):
            applied.append(NUMBER)
        return word.lower(), applied

    def counts(self) -> Counter:
        """How often each rule was used so far."""
        counts: Counter = Counter()
        for token, number in self.seen.items():
            for name in self.known[token][1]:
                counts[name] += number
        return counts


def letter_runs(tokens: Iterable[str]) -> list[str]:
    """The same words, an I beside another single capital letter marked as a letter: `the I R S` but `so I left`."""
    tokens = list(tokens)
    padded = ["", *tokens, ""]
    return [SPELLED_I if word == "I" and (LETTER.fullmatch(before) or LETTER.fullmatch(after)) else word
            for before, word, after in zip(padded, tokens, padded[2:])]

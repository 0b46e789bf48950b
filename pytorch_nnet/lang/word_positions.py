"""Phones that know their place in a word: begin, inside, end, or alone (Kaldi: position-dependent phones, utils/prepare_lang.sh).

Every phone becomes several, AA_B, AA_E, AA_I and AA_S, that share a root of the decision tree: it asks for the place where that makes
a difference. Optional silence stays SIL; silence phones in words have places too.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Iterable, Iterator, Sequence

from .lexicon import Dictionary

PLACES = {"B": "begin", "E": "end", "I": "internal", "S": "singleton"}
PLACED = re.compile(f"(.+)_[{''.join(PLACES)}]")


def placed(phones: Sequence[str]) -> tuple[str, ...]:
    """A word's phones with their places: ("B", "IY") -> ("B_B", "IY_E")."""
    if len(phones) == 1:
        return (f"{phones[0]}_S",)
    return (f"{phones[0]}_B", *(f"{phone}_I" for phone in phones[1:-1]), f"{phones[-1]}_E")


def bare(phone: str) -> str:
    """The phone without its place."""
    match = PLACED.fullmatch(phone)
    return match[1] if match else phone


def with_positions(dictionary: Dictionary) -> Dictionary:
    """The dictionary in placed phones.

    Questions are asked about the phones of each line in all places, and about each place, as in prepare_lang.sh.
    """
    every = [f"_{place}" for place in PLACES]

    def widen(lines: Iterable[Sequence[str]], endings: Sequence[str]) -> list[list[str]]:
        return [[phone + ending for phone in line for ending in endings] for line in lines]

    silence = set(dictionary.silence_phones)
    questions = [[phone + ending for phone in line for ending in (["", *every] if phone in silence else every)]
                 for line in dictionary.extra_questions]
    questions += [[phone + ending for phone in dictionary.nonsilence_phones] for ending in every]
    questions += [[phone + ending for phone in dictionary.silence_phones] for ending in ["", *every]]
    return replace(dictionary, lexicon=[(word, placed(phones)) for word, phones in dictionary.lexicon],
                   silence_sets=widen(dictionary.silence_sets, ["", *every]), nonsilence_sets=widen(dictionary.nonsilence_sets, every),
                   extra_questions=questions)


def boundaries(dictionary: Dictionary) -> Iterator[str]:
    """The lines of word_boundary.txt for a dictionary in placed phones: a phone and its place, or `nonword` if it has none."""
    for phone in dictionary.silence_phones + dictionary.nonsilence_phones:
        yield f"{phone} {PLACES[phone[-1]] if PLACED.fullmatch(phone) else 'nonword'}"

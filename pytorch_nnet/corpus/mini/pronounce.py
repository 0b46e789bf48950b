"""Pronunciations of the mini corpus: espeak's phonemes of a reference voice, mapped to ARPAbet.

The dictionary is what an American voice says for each word on its own; a few words that sound different inside a sentence
also get the form heard there, so that the dictionary has variants, as a real one does. Other accents deviate from it.
"""

from __future__ import annotations

from typing import Iterable

from ...io.errors import RecipeError
from .espeak import SpokenPhone, Synthesizer

REFERENCE_VOICE = "en-us"

ARPABET = {
    # vowels
    "0": "aa", "A:": "aa", "a": "ae", "aa": "ae", "V": "ah", "O:": "ao", "O2": "ao", "aU": "aw", "@": "ax", "@2": "ax",
    "@5": "ax", "@-": "ax", "a#": "ax", "aI": "ay", "aI2": "ay", "E": "eh", "3": "er", "3:": "er", "IR": "er", "VR": "er",
    "eI": "ey", "I": "ih", "I2": "ih", "I#": "ih", "i": "iy", "i:": "iy", "oU": "ow", "OI": "oy", "U": "uh", "u:": "uw", "u": "uw",
    # vowels that espeak treats as one and ARPAbet as two
    "A@": "aa r", "O@": "ao r", "o@": "ao r", "e@": "eh r", "i@": "iy ax", "i@3": "ih r", "U@": "uh r", "aI3": "ay er",
    "aI@": "ay ax", "aU@": "aw ax", "@L": "ax l",
    # consonants
    "b": "b", "tS": "ch", "d": "d", "D": "dh", "f": "f", "g": "g", "h": "hh", "dZ": "jh", "k": "k", "l": "l", "m": "m", "n": "n",
    "n-": "n", "N": "ng", "p": "p", "r": "r", "r-": "r", "s": "s", "S": "sh", "t": "t", "t#": "t", "t2": "t", "t[": "t", "?": "t",
    "T": "th", "v": "v", "w": "w", "w#": "w", "j": "y", "z": "z", "Z": "zh",
}
PHONES = sorted({phone for phones in ARPABET.values() for phone in phones.split()})

# Words with another form inside a sentence, and a phrase that has it.
VARIANTS = {"a": "a dog", "to": "to see", "the": "the apples"}


def arpabet(phones: Iterable[SpokenPhone]) -> list[SpokenPhone]:
    """Maps espeak's phones to ARPAbet; one that becomes two is halved. A doubled r (espeak's vowel+r before r) is one."""
    mapped: list[SpokenPhone] = []
    for phone in phones:
        if phone.name not in ARPABET:
            raise RecipeError("espeak-ng used a phoneme that has no ARPAbet phone", id=phone.name,
                              expected="a row in ARPABET of pytorch_nnet/corpus/mini/pronounce.py")
        names = ARPABET[phone.name].split()
        step = (phone.end - phone.start) / len(names)
        for index, name in enumerate(names):
            end = phone.end if index == len(names) - 1 else phone.start + (index + 1) * step
            if name == "r" and mapped and mapped[-1].name == "r":
                mapped[-1].end = end
            else:
                mapped.append(SpokenPhone(name, phone.start + index * step, end))
    return mapped


def pronunciations(synthesizer: Synthesizer, words: Iterable[str]) -> dict[str, list[list[str]]]:
    """Speaks every word and returns its pronunciations, the isolated one first."""
    lexicon: dict[str, list[list[str]]] = {}
    for word in sorted(words):
        spoken = synthesizer.say([word], REFERENCE_VOICE).words
        lexicon[word] = [[phone.name for phone in arpabet(phone for part in spoken for phone in part.phones)]]
        if word in VARIANTS:
            tokens = VARIANTS[word].split()
            part = synthesizer.say(tokens, REFERENCE_VOICE).words[0]
            variant = [phone.name for phone in arpabet(part.phones)]
            if len(part.tokens) == 1 and variant not in lexicon[word]:
                lexicon[word].append(variant)
    return lexicon

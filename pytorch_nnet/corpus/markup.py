"""From the markup of the Mississippi State transcripts and dictionary to plain words.

The conventions are those of Kaldi's Switchboard recipe (egs/swbd/s5c/local/swbd1_data_prep.sh and swbd1_map_words.pl). The same
rules go over transcripts and dictionary, so that a partial word such as `th[at]-` is `th-` in both and keeps its pronunciation;
one that the dictionary does not have is an unknown word, <unk>.
"""

from __future__ import annotations

import re
from collections import Counter

SILENCE = "[silence]"
NOISES = ("[noise]", "[vocalized-noise]", "[laughter]")
ASIDES = ("<b_aside>", "<e_aside>")  # around words spoken to somebody in the room

# (name, pattern, replacement), applied in this order to lower-case words. A '-' marks the part that was not spoken.
RULES = tuple((name, re.compile(pattern), replacement) for name, pattern, replacement in (
    ("laughed word: [laughter-yes] -> yes", r"^(-?)\[laughter-(.+)\](-?)$", r"\1\2\3"),
    ("mispronounced: [yeam/yeah] -> yeam", r"^\[(.+)/[^/]+\](-?)$", r"\1\2"),
    ("begun late: -[be]cause -> -cause", r"^-?\[[^][]+\](.+)$", r"-\1"),
    ("cut off: th[at]- -> th-", r"^(.+?)\[[^][]+\]-?$", r"\1-"),
    ("cut off and mistyped: ex[tra]-/extra] -> ex-", r"^([^][]+)\[.+\]$", r"\1-"),
    ("gap inside: ammu[ni]tion -> ammu-tion", r"^(.*\w)\[[^][]+\](\w.*)$", r"\1-\2"),
    ("coined word: {yuppiedom} -> yuppiedom", r"^\{(.+)\}$", r"\1"),
    ("pronunciation number: them_1 -> them", r"_\d+", r""),
))


def plain_word(word: str, counts: Counter | None = None) -> str:
    """Applies the rules to one word, in lower case; counts the rules that changed something by their names."""
    word = word.lower()
    for name, pattern, replacement in RULES:
        if word in NOISES:
            break
        changed = pattern.sub(replacement, word, count=1)
        if changed != word and counts is not None:
            counts[name] += 1
        word = changed
    return word


def plain_words(words: list[str], counts: Counter | None = None) -> list[str]:
    """Drops silences and asides and applies the rules to the rest; an empty result means that nothing was said."""
    counts = Counter() if counts is None else counts
    kept = []
    for word in words:
        lower = word.lower()
        if lower == SILENCE:
            counts["[silence] dropped"] += 1
        elif lower in ASIDES:
            counts["<b_aside>, <e_aside> dropped"] += 1
        else:
            kept.append(plain_word(lower, counts))
    return kept

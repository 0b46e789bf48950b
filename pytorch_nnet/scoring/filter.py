"""Rules applied to the words of references and hypotheses before scoring.

A rule file holds a rule a line, in the form of a NIST GLM cut down to context-free rules on whole words:

    ;; comment
    [laughter] =>               the word does not count
    uh-huh => uh huh            written otherwise

A rule's left side is one or more words; the longest rule that fits at a word is applied, and its result is not
rewritten.
"""

from __future__ import annotations

from typing import Sequence

from ..io.errors import RecipeError, require_file

Rules = dict[tuple[str, ...], tuple[str, ...]]


def read_rules(path) -> Rules:
    """Raises RecipeError on a line without '=>' or a left side given twice."""
    rules: Rules = {}
    with open(require_file(path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.lstrip().startswith(";;"):
                continue
            left, arrow, right = line.partition("=>")
            words = tuple(left.split())
            if not arrow or not words or words in rules:
                raise RecipeError("bad scoring rule", file=f"{path}:{number}",
                                  expected="<words> => <words or nothing>, each left side once",
                                  found=repr(line))
            rules[words] = tuple(right.split())
    return rules


def apply_rules(words: Sequence[str], rules: Rules) -> list[str]:
    """The words after one pass from left to right."""
    if not rules:
        return list(words)
    longest = max(map(len, rules))
    result: list[str] = []
    position = 0
    while position < len(words):
        for length in range(min(longest, len(words) - position), 0, -1):
            found = rules.get(tuple(words[position:position + length]))
            if found is not None:
                result += found
                position += length
                break
        else:
            result.append(words[position])
            position += 1
    return result

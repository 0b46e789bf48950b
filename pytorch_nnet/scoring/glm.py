"""Global mapping files (GLM): NIST's rules that make the spellings of references and hypotheses comparable.

A file in the format NIST1, as the program rfilter1 of NIST's scoring toolkit (SCTK) reads it:

    ;; comment, also at the end of a line; the first line only says what begins a comment
    * max_nrules = '2500'            header; also copy_no_hit, case_sensitive, format
    UH => %HESITATION / [ ] __ [ ]   UH between two spaces becomes %HESITATION
    IT'S => {IT'S / IT IS} / [ ] __ [ ]
    [[NOISE]] => / [ ] __ [ ]        [NOISE] goes away: one pair of outer brackets or quotes only shows where a part ends

Rules work on characters, not on words: without a context, a rule applies inside words too. At every place the first rule
in the order of the file applies, its result is not looked at again, and contexts look at the text as it was before.

`Glm.words` does the whole of what csrfilt.sh -dh (SCTK) does to a text: upper case, rules, hyphens between words to spaces,
(A B) to (A) (B).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence

from ..io.errors import RecipeError, reading, require_file

UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}  # ASCII alone, as tr/a-z/A-Z/
REGION = re.compile(r';;\s+INPUT_DEPENDENT_APPLICATION\s*=\s*"([^"]*)"')


def upper(text: str) -> str:
    return text.translate(UPPER)


@dataclass(frozen=True)
class Rule:
    """`old` becomes `new` where `before` and `after` stand around it."""

    old: str
    new: str
    before: str = ""
    after: str = ""


def unwrapped(part: str) -> str:
    """A part of a rule without its outer brackets or quotes."""
    part = part.strip()
    if len(part) > 1 and (part[0], part[-1]) in (("[", "]"), ('"', '"')):
        return part[1:-1]
    return part


def parse_rule(line: str) -> Rule | None:
    """'OLD => NEW / BEFORE __ AFTER', the context optional; None if there is no rule in the line.

    The last slash begins the context, so a NEW with slashes of its own needs one; only between brackets that another
    bracket follows is it a slash like any other (rfilter1 cuts the rule at it everywhere else, and so do we).
    """
    old, arrow, rest = line.partition("=>")
    if not arrow or not old.strip():
        return None
    new, slash, context = rest.rpartition("/")
    if not slash or context.find("]") < context.find("["):
        new, context = rest, ""
    before, slot, after = context.partition("_")
    if not slot:
        before = ""
    return Rule(unwrapped(old), unwrapped(new), unwrapped(before), unwrapped(after.lstrip("_")))


class Glm:
    """The rules of one file that apply to one kind of input."""

    def __init__(self, rules: Sequence[Rule], *, case_sensitive: bool = False, copy: bool = True):
        self.case_sensitive, self.copy = case_sensitive, copy
        self.by_character: dict[str, list[Rule]] = {}
        for rule in rules:
            if not case_sensitive:
                rule = Rule(upper(rule.old), rule.new, upper(rule.before), upper(rule.after))
            self.by_character.setdefault(rule.old[0], []).append(rule)
        self.words = lru_cache(maxsize=100_000)(self._words)

    @classmethod
    def read(cls, path, kinds: Sequence[str] = ()) -> "Glm":
        """Reads the rules that hold for all input, and those for input of `kinds` ("stm", "ctm", "ref", "hyp").

        Raises RecipeError on a line that is no rule, an unknown format, more rules than the file allows itself.
        """
        rules: list[Rule] = []
        header = {"FORMAT": "NIST1", "MAX_NRULES": "400", "COPY_NO_HIT": "T", "CASE_SENSITIVE": "T"}
        applies, comment = True, ""
        with open(require_file(path), encoding="latin-1") as file:
            for number, line in enumerate(file, 1):
                region = REGION.match(line)
                if region:
                    with reading(f"{path}:{number}", "bad region of a GLM", expected="a pattern such as 'stm|ref'"):
                        applies = any(re.search(region[1].lower(), kind) for kind in kinds)
                if number == 1:
                    comment = line.split()[0] if line.split() else ""
                    if "=>" in line or not comment:
                        raise RecipeError("a GLM begins with a comment", file=path, expected=";; and what the file is",
                                          found=repr(line.strip()), next="put a line with ;; before the first rule")
                    comment = comment[:2]
                    continue
                text = line.partition(comment)[0].strip()
                if not text or not applies:
                    continue
                if line.startswith("*"):
                    value = re.search(r"[\"']([^\"']*)[\"']", text)
                    for name in header:
                        if value and name in upper(text):
                            header[name] = value[1]
                    continue
                rule = parse_rule(text)
                if rule is None or not rule.old:
                    raise RecipeError("bad scoring rule", file=f"{path}:{number}", expected="OLD => NEW / [ ] __ [ ]",
                                      found=repr(line.strip()))
                rules.append(rule)
        if header["FORMAT"] != "NIST1":
            raise RecipeError("GLM of an unknown format", file=path, expected="NIST1", found=header["FORMAT"])
        if not re.fullmatch(r"\s*\d{1,9}\s*", header["MAX_NRULES"]):
            raise RecipeError("bad max_nrules of a GLM", file=path, expected="a number", found=header["MAX_NRULES"])
        if len(rules) > int(header["MAX_NRULES"]):
            raise RecipeError("more rules than max_nrules allows", file=path, expected=f"at most {header['MAX_NRULES']}",
                              found=len(rules), next="raise max_nrules in the file's header")
        return cls(rules, case_sensitive=upper(header["CASE_SENSITIVE"])[:1] == "T",
                   copy=upper(header["COPY_NO_HIT"])[:1] == "T")

    def apply(self, text: str) -> str:
        """The text after one pass from left to right; put a space at either end for rules about words."""
        seen = text if self.case_sensitive else upper(text)
        result: list[str] = []
        place = 0
        while place < len(text):
            for rule in self.by_character.get(seen[place], ()):
                if (seen.startswith(rule.old, place) and seen.endswith(rule.before, 0, place)
                        and seen.startswith(rule.after, place + len(rule.old))):
                    result.append(rule.new)
                    place += len(rule.old)
                    break
            else:
                if self.copy:
                    result.append(text[place])
                place += 1
        return "".join(result)

    def _words(self, text: str) -> str:
        """A transcript as it is scored, words between single spaces; may hold { / } alternatives and (optional) words.

        Raises RecipeError where parentheses do not pair or stand in one another.
        """
        if re.search(r"[()]", re.sub(r"\([^()]+\)", "", text)):
            raise RecipeError("parentheses around optional words do not pair", id=text, expected="(word) or (two words)")
        text = upper(" ".join(text.split())).replace("(", "( ").replace(")", " )")
        text = self.apply(f" {text} ")
        text = re.sub(r"([^( ])-(?=[^) ])", r"\1 ", text)
        count = 1
        while count:
            text, count = re.subn(r"(\(\s+[^()\s]+\s+)([^()\s]+)", r"\1) ( \2", text)
        return " ".join(re.sub(r"\s+\)", ")", re.sub(r"\(\s+", "(", text)).split())


def apply_rules(words: Sequence[str], rules: Glm | None) -> list[str]:
    """Words of a plain transcript after the rules."""
    return rules.apply(f" {' '.join(words)} ").split() if rules else list(words)

"""The transcripts of Fisher (LDC2004T19, LDC2005T19) as text for a language model, written as Switchboard's are.

A file fe_03_00001.txt has comments with #, empty lines, and `7.38 8.78 A: an- so the topic is`. Two companies transcribed, with
slightly different markup. Words in (( )), which the transcriber was not sure of, are kept. Kaldi: egs/swbd/s5c/local/
fisher_map_words.pl, less its lists of single words: fragments that happen to be words, and, but for 'cause, words that lost their
first syllable.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ..io.errors import RecipeError
from ..io.progress import Progress
from ..io.publish import publish
from .faults import DEFAULT_MAX_BAD_PERCENT, Faults
from .findfiles import find_files
from .textfile import read_lines

TRANSCRIPT = re.compile(r"(fe_03_\d{5})\.txt")
LINE = re.compile(r"([0-9]{1,5}(?:\.[0-9]*)?)\s+([0-9]{1,5}(?:\.[0-9]*)?)\s+([AB]):\s*(.*)")
PUBLISHED = 11699  # files: 5850 and 5849, says LDC's catalogue and asserts Kaldi's fisher_data_prep.sh

# (name, what a line must hold for the rule to be tried, pattern, replacement), in this order, over a line in lower case.
LINE_RULES = tuple((name, part, re.compile(pattern), replacement) for name, part, pattern, replacement in (
    ("foreign words: <german ...> dropped", "<", r"<[^>]*>", " "),
    ("mark of a mandatory word: *word -> word", "*", r"\*", ""),
    ("not sure: (( word )) -> word", "(", r"\(\(|\)\)|[()]", " "),
    ("comma between words dropped", ",", r",", " "),
    ("question mark dropped", "?", r"\?", ""),
    ("[[skip]], [pause] dropped", "[", r"\[\[skip\]\]|\[pause\]", " "),
    ("quoted: 'word' -> word", "'", r"(?<!\S)'([^\s'](?:[^']|(?<=\w)'(?=\w))*)'(?!\S)", r"\1"),
))
NOISES = {"[breath]": "[noise]", "[cough]": "[noise]", "[lipsmack]": "[noise]", "[sigh]": "[noise]", "[sneeze]": "[noise]",
          "[mn]": "[vocalized-noise]", "[laugh]": "[laughter]"}
# (name, pattern, replacement), in this order, over a word.
WORD_RULES = tuple((name, re.compile(pattern), replacement) for name, pattern, replacement in (
    ("lone - dropped", r"^-+$", ""),
    ("non-stop -> non stop", r"^non-(?=\w)", "non "),
    ("'cause -> cause", r"^'(?=cause$)", ""),
    ("begun late: 'em -> -em", r"^'(?=\w)", "-"),
))


class FisherRules:
    """Turns the text of a line into words and counts what each rule did."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.known: dict[str, tuple[list[str], list[str]]] = {}  # word -> words it becomes, rules

    def words(self, text: str) -> list[str]:
        text = text.lower()
        for name, part, pattern, replacement in LINE_RULES:
            if part in text:
                text, number = pattern.subn(replacement, text)
                self.counts[name] += number
        words = []
        for token in text.split():
            if token not in self.known:
                self.known[token] = self.convert(token)
            result, names = self.known[token]
            words += result
            for name in names:
                self.counts[name] += 1
        return words

    @staticmethod
    def convert(token: str) -> tuple[list[str], list[str]]:
        """What one word becomes and the names of the rules that touched it."""
        if token in NOISES:
            return [NOISES[token]], [f"{token} -> {NOISES[token]}"]
        names = []
        for name, pattern, replacement in WORD_RULES:
            changed = pattern.sub(replacement, token)
            if changed != token:
                names.append(name)
            token = changed
        if token.startswith("["):
            names.append("other marks in [] kept as words")
        return token.split(), names


def prepare_fisher(folders: list[str], text, *, max_bad_percent: float = DEFAULT_MAX_BAD_PERCENT) -> list[str]:
    """Publishes `text`, Kaldi's form in C order: `fe_03_00001-A-000738-000878 words`; returns the lines of the report.

    Raises:
      RecipeError: no transcripts, or more lines than max_bad_percent that cannot be read.
    """
    rules, faults = FisherRules(), Faults()
    counts: Counter[str] = Counter()
    files = find_files(folders, TRANSCRIPT.pattern, what="Fisher transcripts", expected="fe_03_p1_tran/data/trans/000/fe_03_00001.txt",
                       option="--fisher", counts=counts)
    lines = 0
    words: Counter[str] = Counter()
    with Progress("Fisher transcripts", len(files), "files") as progress, publish(text) as output:
        for name, path in files.items():
            said: dict[str, list[str]] = {}
            for number, line in read_lines(path, counts):
                if not line.strip() or line.startswith("#"):
                    continue
                lines += 1
                match = LINE.fullmatch(line.strip())
                if match is None:
                    faults.add(RecipeError("malformed Fisher transcript line", file=f"{path}:{number}", id=name,
                                           expected="<start> <end> A: <words>", found=repr(line.strip())))
                    continue
                start, end, side, spoken = match.groups()
                utt = f"{name[:-4]}-{side}-{float(start) * 100:06.0f}-{float(end) * 100:06.0f}"
                result = rules.words(spoken)
                counts["lines without a word dropped"] += not result
                if result:
                    counts["lines with the same times and side joined"] += utt in said
                    said.setdefault(utt, []).extend(result)
                    words.update(result)
            for utt in sorted(said):
                output.write(f"{utt} {' '.join(said[utt])}\n")
            progress.add()
        faults.check(lines, max_bad_percent)
    counts["lines that cannot be read, dropped"] += len(faults.errors)
    report = [f"  {count:8d}  {name}" for name, count in sorted((counts + rules.counts).items())] + faults.lines()
    report.append(f"{Path(text)}: {len(files)} conversations (published: {PUBLISHED}), {sum(words.values())} words, {len(words)} distinct")
    return report

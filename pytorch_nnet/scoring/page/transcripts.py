"""References beside hypotheses: each word in a small column, the reference's above, what was heard instead below, then the time."""

from __future__ import annotations

from collections import defaultdict
from typing import Mapping, Sequence

from ..transcripts import TimedToken, Transcript, frequent
from .elements import escape, table

KINDS = {"S": "substitutions", "D": "deletions", "I": "insertions"}
SHOWN = 8  # of each kind of error


def frequent_errors(found: Sequence[Transcript]) -> str:
    """Three tables side by side: which words are most often taken for which, lost, or heard where none was."""
    tables = []
    for kind, name in KINDS.items():
        pairs = frequent(found, kind)
        rows = [[" &rarr; ".join(escape(word) for word in words if word), str(count)] for words, count in pairs[:SHOWN]]
        tables.append(f"<div><h4>{sum(count for _, count in pairs)} {name}</h4>{table(['words', 'times'], rows, [False, True])}</div>")
    return f'<div class="three">{"".join(tables)}</div>'


def transcript_list(systems: Mapping[str, Sequence[Transcript]]) -> str:
    """Every utterance with a line for each system, folded by conversation side (a file and a channel), or by speaker where every
    utterance is a file of its own.

    systems: by name, the same utterances in the same order.
    """
    utterances = [list(versions) for versions in zip(*systems.values(), strict=True)]
    alone = len({side(versions[0]) for versions in utterances}) == len(utterances)
    groups: dict[str, list[list[Transcript]]] = defaultdict(list)
    for versions in utterances:
        groups[versions[0].speaker if alone else side(versions[0])].append(versions)
    parts = []
    for name, own in sorted(groups.items()):
        rates = ", ".join(wer([versions[index] for versions in own]) for index in range(len(systems)))
        told = f"{plural(len(own), 'utterance')}, WER {rates}"
        body = "\n".join(utterance_html(versions, list(systems)) for versions in sorted(own, key=lambda one: one[0].begin))
        parts.append(f'<details><summary><b>{escape(name)}</b> <span class="quiet">{told}</span></summary>\n{body}\n</details>')
    return "\n".join(parts)


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def side(one: Transcript) -> str:
    return f"{one.file} {one.channel}"


def wer(transcripts: Sequence[Transcript]) -> str:
    errors, words = sum(one.errors for one in transcripts), sum(one.words for one in transcripts)
    return f"{100 * errors / words:.1f} %" if words else "n/a"


def utterance_html(versions: Sequence[Transcript], names: Sequence[str]) -> str:
    first = versions[0]
    lines = "".join(f'<p class="said">{system_label(name, one, len(names))}{"".join(word_html(token, one.errors > 0) for token in one.tokens)}'
                    f"{failure(one)}</p>" for name, one in zip(names, versions))
    return (f'<div class="utt"><h5>{escape(first.utt)} <span class="quiet">{first.begin:.2f} to {first.end:.2f} s, '
            f"{plural(first.words, 'word')}</span></h5>{lines}</div>")


def system_label(name: str, one: Transcript, systems: int) -> str:
    errors = plural(one.errors, "error") if one.errors else "right"
    return f'<span class="by">{f"{escape(name)}: " if systems > 1 else ""}{errors}</span>'


def failure(one: Transcript) -> str:
    return f'<span class="by">no hypothesis: {escape(one.failed)}</span>' if one.failed else ""


def word_html(token: TimedToken, middle: bool) -> str:
    """A column; correct words have nothing in the middle, or no middle."""
    kind, reference, hypothesis, begin = token
    time = f"{begin:.2f}" if begin is not None else "&nbsp;"
    if kind == "C":
        return f"<span><b>{escape(reference)}</b>{'<i>&nbsp;</i>' * middle}<u>{time}</u></span>"
    return (f'<span class="{kind}"><b>{escape(reference) or "&nbsp;"}</b><i>{escape(hypothesis) or "&minus;"}</i>'
            f"<u>{time}</u></span>")

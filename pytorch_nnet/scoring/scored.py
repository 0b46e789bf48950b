"""What the scorers left in a decoding directory, utterance by utterance: for intervals and for tests between systems.

The basic scorer (steps/score) compares words with the transcript; hubscr and builtin (steps/score_stm) follow NIST's rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError
from .alignments import read_alignments
from .score_stm import SCORERS, SUBSETS, belongs
from .significance import Errors
from .tune import Pair
from .wer import Counts, read_wer


@dataclass
class Figure:
    """One system's errors on one part of a set."""

    counts: Counts
    utterances: list[Errors]


def pair_name(pair: Pair) -> str:
    """As in wer_<LMWT>_<WIP>."""
    return f"{pair[0]:g}_{float(pair[1])}"


def stm_scorer(decode_dir) -> str | None:
    """The scorer that scored this directory against an stm, hubscr before builtin; None if none did."""
    return next((name for name in SCORERS if (Path(decode_dir) / f"scoring_{name}").is_dir()), None)


def basic_figure(decode_dir, pair: Pair) -> Figure | None:
    """Of the basic scorer; None if it left no counts by utterance. Raises RecipeError if they are not those of the wer file."""
    folder = Path(decode_dir)
    path = folder / "scoring" / f"{pair_name(pair)}.counts".replace("_", ".")
    if not path.exists():
        return None
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file]
    utterances = [Errors(utt, speaker, int(words), int(errors)) for utt, speaker, words, errors in rows]
    return checked(Figure(read_wer(folder / f"wer_{pair_name(pair)}"), utterances), path)


def stm_figures(decode_dir, pair: Pair) -> dict[str, Figure]:
    """Of hubscr or builtin, for the whole set and every part; the speaker of an utterance is its conversation side.

    Raises RecipeError if they did not score this pair.
    """
    folder = Path(decode_dir) / f"scoring_{stm_scorer(decode_dir)}"
    paths = list((folder / f"score_{pair_name(pair)}").glob("*.ctm.filt.sgml"))
    if len(paths) != 1:
        raise RecipeError("a pair that was not scored", file=folder, id=f"LMWT {pair[0]:g}, WIP {pair[1]:g}",
                          expected=f"score_{pair_name(pair)}", found="others", next="local/score.sh <data> <lang> <decode-dir>")
    utterances = [(one, Errors((number, one.key), one.side, one.words, one.errors, one.tokens))
                  for number, one in enumerate(read_alignments(paths[0]))]
    figures = {}
    for subset in ("all", *SUBSETS):
        own = [errors for utterance, errors in utterances if belongs(utterance.file, subset)]
        if own:
            counts = read_wer(folder / subset / f"wer_{pair_name(pair)}")
            figures[subset] = checked(Figure(counts, own), paths[0])
    return figures


def checked(figure: Figure, path: Path) -> Figure:
    words, errors = (sum(getattr(one, name) for one in figure.utterances) for name in ("words", "errors"))
    if (words, errors) != (figure.counts.words, figure.counts.errors):
        raise RecipeError("wer file and counts by utterance disagree", file=path,
                          expected=f"{figure.counts.errors} errors in {figure.counts.words} words", found=f"{errors} in {words}",
                          next="score again")
    return figure

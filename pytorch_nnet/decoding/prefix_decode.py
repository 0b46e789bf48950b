"""The prefix-search decoder process: likelihoods of CTC networks on standard input, lattices out; needs no k2.

    forward ... ark:- | python -m pytorch_nnet.decoding.prefix_decode [options] <graph-dir> <job> <decode-dir>...

A "lattice" is the best hypotheses side by side, each a row of words, so that sweeping LM weight and penalty over it chooses among them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.main import run_main
from ..io.options import option, parse
from ..lang.lang_dir import read_symbols
from .forward import CTC_SCALE
from .lattice import Lattice
from .openfst import read_fst
from .prefix_search import GraphLanguage, PrefixSearch, add, unit_outputs
from .search import decode_stream

USAGE = """Usage: python -m pytorch_nnet.decoding.prefix_decode [options] <graph-dir> <job> <decode-dir>... < archive
 e.g.: ... | python -m pytorch_nnet.decoding.prefix_decode --prefixes 100 exp/ctc/bigru/graph 1 exp/ctc/bigru/decode_dev"""


@dataclass
class PrefixOptions:
    prefixes: int = option(50, "beginnings of unit sequences that are followed at once")
    least: float = option(1e-3, "units less probable than this at an output are not put out there")
    lm_weight: float = option(1.0, "factor on the language model's log-probabilities in the search")
    word_bonus: float = option(0.0, "added for each word in the search")
    n: int = option(20, "hypotheses that are kept")

    def check(self) -> None:
        for name, least, most in (("prefixes", 1, 1 << 20), ("least", 0, 0.5), ("lm_weight", 0, 1000), ("n", 1, 1 << 20)):
            if not least <= getattr(self, name) <= most:
                raise RecipeError("option out of range", id=name, expected=f"{least} to {most}", found=getattr(self, name))


@dataclass
class PrefixStreamOptions(PrefixOptions):
    subsampling: int = option(1, "frames of features that a row of likelihoods stands for")


class PrefixDecoder:
    """Searches one graph directory's LG; call with a matrix of log-likelihoods."""

    def __init__(self, graph_dir, options: PrefixOptions):
        folder, next = Path(graph_dir), "make the graph of a CTC network (steps/mkgraph)"
        self.num_pdfs = len(read_symbols(require_file(folder / "units.txt", next=next)))
        language = GraphLanguage(read_fst(folder / "LG.fst", next=next), self.num_pdfs)
        self.kept = options.n
        self.search = PrefixSearch(language, options.lm_weight, options.word_bonus, options.prefixes, options.least)

    def __call__(self, matrix: np.ndarray, factor: int) -> Lattice | None:
        """matrix (T, num_pdfs) as `forward` writes it. None: no hypothesis could be ended."""
        log_probs = matrix.astype(np.float64) / CTC_SCALE
        found: dict[tuple[int, ...], tuple[float, float, list[tuple[int, int]]]] = {}  # by words: log P(x), graph score, words and frames
        for one in self.search(log_probs, factor):
            said = tuple(word for word, _ in one.way.words)
            if said in found:  # in another pronunciation
                score, graph, words = found[said]
                found[said] = add(score, one.log_prob), graph, words
            elif len(found) < self.kept:
                places = [*unit_outputs(log_probs, one.units), len(log_probs)]
                found[said] = one.log_prob, one.way.score, [(word, places[position]) for word, position in one.way.words]
        return side_by_side(list(found.values()), len(log_probs)) if found else None


def side_by_side(hypotheses: list[tuple[float, float, list[tuple[int, int]]]], num_frames: int) -> Lattice:
    """A lattice with a row of words for each hypothesis (log-probability, graph score, [(word, output)]); scores are on a row's first arc."""
    src, dst, words, am, graph, frames = [], [], [], [], [], [0]
    for score, weight, path in hypotheses:
        at = 0
        if not path or path[0][1]:  # the start is at output 0
            path = [(0, 0), *path]
        for number, (word, _) in enumerate(path):
            src.append(at)
            words.append(word)
            am.append(CTC_SCALE * score if number == 0 else 0.0)
            graph.append(weight if number == 0 else 0.0)
            if number + 1 < len(path):
                at = len(frames)
                frames.append(path[number + 1][1])
                dst.append(at)
            else:
                dst.append(-1)  # the end, whose number is not yet known
    end = len(frames)
    return Lattice.build(src, [end if state < 0 else state for state in dst], words, am, graph, [*frames, num_frames])


def main(argv: list[str]) -> None:
    options, (graph_dir, job, *folders) = parse(PrefixStreamOptions, argv, USAGE, nargs=(3, 1000))
    options.check()
    decoder = PrefixDecoder(graph_dir, options)
    decode_stream(sys.stdin.buffer, decoder.num_pdfs, decoder, int(job), folders, options.subsampling)


if __name__ == "__main__":
    run_main(main)

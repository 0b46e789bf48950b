"""The decoding graph of a network that CTC trained: the same words and grammar as HCLG's, over units and blanks.

    LG      = min(det(L_disambig o G))   words to units; this L has no silence, as that is what blanks are for
    T o LG  the classes of every path of CTC's that spells a way through LG (Graves et al. 2006; k2.ctc_topo is T)

T has a state for each unit, and an arc between any two: units squared. Composed with LG here, it is only what LG needs: each state of LG is
split by the unit that was last put out on the way into it, and stands once more for a blank put out since. A unit may be repeated, a blank
too; the same unit again, which would be a repetition, can come only after a blank.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

from ..io.errors import RecipeError
from ..lang.lang_dir import LangDir
from ..lang.lexicon import add_disambiguation
from ..lang.lexicon_fst import write_lexicon_fst
from ..lang.units import UnitLexicon, Units
from .graph_builder import Composer
from .openfst import ARC, FstArrays, expand, first_arcs

BLANK = 1  # input label of the blank; that of class c is c + 1


class CtcGraphBuilder(Composer):
    """Builds LG and T o LG of a lang directory in some units."""

    def __init__(self, units: Units, lang: LangDir):
        super().__init__()
        self.units, self.lang = units, lang

    def build(self, grammar) -> tuple[FstArrays, FstArrays]:
        """LG, whose input labels are classes of units, and T o LG, whose input labels are one more.

        Raises:
          RecipeError: a word in units that the network has not.
        """
        lexicon = UnitLexicon(self.units, self.lang).pronunciations()
        for word, units in lexicon:
            self.units.classes(units, file=self.lang.path("phones/align_lexicon.txt"), id=word)
        missing = len(set(self.lang.vocabulary)) - len({word for word, _ in lexicon})
        if missing:
            print(f"{missing} words have no units and are left out of the graph", file=sys.stderr, flush=True)
        marked, largest = add_disambiguation(lexicon)
        classes = len(self.units.symbols)
        symbols = {"<eps>": 0, **{name: number for name, number in self.units.number.items() if number},
                   **{f"#{number}": classes + number for number in range(largest + 1)}}
        with tempfile.TemporaryDirectory() as folder:
            write_lexicon_fst(f"{folder}/L_disambig.fst", marked, symbols, self.lang.words, None, 0.0, word_disambig="#0")
            lg = self.lg(f"{folder}/L_disambig.fst", grammar)
        lg.arcs["ilabel"][lg.arcs["ilabel"] >= classes] = 0
        return lg, self.noted("HCLG", with_blanks(lg, classes))


def with_blanks(lg: FstArrays, classes: int) -> FstArrays:
    """T o LG, for LG with input labels 1 to classes - 1, and 0.

    Its states are (state of LG, what was put out last): 0 a blank, u a unit, `classes` nothing yet. Epsilons of LG are followed while the last
    output is a unit, or at the very beginning: after a blank they would only be other ways of the same cost.
    """
    width, begin = classes + 1, classes
    arcs = lg.arcs
    if len(arcs) and arcs["ilabel"].max() >= classes:
        raise RecipeError("a label of LG is no unit", expected=f"at most {classes - 1}", found=int(arcs["ilabel"].max()))
    silent = arcs["ilabel"] == 0
    pairs = np.unique(np.append(arcs["dst"][~silent].astype(np.int64) * width + arcs["ilabel"][~silent], lg.start * width + begin))
    epsilons = FstArrays(lg.start, lg.src[silent], arcs[silent], lg.final)
    first, fresh = first_arcs(epsilons), pairs
    while len(fresh):
        state, last = np.divmod(fresh, width)
        owner, rows = expand(first[state + 1] - first[state], first[state])
        fresh = np.setdiff1d(epsilons.arcs["dst"][rows].astype(np.int64) * width + last[owner], pairs)
        pairs = np.union1d(pairs, fresh)
    pairs = np.union1d(pairs, pairs // width * width)  # and the blank after each

    state, last = np.divmod(pairs, width)
    first = first_arcs(lg)
    owner, rows = expand(first[state + 1] - first[state], first[state])
    label, before = arcs["ilabel"][rows], last[owner]
    kept = np.where(label == 0, before != 0, label != before)
    owner, rows, label, before = owner[kept], rows[kept], label[kept], before[kept]
    target = arcs["dst"][rows].astype(np.int64) * width + np.where(label == 0, before, label)
    on = made(owner, np.searchsorted(pairs, target), np.where(label == 0, 0, label + 1), arcs["olabel"][rows], arcs["cost"][rows])
    number = np.arange(len(pairs))
    again = number[last != begin]
    stay = made(again, again, last[again] + 1)
    spoken = number[last != 0]
    blank = made(spoken, np.searchsorted(pairs, state[spoken] * width), np.full(len(spoken), BLANK))
    columns = [np.concatenate(parts) for parts in zip(on, stay, blank)]
    order = np.argsort(columns[0], kind="stable")
    final = np.where(last == begin, np.inf, lg.final[state]).astype(np.float32)
    return FstArrays(int(np.searchsorted(pairs, lg.start * width + begin)), columns[0][order].astype(np.int32), columns[1][order], final)


def made(src: np.ndarray, dst: np.ndarray, ilabel: np.ndarray, olabel=0, cost=0.0) -> tuple[np.ndarray, np.ndarray]:
    """Sources and arcs."""
    arcs = np.empty(len(src), ARC)
    arcs["ilabel"], arcs["olabel"], arcs["cost"], arcs["dst"] = ilabel, olabel, cost, dst
    return src, arcs

"""From an ARPA model to the grammar transducer G.fst (Kaldi: utils/format_lm.sh, arpa2fst)."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError
from ..io.publish import check_written, publish_path
from .arpa import read_arpa, write_arpa
from .lang_dir import LangDir
from .model import NgramModel, Order


@dataclass
class Grammar:
    """What `write_grammar` has written."""

    states: int
    arcs: int
    dropped: list[str]  # words of the ARPA file that are not in words.txt
    unreachable: list[str]  # words of words.txt that the ARPA file cannot produce


def write_grammar(arpa, lang: LangDir, *, drop_unknown: bool = False) -> Grammar:
    """Publishes <lang>/G.fst: words in, words out, "#0" in on back-off arcs, <s> and </s> gone.

    Args:
      arpa: ARPA file of any order, gzipped or not.
      drop_unknown: leave out n-grams with a word that has no pronunciation; their probability is lost, not shared out.
    Raises:
      RecipeError: a word outside words.txt without `drop_unknown`; no word in common; a cycle without words.
    """
    model = read_arpa(arpa)
    known = np.array([word in lang.words for word in model.words])
    dropped = [word for word, here in zip(model.words, known) if not here]
    if dropped and not drop_unknown:
        raise RecipeError("words of the language model have no pronunciation", file=arpa, id=dropped[0],
                          expected=f"words of {lang.folder / 'words.txt'}",
                          found=f"{len(dropped)} others: {' '.join(dropped[:10])}",
                          next="add them to the dictionary, or leave them out: steps/format_lm --drop-unknown true ...")
    if dropped:
        model = restrict(model, known)
    if not set(model.words) & set(lang.vocabulary):
        raise RecipeError("language model and dictionary share no word", file=arpa,
                          expected="words such as " + lang.vocabulary[0],
                          found=", ".join(dropped[:5]), next="check capitals and encoding of both")
    with publish_path(lang.folder / "G.fst") as path:
        fst = arpa_to_fst(model, lang, path)
        backoff = lang.words["#0"]
        arcs = check_no_silent_cycle(fst, backoff, file=arpa)
    return Grammar(fst.num_states, arcs, dropped, [word for word in lang.vocabulary if word not in model.ids])


def arpa_to_fst(model: NgramModel, lang: LangDir, path):
    """Writes the transducer with kaldilm and returns it as a kaldifst.StdVectorFst."""
    import kaldifst  # before kaldilm: imported the other way round, the two never return
    import kaldilm

    with tempfile.TemporaryDirectory() as scratch:
        plain = os.path.join(scratch, "lm.arpa")  # kaldilm reads no gzip
        write_arpa(plain, model)
        kaldilm.arpa2fst(plain, str(path), disambig_symbol="#0", read_symbol_table=str(lang.path("words.txt")),
                         max_arpa_warnings=0)
    fst = kaldifst.StdVectorFst.read(str(path))
    check_written(fst is not None, path)  # kaldilm does not say that it could not write
    return fst


def restrict(model: NgramModel, keep: np.ndarray) -> NgramModel:
    """The model without the n-grams that hold a word for which `keep` (by word id) is False."""
    number = np.cumsum(keep) - 1  # new word ids
    alive, orders = np.ones(1, dtype=bool), []
    rows = np.zeros(1, dtype=np.int64)  # new row of each row below
    for order in model.orders:
        chosen = alive[order.parent] & keep[order.word]
        orders.append(Order(rows[order.parent[chosen]], number[order.word[chosen]], order.logprob[chosen],
                            order.backoff[chosen]))
        alive, rows = chosen, np.cumsum(chosen) - 1
    return NgramModel([word for word, kept in zip(model.words, keep) if kept], orders)


def check_no_silent_cycle(fst, backoff: int, *, file) -> int:
    """Raises RecipeError if G can loop without a word (decoding would not end); returns the number of arcs."""
    import kaldifst

    silent: dict[int, list[int]] = {}
    arcs = 0
    for state in kaldifst.StateIterator(fst):
        for arc in kaldifst.ArcIterator(fst, state):
            arcs += 1
            if arc.olabel == 0 or arc.ilabel in (0, backoff):
                silent.setdefault(state, []).append(arc.nextstate)
    entering: dict[int, int] = {}
    for targets in silent.values():
        for target in targets:
            entering[target] = entering.get(target, 0) + 1
    ready = [state for state in silent if not entering.get(state)]
    removed = 0
    while ready:  # take away states that no silent arc enters, until nothing or a cycle is left
        state = ready.pop()
        for target in silent.get(state, ()):
            removed += 1
            entering[target] -= 1
            if not entering[target]:
                ready.append(target)
    if removed < sum(map(len, silent.values())):
        raise RecipeError("G.fst has a cycle without words", file=file, expected="every cycle to produce a word",
                          found=f"a cycle of back-off or empty arcs among {len(silent)} states")
    return arcs

"""Does a Kaldi model belong with its tree, and with a lang directory? Every "no" names both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..io.errors import RecipeError
from ..io.kaldi_model import Transitions
from ..io.kaldi_topology import Topology
from ..io.kaldi_tree import Tree
from ..lang.lang_dir import LangDir, read_symbols
from .topology import read_topology

NEXT = "use the lang directory of the Kaldi system (its data/lang can be copied as it is)"


def check_symbols(path, lang: LangDir) -> None:
    """Raises RecipeError unless a Kaldi phones.txt has the phones of `lang` under the same numbers.

    Disambiguation symbols may differ: they are no part of a model.
    """
    theirs, ours = ({phone: number for phone, number in table.items() if not phone.startswith("#")}
                    for table in (read_symbols(path), lang.phones))
    for phone in sorted(theirs.keys() | ours.keys()):
        if theirs.get(phone) != ours.get(phone):
            raise RecipeError("Kaldi system and lang directory have different phones", file=path, id=phone,
                              expected=f"number {ours.get(phone, 'none')} as in {lang.path('phones.txt')}",
                              found=f"number {theirs.get(phone, 'none')}", next=NEXT)


def check_topology(topology: Topology, lang: LangDir, file) -> None:
    """Raises RecipeError unless a model has the phones of `lang`, each with the states and transitions of its `topo`."""
    wanted = read_topology(lang.path("topo"))
    ours, theirs = set(wanted.phones.tolist()), set(topology.phones.tolist())
    if ours != theirs:
        odd = min(ours ^ theirs)
        raise RecipeError("Kaldi model and lang directory have different phones", file=file, id=named(odd, lang),
                          expected=f"the {len(ours)} phones of {lang.path('topo')}",
                          found=f"{len(theirs)} phones: {len(ours - theirs)} missing, {len(theirs - ours)} unknown", next=NEXT)
    for phone in sorted(ours):
        if topology.shape(phone) != wanted.shape(phone):
            raise RecipeError("Kaldi model of another topology than the lang directory's", file=file, id=named(phone, lang),
                              expected=f"{described(wanted, phone)} as in {lang.path('topo')}", found=described(topology, phone),
                              next=NEXT + ", or make ours with steps/prepare_lang --num-sil-states and --num-nonsil-states")


def check_tree(tree: Tree, transitions: Transitions, lang: LangDir, file) -> None:
    """Raises RecipeError unless a tree is of the model's phones and gives exactly the model's transition-states."""
    topology = transitions.topology
    known = set(topology.phones.tolist())
    if surplus := tree.phones() - known:
        raise RecipeError("tree for another phone set", file=file, id=named(min(surplus), lang),
                          expected=f"the {len(known)} phones of the model",
                          found=f"{len(surplus)} phones more: {sorted(surplus)[:10]}",
                          next="copy tree and final.mdl from the same Kaldi directory")
    found: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for phone, state, forward, loop in transitions.tuples.tolist():
        pdfs = found.setdefault((phone, state), (set(), set()))
        pdfs[0].add(forward)
        pdfs[1].add(loop)
    for phone in sorted(known):
        for number, state in enumerate(topology.states(phone)):
            if state.pdf_class < 0:
                continue
            loop_class = state.pdf_class if state.loop_pdf_class is None else state.loop_pdf_class
            in_tree = tree.possible_pdfs(phone, state.pdf_class), tree.possible_pdfs(phone, loop_class)
            if not in_tree[0] or not in_tree[1]:
                raise RecipeError("tree for another phone set", file=file, id=f"{named(phone, lang)}, state {number}",
                                  expected="a pdf for every state of the model's phones", found="none in the tree",
                                  next="copy tree and final.mdl from the same Kaldi directory")
            if in_tree != found.get((phone, number)):
                raise RecipeError("model and tree disagree", file=file, id=f"{named(phone, lang)}, state {number}",
                                  expected=f"the model's pdfs {sorted(found.get((phone, number), (set(),))[0])[:10]}",
                                  found=f"{sorted(in_tree[0])[:10]} in the tree",
                                  next="copy tree and final.mdl from the same Kaldi directory")


def check_lang(lang: LangDir) -> None:
    """Raises RecipeError unless the directory has the files that a later step will ask for."""
    for name in ("phones.txt", "topo", "phones/silence.int", "phones/optional_silence.int", "phones/align_lexicon.txt", "oov.int"):
        lang.path(name)


def named(phone: int, lang: LangDir) -> str:
    return f"phone {phone} ({lang.id2phone.get(phone, 'not in phones.txt')})"


def described(topology: Topology, phone: int) -> str:
    states = topology.states(phone)
    arcs = ", ".join(f"{number} to {' '.join(str(target) for target, _ in state.transitions)}"
                     for number, state in enumerate(states) if state.transitions)
    return f"{np.count_nonzero([s.pdf_class >= 0 for s in states])} emitting states ({arcs})"


def phone_tables(*folders) -> list[Path]:
    """The phones.txt files of a Kaldi experiment and of its graph, where there are any."""
    return [Path(folder) / "phones.txt" for folder in folders if folder and (Path(folder) / "phones.txt").exists()]

"""Graph directories: made from a lang directory and a model, or of one of Kaldi's (what HCLG is: graph_builder.py, and of a network that CTC
trained: ctc_graph.py)."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.options import option
from ..io.publish import publish_folder
from ..lang.lang_dir import LangDir, read_symbols, write_symbols
from ..lang.units import Units
from ..models.facts import units_of
from .k2_graph import K2Graph
from .openfst import FstArrays, read_fst, write_fst


@dataclass
class GraphOptions:
    transition_scale: float = option(1.0, "factor on the log-probabilities of transitions other than self-loops")
    self_loop_scale: float = option(0.1, "factor on those of self-loops and of leaving them")


def make_graph(lang_dir, model_dir, graph_dir, options: GraphOptions, keep: Path | None = None) -> None:
    """Publishes a graph directory: HCLG.fst, graph.npz (k2 form), pdf_of.npy (pdf-id by transition-id, index 0
    unused), words.txt, phones.txt, num_pdfs, sizes.tsv (states and arcs of every step).

    Of a network that CTC trained, whose info.json has its units, the labels of HCLG.fst are 1 for the blank and from 2 on for the units; LG.fst
    and units.txt, which the prefix search takes (prefix_search.py), are there too.

    Args:
      keep: folder where LG and CLG are looked for, and left for other models; None: nowhere.
    Raises:
      RecipeError: a missing input; lang and model with different phones.
    """
    from ..hmm.model import AcousticModel
    from .graph_builder import GraphBuilder

    lang = LangDir(lang_dir)
    if units := units_of(model_dir):
        make_ctc_graph(lang, units, graph_dir)
        return
    lexicon, grammar = (lang.path(name) for name in ("L_disambig.fst", "G.fst"))
    model = AcousticModel.load(model_dir)
    check_phones(lang, set(model.transitions.phones), model_dir)
    builder = GraphBuilder(
        model.transitions,
        model.tree,
        lang.disambig,
        transition_scale=options.transition_scale,
        self_loop_scale=options.self_loop_scale,
        keep=keep,
    )
    hclg = builder.build(lexicon, grammar)
    with publish_folder(graph_dir) as folder:
        write_fst(folder / "HCLG.fst", hclg)
        complete(folder, hclg, model.pdf_of, model.num_pdfs, lang.path("words.txt"), lang.path("phones.txt"), builder.sizes)


def make_ctc_graph(lang: LangDir, units: Units, graph_dir) -> None:
    """Publishes the graph directory of a CTC network with these units. Raises RecipeError for words in other units."""
    from .ctc_graph import CtcGraphBuilder

    builder = CtcGraphBuilder(units, lang)
    lg, graph = builder.build(lang.path("G.fst"))
    classes = len(units.symbols)
    with publish_folder(graph_dir) as folder:
        write_fst(folder / "LG.fst", lg)
        write_fst(folder / "HCLG.fst", graph)
        write_symbols(folder / "units.txt", units.number)
        complete(folder, graph, np.arange(-1, classes), classes, lang.path("words.txt"), lang.path("phones.txt"), builder.sizes)


def import_graph(source, lang_dir, model_dir, graph_dir) -> None:
    """Publishes a graph directory, as `make_graph` does, from one of Kaldi's: its HCLG.fst unchanged, and the k2 form.

    Args:
      source: Kaldi's graph directory: HCLG.fst (vector or const), words.txt; phones.txt and num_pdfs are checked if they are
        there.
      model_dir: the model whose transition-ids are the graph's labels.
    Raises:
      RecipeError: a graph of another model, or whose words are not those of its words.txt.
    """
    from ..hmm.kaldi_checks import check_symbols
    from ..hmm.model import AcousticModel

    source, lang, model = Path(source), LangDir(lang_dir), AcousticModel.load(model_dir)
    next = "name the graph that was made with this model (Kaldi: utils/mkgraph.sh <lang> <exp> <graph>)"
    hclg = read_fst(require_file(source / "HCLG.fst", next=next))
    words = source / "words.txt"
    known = max(read_symbols(words).values())
    if len(hclg.arcs) and hclg.arcs["olabel"].max() > known:
        raise RecipeError("graph and its words disagree", file=source / "HCLG.fst", found=int(hclg.arcs["olabel"].max()),
                          expected=f"word-ids up to {known} as in {words}", next=next)
    phones = source / "phones.txt"
    if phones.exists():
        check_symbols(phones, lang)
    counted = source / "num_pdfs"
    if counted.exists() and counted.read_text().split() != [str(model.num_pdfs)]:
        raise RecipeError("graph and model disagree", file=counted, expected=f"{model.num_pdfs} pdfs of {model_dir}",
                          found=counted.read_text().strip(), next=next)
    if len(hclg.arcs) and hclg.arcs["ilabel"].max() > model.table.num_ids:
        raise RecipeError("graph and model disagree", file=source / "HCLG.fst", found=int(hclg.arcs["ilabel"].max()),
                          expected=f"transition-ids up to {model.table.num_ids} of {model_dir}", next=next)
    with publish_folder(graph_dir) as folder:
        shutil.copyfile(source / "HCLG.fst", folder / "HCLG.fst")
        sizes = [("HCLG", hclg.num_states, len(hclg.arcs))]
        complete(folder, hclg, model.pdf_of, model.num_pdfs, words, phones if phones.exists() else lang.path("phones.txt"), sizes)


def complete(folder: Path, hclg: FstArrays, pdf_of: np.ndarray, num_pdfs: int, words, phones, sizes: list[tuple[str, int, int]]) -> None:
    """Adds to a folder with HCLG.fst everything else that belongs to a graph directory.

    Args:
      pdf_of: (input labels + 1,), index 0 unused.
    """
    graph = K2Graph.from_hclg(hclg, pdf_of, num_pdfs)
    graph.save(folder / "graph.npz")
    np.save(folder / "pdf_of.npy", np.asarray(pdf_of, np.int32))
    shutil.copyfile(words, folder / "words.txt")
    shutil.copyfile(phones, folder / "phones.txt")
    (folder / "num_pdfs").write_text(f"{num_pdfs}\n")
    sizes = [*sizes, ("k2 form", graph.num_states, len(graph.arcs))]
    (folder / "sizes.tsv").write_text("".join(f"{name}\t{states}\t{arcs}\n" for name, states, arcs in sizes))
    print(f"k2 form: {graph.num_states} states, {len(graph.arcs)} arcs", file=sys.stderr, flush=True)


def check_phones(lang, modelled: set[int], model_dir) -> None:
    """Raises RecipeError unless the phones of the lang directory are those the model has HMMs for."""
    real = set(lang.phones.values()) - {0} - set(lang.disambig)
    if real != modelled:
        odd = min(real ^ modelled)
        raise RecipeError(
            "lang and model have different phones",
            file=lang.path("phones.txt"),
            id=lang.id2phone.get(odd, odd),
            expected=f"the {len(modelled)} phones of {model_dir}",
            found=f"{len(real)} phones, {len(real ^ modelled)} of them or of the model's on one side only",
            next="use the lang directory the model was trained with, or train again",
        )

"""HCLG: the static decoding graph over transition-ids (Mohri, Pereira and Riley 2002; Kaldi: utils/mkgraph.sh).

    LG    = min(det(L_disambig o G))          words to phones, disambiguated so that it can be determinized
    CLG   = C o LG                            phones to phones in context (width N, centre P, from the tree)
    HCLGa = min(rmdisambig(det(H o CLG)))     transition-ids without self-loops
    HCLG  = HCLGa with self-loops, reordered: a state's loop follows the forward transition into it

Differences from Kaldi's script: no fstpushspecial and no fstrmepslocal (neither is in kaldifst). They change where
weight sits and how many epsilons are left, never the cost of a path.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.options import option
from ..io.publish import check_written, publish_folder
from .k2_graph import K2Graph
from .openfst import read_fst, write_fst


@dataclass
class GraphOptions:
    transition_scale: float = option(1.0, "factor on the log-probabilities of transitions other than self-loops")
    self_loop_scale: float = option(0.1, "factor on those of self-loops and of leaving them")


def make_graph(lang_dir, model_dir, graph_dir, options: GraphOptions) -> None:
    """Publishes a graph directory: HCLG.fst, graph.npz (k2 form), pdf_of.npy (pdf-id by transition-id, index 0
    unused), words.txt, phones.txt, num_pdfs, sizes.tsv (states and arcs of every step).

    Raises:
      RecipeError: a missing input; lang and model with different phones.
    """
    import kaldifst

    from ..hmm.model import AcousticModel
    from ..lang.lang_dir import LangDir

    lang = LangDir(lang_dir)
    lexicon, grammar = (kaldifst.StdVectorFst.read(str(lang.path(name))) for name in ("L_disambig.fst", "G.fst"))
    model = AcousticModel.load(model_dir)
    check_phones(lang, set(model.transitions.phones), model_dir)
    builder = GraphBuilder(
        model.transitions,
        model.tree,
        lang.disambig,
        transition_scale=options.transition_scale,
        self_loop_scale=options.self_loop_scale,
    )
    hclg = builder.build(lexicon, grammar)
    with publish_folder(graph_dir) as folder:
        check_written(hclg.write(str(folder / "HCLG.fst")), graph_dir)
        del hclg, lexicon, grammar  # hundreds of megabytes
        complete(folder, model, lang.path("words.txt"), lang.path("phones.txt"), builder.sizes)


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
    from ..lang.lang_dir import LangDir, read_symbols

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
        complete(folder, model, words, phones if phones.exists() else lang.path("phones.txt"), sizes)


def complete(folder: Path, model, words, phones, sizes: list[tuple[str, int, int]]) -> None:
    """Adds to a folder with HCLG.fst everything else that belongs to a graph directory."""
    graph = K2Graph.from_hclg(read_fst(folder / "HCLG.fst"), model.pdf_of, model.num_pdfs)
    graph.save(folder / "graph.npz")
    np.save(folder / "pdf_of.npy", np.asarray(model.pdf_of, np.int32))
    shutil.copyfile(words, folder / "words.txt")
    shutil.copyfile(phones, folder / "phones.txt")
    (folder / "num_pdfs").write_text(f"{model.num_pdfs}\n")
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


class GraphBuilder:
    """Builds HCLG and keeps the size of every intermediate transducer.

    Args:
      transitions, tree: TransitionModel and ContextDependency of kaldi_hmm_gmm.
      disambig: phone ids of #0, #1, ... in phones.txt.
      transition_scale, self_loop_scale: factors on transition log-probabilities, as in Kaldi (1.0 and 0.1).
    """

    def __init__(
        self, transitions, tree, disambig: list[int], *, transition_scale: float = 1.0, self_loop_scale: float = 0.1
    ):
        self.transitions, self.tree, self.disambig = transitions, tree, sorted(disambig)
        self.transition_scale, self.self_loop_scale = transition_scale, self_loop_scale
        self.sizes: list[tuple[str, int, int]] = []
        self.clock = time.monotonic()

    def build(self, lexicon, grammar):
        """Returns HCLG (StdVectorFst) from L_disambig and G (StdVectorFst, changed by sorting)."""
        import kaldi_hmm_gmm as khg
        import kaldifst

        kaldifst.arcsort(lexicon, "olabel")
        kaldifst.arcsort(grammar, "ilabel")
        self.note("L_disambig", lexicon)
        self.note("G", grammar)
        lg = kaldifst.StdVectorFst(kaldifst.compose(lexicon, grammar))
        self.note("L o G", lg)
        self.determinize("LG", lg)
        self.minimize("LG", lg)
        kaldifst.arcsort(lg, "ilabel")

        clg, contexts = kaldifst.compose_context(self.disambig, self.tree.context_width, self.tree.central_position, lg)
        kaldifst.arcsort(clg, "ilabel")
        self.note("CLG", clg)
        del lg  # every transducer takes hundreds of megabytes

        config = khg.HTransducerConfig(transition_scale=self.transition_scale)
        h, disambig_ids = khg.get_h_transducer(contexts, self.tree, self.transitions, config)
        kaldifst.arcsort(h, "olabel")
        self.note("H", h)
        hclg = kaldifst.StdVectorFst(kaldifst.compose(h, clg))
        self.note("H o CLG", hclg)
        del h, clg
        self.determinize("HCLGa", hclg)
        hclg = erase_input_labels(hclg, disambig_ids)
        self.minimize("HCLGa", hclg)
        hclg = khg.add_self_loops(
            self_loop_scale=self.self_loop_scale,
            disambig_syms=[],
            reorder=True,
            trans_model=self.transitions,
            ifst=hclg,
        )
        self.note("HCLG", hclg)
        return hclg

    def determinize(self, name: str, fst) -> None:
        """Determinizes in the log semiring, removing epsilons; in place."""
        import kaldifst

        # The return value is true when it gave up.
        if kaldifst.determinize_star(fst, use_log=True):
            raise RecipeError(
                "determinization stopped early",
                id=name,
                expected="a determinizable transducer",
                next="check the disambiguation symbols of L_disambig.fst (utils/validate_lang)",
            )
        self.note(f"det {name}", fst)

    def minimize(self, name: str, fst) -> None:
        import kaldifst

        kaldifst.minimize_encoded(fst)
        self.note(f"min {name}", fst)

    def note(self, name: str, fst) -> None:
        """Records and prints the size of one transducer; refuses an empty one, which every later step would hide."""
        states = fst.num_states
        arcs = sum(fst.num_arcs(state) for state in range(states))
        now = time.monotonic()
        print(f"{name}: {states} states, {arcs} arcs ({now - self.clock:.1f} s)", file=sys.stderr, flush=True)
        self.clock = now
        self.sizes.append((name, states, arcs))
        if fst.start < 0 or states == 0:
            raise RecipeError(
                "empty transducer while building the graph",
                id=name,
                expected="at least one path",
                next="check that G.fst and L_disambig.fst use the same words.txt (utils/validate_lang)",
            )


def erase_input_labels(fst, labels: list[int]):
    """Returns a copy of `fst` (StdVectorFst) in which the input `labels` are epsilon (Kaldi: fstrmsymbols)."""
    import kaldifst

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/fst"
        check_written(fst.write(path), path)
        arrays = read_fst(path)
        arrays.arcs["ilabel"][np.isin(arrays.arcs["ilabel"], labels)] = 0
        write_fst(path, arrays)
        return kaldifst.StdVectorFst.read(path)

"""HCLG: the static decoding graph over transition-ids (Mohri, Pereira and Riley 2002; Kaldi: utils/mkgraph.sh).

    LG    = min(det(L_disambig o G))          words to phones, disambiguated so that it can be determinized
    CLG   = C o LG                            phones to phones in context (width N, centre P, from the tree)
    HCLGa = min(rmdisambig(det(H o CLG)))     transition-ids without self-loops
    HCLG  = HCLGa with self-loops, reordered: a state's loop follows the forward transition into it

Differences from Kaldi's script: no fstpushspecial and no fstrmepslocal (neither is in kaldifst). They change where
weight sits and how many epsilons are left, never the cost of a path.

LG and CLG are the same for every model with one lang directory and one width of context, and half of the work: they are kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .fst_operations import SelfLoops, add_self_loops, compose_hmms, from_library, merge_equal_states, to_library
from .openfst import FstArrays, const_header, read_fst, write_fst

CONSTRUCTION = 1  # counts up when LG or CLG of the same files becomes another
Size = tuple[str, int, int]


class Composer:
    """Makes LG, and keeps the size of every transducer on the way to a graph."""

    def __init__(self) -> None:
        self.sizes: list[Size] = []
        self.clock = time.monotonic()

    def lg(self, lexicon, grammar) -> FstArrays:
        """min(det(L o G)) of two files."""
        import kaldifst

        lexicon, grammar = (kaldifst.StdVectorFst.read(str(path)) for path in (lexicon, grammar))
        kaldifst.arcsort(lexicon, "olabel")
        kaldifst.arcsort(grammar, "ilabel")
        for name, fst in (("L_disambig", lexicon), ("G", grammar)):
            self.note(name, fst.num_states, sum(fst.num_arcs(state) for state in range(fst.num_states)), fst.start)
        lg = kaldifst.StdVectorFst(kaldifst.compose(lexicon, grammar))
        del lexicon, grammar
        return self.minimized("LG", self.determinized("LG", lg))

    def determinized(self, name: str, fst) -> FstArrays:
        """Determinizes a StdVectorFst, in place, in the log semiring, removing epsilons."""
        import kaldifst

        # The return value is true when it gave up.
        if kaldifst.determinize_star(fst, use_log=True):
            raise RecipeError(
                "determinization stopped early",
                id=name,
                expected="a determinizable transducer",
                next="check the disambiguation symbols of L_disambig.fst (utils/validate_lang)",
            )
        return self.noted(f"det {name}", from_library(fst))

    def minimized(self, name: str, fst: FstArrays) -> FstArrays:
        return self.noted(f"min {name}", merge_equal_states(fst))

    def noted(self, name: str, fst: FstArrays) -> FstArrays:
        self.note(name, fst.num_states, len(fst.arcs), fst.start)
        return fst

    def note(self, name: str, states: int, arcs: int, start: int) -> None:
        """Records and prints the size of one transducer; refuses an empty one, which every later step would hide."""
        now = time.monotonic()
        print(f"{name}: {states} states, {arcs} arcs ({now - self.clock:.1f} s)", file=sys.stderr, flush=True)
        self.clock = now
        self.sizes.append((name, states, arcs))
        if start < 0 or states == 0:
            raise RecipeError(
                "empty transducer while building the graph",
                id=name,
                expected="at least one path",
                next="check that G.fst and L_disambig.fst use the same words.txt (utils/validate_lang)",
            )


class GraphBuilder(Composer):
    """Builds HCLG.

    Args:
      transitions, tree: TransitionModel and ContextDependency of kaldi_hmm_gmm.
      disambig: phone ids of #0, #1, ... in phones.txt.
      transition_scale, self_loop_scale: factors on transition log-probabilities, as in Kaldi (1.0 and 0.1).
      keep: folder in which LG and CLG are looked for and left; None: nowhere.
    """

    def __init__(self, transitions, tree, disambig: list[int], *, transition_scale: float = 1.0, self_loop_scale: float = 0.1,
                 keep: Path | None = None):
        self.transitions, self.tree, self.disambig = transitions, tree, sorted(disambig)
        self.transition_scale, self.self_loop_scale = transition_scale, self_loop_scale
        self.keep = keep
        super().__init__()

    def build(self, lexicon, grammar) -> FstArrays:
        """Returns HCLG of the files L_disambig.fst and G.fst."""
        clg, contexts = self.clg(lexicon, grammar)
        return self.hclg(clg, contexts)

    def clg(self, lexicon, grammar) -> tuple[FstArrays, list[list[int]]]:
        """CLG, and for each of its input labels the phones in context that it stands for (Kaldi: ilabel_info)."""
        width, position = self.tree.context_width, self.tree.central_position
        source = digest(lexicon, grammar, self.disambig)
        kept_clg = Kept(self.keep, f"CLG_{width}_{position}", source)
        if (found := kept_clg.load()) is not None:
            clg, self.sizes = found
            return clg, kept_clg.contexts()
        kept_lg = Kept(self.keep, "LG", source)
        if (found := kept_lg.load()) is None:
            found = self.lg(lexicon, grammar), self.sizes
            kept_lg.save(*found)
        lg, self.sizes = found
        clg, contexts = self.in_context(lg, width, position)
        kept_clg.save(clg, self.sizes, contexts=contexts)
        return clg, contexts

    def in_context(self, lg: FstArrays, width: int, position: int) -> tuple[FstArrays, list[list[int]]]:
        import kaldifst

        clg, contexts = kaldifst.compose_context(self.disambig, width, position, to_library(lg))
        return self.noted("CLG", from_library(clg)), contexts

    def hclg(self, clg: FstArrays, contexts: list[list[int]]) -> FstArrays:
        import kaldi_hmm_gmm as khg

        config = khg.HTransducerConfig(transition_scale=self.transition_scale)
        h, disambig = khg.get_h_transducer(contexts, self.tree, self.transitions, config)
        h = self.noted("H", from_library(h))
        hclg = self.noted("H o CLG", compose_hmms(h, clg))
        del h, clg
        library = to_library(hclg)
        del hclg  # every transducer takes hundreds of megabytes
        hclg = self.determinized("HCLGa", library)
        del library
        hclg.arcs["ilabel"][np.isin(hclg.arcs["ilabel"], disambig)] = 0
        hclg = self.minimized("HCLGa", hclg)
        return self.noted("HCLG", add_self_loops(hclg, SelfLoops.of(self.transitions, self.self_loop_scale)))


def digest(lexicon, grammar, disambig: list[int]) -> str:
    """Of all that LG is made of."""
    import kaldifst

    files = []
    for path in (lexicon, grammar):
        with open(path, "rb") as file:
            files.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256(json.dumps([CONSTRUCTION, kaldifst.__version__, files, disambig]).encode()).hexdigest()[:16]


class Kept:
    """A transducer kept from one graph to the next, in a folder named after what it was made of, so that it is never a stale one.

    <folder>/<name>.<digest>/ holds fst (OpenFst, type const), sizes.tsv (of the steps up to it) and, of a CLG, contexts.txt:
    the phones of each input label, a line each.
    """

    def __init__(self, folder: Path | None, name: str, source: str):
        self.name, self.path = name, None if folder is None else Path(folder) / f"{name}.{source}"

    def load(self) -> tuple[FstArrays, list[Size]] | None:
        """The transducer and the sizes, or None if there is none, or no whole one."""
        if self.path is None or not self.path.is_dir():
            return None
        try:
            rows = [line.split("\t") for line in (self.path / "sizes.tsv").read_text().splitlines()]
            fst = read_fst(self.path / "fst")
        except (RecipeError, OSError) as error:
            print(f"{self.path}: not readable, made anew: {error}", file=sys.stderr, flush=True)
            return None
        print(f"{self.name}: {fst.num_states} states, {len(fst.arcs)} arcs, from {self.path}", file=sys.stderr, flush=True)
        return fst, [(name, int(states), int(arcs)) for name, states, arcs in rows]

    def contexts(self) -> list[list[int]]:
        assert self.path is not None, "load() has read the transducer"
        return [[int(word) for word in line.split()] for line in (self.path / "contexts.txt").read_text().split("\n")[:-1]]

    def save(self, fst: FstArrays, sizes: list[Size], contexts: list[list[int]] | None = None) -> None:
        """Publishes it in place of those of other sources. Where it cannot be written, that is said and no more."""
        if self.path is None:
            return
        try:
            with publish_folder(self.path) as folder:
                write_fst(folder / "fst", fst, const_header(fst))
                (folder / "sizes.tsv").write_text("".join(f"{name}\t{states}\t{arcs}\n" for name, states, arcs in sizes))
                if contexts is not None:
                    (folder / "contexts.txt").write_text("".join(" ".join(map(str, phones)) + "\n" for phones in contexts))
            for old in self.path.parent.glob(f"{self.name}.*"):
                if old != self.path:
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            print(f"{self.path}: not kept for other models: {error}", file=sys.stderr, flush=True)

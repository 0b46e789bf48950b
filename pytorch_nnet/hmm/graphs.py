"""Training graphs: for one transcript, every pronunciation and optional silence as a transducer from transition-ids to words.

Compiled without transition probabilities and kept in one archive per job, since they depend on tree and topology alone; the current
model's probabilities are added when a graph is used (Kaldi: decoder/training-graph-compiler.cc, compile-train-graphs).
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Iterable, Iterator, Sequence

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, require_file
from ..io.publish import check_written, publish_path
from .model import AcousticModel

TRANSITION_SCALE = 1.0
SELF_LOOP_SCALE = 0.1


class GraphCompiler:
    """Compiles transcripts with a model's tree and a lang directory's L.fst; words outside the lexicon become its oov word."""

    def __init__(self, model: AcousticModel, lang):
        import kaldi_hmm_gmm as khg
        import kaldifst

        model.check_phones(lang)
        self.lang = lang
        lexicon = kaldifst.StdVectorFst.read(require_file(lang.path("L.fst"), next="steps/prepare_lang"))
        kaldifst.arcsort(lexicon, "olabel")
        options = khg.TrainingGraphCompilerOptions(transition_scale=0.0, self_loop_scale=0.0)
        self.compiler = khg.TrainingGraphCompiler(trans_model=model.transitions, ctx_dep=model.tree, lex_fst=lexicon,
                                                  disambig_syms=sorted(lang.disambig), opts=options)

    def compile(self, utt: str, words: Sequence[str]):
        """The graph (StdVectorFst) of one transcript."""
        ids, _ = self.lang.to_ids(words)
        graph = self.compiler.compile_graph_from_text(ids)
        if graph.num_states == 0:
            raise RecipeError("transcript gives an empty graph", id=utt, expected="pronunciations for its words",
                              found=" ".join(words), next=f"look at {self.lang.path('L.fst')}: is every word in it?")
        return graph


def check_transcripts(data: DataDir, lang) -> None:
    """Counts the words outside the lexicon and says which; RecipeError if they are too many (LangDir.transcripts)."""
    _, unknown = lang.transcripts(data.text, file=data.path / "text")
    if unknown:
        shown = ", ".join(f"{word} {count}" for word, count in sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:20])
        print(f"WARNING: {sum(unknown.values())} words ({len(unknown)} different) of {data.path} are outside the lexicon and become "
              f"its oov word: {shown}", file=sys.stderr)


END = "#end"  # the last key: OpenFst's reader takes an archive that is cut short for one that ends


def write_graphs(path, graphs: Iterable[tuple[str, object]]) -> None:
    """Publishes an archive of graphs (Kaldi's fsts.JOB, uncompressed)."""
    import kaldifst

    with publish_path(Path(path).absolute()) as temporary:  # OpenFst runs what begins with a pipe
        writer = kaldifst.VectorFstWriter(f"ark:{temporary}")
        for utt, graph in itertools.chain(graphs, [(END, kaldifst.StdVectorFst())]):
            try:
                writer.write(utt, graph)
            except RuntimeError:  # OpenFst's, which does not say why
                check_written(False, path)
        writer.close()


def read_graphs(path) -> Iterator[tuple[str, object]]:
    """(utterance, graph) in the order they were written."""
    import kaldifst

    utt = None
    for utt, graph in kaldifst.SequentialVectorFstReader(f"ark:{Path(require_file(path)).absolute()}"):
        if utt != END:
            yield utt, graph.copy()  # the reader frees its own at the next step
    if utt != END:
        raise RecipeError("archive of graphs is cut short or damaged", file=path, id=utt, expected=f"a last entry {END}",
                          found="an end before it", next="call the same command again: it makes the graphs again")


def weighted(graph, model: AcousticModel):
    """Adds the model's transition probabilities to a graph, in place, and returns it."""
    import kaldi_hmm_gmm as khg

    khg.add_transition_probs(trans_model=model.transitions, transition_scale=TRANSITION_SCALE, self_loop_scale=SELF_LOOP_SCALE,
                             fst=graph)
    return graph

"""The cross-check decoder process: LatticeFasterDecoder of kaldi-hmm-gmm over HCLG.fst, without k2.

    forward ... ark:- | python -m pytorch_nnet.decoding.kaldi_decode [options] <graph-dir> <job>
        <decode-dir>...

The library gives the best path alone, so a "lattice" is one row of words: sweeping LMWT over it changes nothing.
Frames of words are not known and read 0.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError, require_file
from ..io.main import run_main
from ..io.options import parse
from .lattice import Lattice
from .openfst import read_fst, write_fst
from .search import WIDER, SearchOptions, StreamOptions, decode_stream

USAGE = """Usage: python -m pytorch_nnet.decoding.kaldi_decode [options] <graph-dir> <job> <decode-dir>... < archive
 e.g.: ... | python -m pytorch_nnet.decoding.kaldi_decode --beam 13 exp/tri1/graph 1 exp/tri1/decode_dev"""


class KaldiDecoder:
    """Searches HCLG with input labels pdf-id + 1; call with a matrix of log-likelihoods."""

    def __init__(self, graph_dir, options: SearchOptions):
        import kaldi_hmm_gmm as khg
        import kaldifst

        self.khg, self.options = khg, options
        graph = read_fst(Path(graph_dir) / "HCLG.fst")
        pdf_of = np.load(
            require_file(Path(graph_dir) / "pdf_of.npy", next="make the graph again (steps/mkgraph)"),
            allow_pickle=False,
        )
        labels = graph.arcs["ilabel"]
        if labels.max() >= len(pdf_of):
            raise RecipeError(
                "a graph label lies beyond the transition-ids",
                file=f"{graph_dir}/HCLG.fst",
                expected=f"at most {len(pdf_of) - 1}",
                found=int(labels.max()),
                next="make the graph again (steps/mkgraph)",
            )
        graph.arcs["ilabel"] = np.where(labels > 0, pdf_of[labels] + 1, 0)
        self.num_pdfs = int(Path(require_file(Path(graph_dir) / "num_pdfs")).read_text())
        with tempfile.TemporaryDirectory() as folder:
            write_fst(f"{folder}/fst", graph)
            self.fst = kaldifst.StdVectorFst.read(f"{folder}/fst")
        # Only the determinization of lattices would ask for a transition model.
        self.transitions = khg.TransitionModel()

    def anywhere(self, matrix: np.ndarray) -> Lattice | None:
        """With the widest beams and, if no path reaches a final state, every state final (Kaldi: --allow-partial)."""
        return self(matrix, WIDER[-1], allow_partial=True)

    def __call__(self, matrix: np.ndarray, factor: int, allow_partial: bool = False) -> Lattice | None:
        """matrix (T, num_pdfs) of finite log-likelihoods. None: no path reached a final state."""
        options, khg = self.options, self.khg
        config = khg.LatticeFasterDecoderConfig(
            beam=options.beam * factor,
            lattice_beam=options.lattice_beam,
            max_active=options.max_active * factor,
            min_active=options.min_active,
            determinize_lattice=False,
        )
        decoder = khg.LatticeFasterDecoderStdVectorFst(self.fst, config)
        decodable = khg.DecodableCtc(matrix * np.float32(options.acwt))
        done, labels, words, score = khg.decode_utterance_lattice_faster(
            decoder, decodable, self.transitions, "", allow_partial
        )
        if not done:
            return None
        am = float(matrix[np.arange(len(matrix)), np.array(labels) - 1].sum(dtype=np.float64))
        return row_of_words(words, am, score - options.acwt * am, len(matrix))


def row_of_words(words: list[int], am: float, graph: float, num_frames: int) -> Lattice:
    """A lattice with one path: its words in a row, both scores on the last arc."""
    words = words or [0]
    n = len(words)
    scores = np.zeros((2, n))
    scores[:, -1] = am, graph
    frames = np.zeros(n + 1, np.int32)
    frames[-1] = num_frames
    return Lattice.build(np.arange(n), np.arange(1, n + 1), np.array(words), scores[0], scores[1], frames)


def main(argv: list[str]) -> None:
    options, (graph_dir, job, *folders) = parse(StreamOptions, argv, USAGE, nargs=(3, 1000))
    options.check()
    decoder = KaldiDecoder(graph_dir, options)
    decode_stream(sys.stdin.buffer, decoder.num_pdfs, decoder, int(job), folders, options.subsampling, decoder.anywhere)


if __name__ == "__main__":
    run_main(main)

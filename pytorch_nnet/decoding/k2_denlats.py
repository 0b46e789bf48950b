"""The k2 process of steps/make_denlats: log-likelihoods on standard input, frame lattices out. Runs in the k2 environment (Python 3.10).

    forward_frames ... | $K2_PYTHON -m pytorch_nnet.decoding.k2_denlats [options] <graph-dir> <frame-store> <shard>

A lattice is what the pruned search leaves, and the reference: all paths of the graph whose pdfs are the utterance's labels, found by a second
search in which every other pdf is impossible. States of both are states of the graph at a frame, so the two are one lattice, in which the
reference has the graph's own weights and may leave and enter the other paths.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from ..frames.lattices import FrameLattice, ShardWriter, join_arcs
from ..frames.store import FrameStore
from ..io.archives import read_archive
from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import parse
from ..io.publish import publish_folder
from .k2_decode import K2Decoder
from .k2_graph import K2Graph
from .search import FRAMES_PER_SECOND, WIDER, SearchOptions, check_loglikes

USAGE = """Usage: python -m pytorch_nnet.decoding.k2_denlats [options] <graph-dir> <frame-store> <shard> < archive
 e.g.: ... | python -m pytorch_nnet.decoding.k2_denlats --beam 13 exp/seq/graph exp/frames_train exp/seq/denlats.shards/shard.1"""

IMPOSSIBLE = np.float32(-1e10)  # score of a pdf that is not the label
# Wide enough for any weights of the graph, far too narrow for one frame that is not the label. k2 takes memory for max_active states.
REFERENCE = SearchOptions(acwt=1.0, beam=1e4, max_active=10000, min_active=0)


class LatticeSearch:
    """Makes frame lattices; call with log-likelihoods (T, num_pdfs) and labels (T,)."""

    def __init__(self, graph: K2Graph, options: SearchOptions):
        self.graph, self.options, self.retried = graph, options, 0
        self.decoder = K2Decoder(graph, options)

    def __call__(self, matrix: np.ndarray, labels: np.ndarray) -> FrameLattice | str:
        """The lattice, or why there is none."""
        for factor in WIDER:
            found = self.decoder.search(matrix, self.options.wider(factor))
            if found is not None:
                break
        self.retried += factor > 1
        if found is None:
            return f"no path through {len(matrix)} frames reaches a final state, even with beams {factor} times wider"
        reference = self.reference(matrix.shape, labels)
        if reference is None:
            return "no path of the graph is the alignment"
        arcs, frames = (np.concatenate(pair) for pair in zip(found[2:], reference[2:]))
        frame, arc = np.divmod(np.unique(frames * np.int64(len(self.graph.arcs)) + arcs), len(self.graph.arcs))
        taken = found[3] < len(labels)
        pairs = np.stack([found[3][taken], self.graph.arcs[found[2][taken], 2] - 1])
        seen = np.zeros(len(labels), bool)
        seen[pairs[0, pairs[1] == labels[pairs[0]]]] = True
        try:
            return self.joined(frame, arc, labels, seen)
        except ValueError as error:
            return str(error)

    def reference(self, shape: tuple[int, ...], labels: np.ndarray):
        """The search for paths that are the labels; None if there is none."""
        scores = np.full(shape, IMPOSSIBLE)
        scores[np.arange(len(labels)), labels] = 0
        return self.decoder.search(scores, REFERENCE)

    def joined(self, frame: np.ndarray, arc: np.ndarray, labels: np.ndarray, seen: np.ndarray) -> FrameLattice:
        """The lattice of these arcs of the graph at these frames; weights of final states go onto the arcs of the last frame."""
        src, dst, label, _ = self.graph.arcs[arc].T
        score = self.graph.scores[arc].astype(np.float64)
        final = np.full(self.graph.num_states, -np.inf)
        np.logaddexp.at(final, src[label < 0], score[label < 0])
        solid = label > 0
        frame, src, dst, score, pdf = (column[solid] for column in (frame, src, dst, score, label - 1))
        last = frame == len(labels) - 1
        score[last] += final[dst[last]]
        return join_arcs(frame, src, dst, pdf, score, labels, seen)


def main(argv: list[str]) -> None:
    options, (graph_dir, store_dir, shard) = parse(SearchOptions, argv, USAGE, nargs=3)
    options.check()
    graph = K2Graph.load(Path(graph_dir) / "graph.npz")
    store = FrameStore.open(store_dir, check_hashes=False)  # decoding.denlats has checked
    search, numbers = LatticeSearch(graph, options), {utt: index for index, utt in enumerate(store.utts)}
    frames, arcs, seconds = 0, 0, 0.0
    with publish_folder(shard) as folder:
        writer = ShardWriter(folder)
        for utt, scores in read_archive(sys.stdin.buffer):
            matrix = check_loglikes(utt, np.asarray(scores), graph.num_pdfs)
            labels = store.labels[store.utt_slice(numbers[utt])].astype(np.int64)
            if len(labels) != len(matrix):
                raise RecipeError("likelihoods and labels differ in length", file=store.path, id=utt, expected=f"{len(labels)} frames", found=len(matrix))
            started = time.monotonic()
            lattice = search(matrix, labels)
            seconds += time.monotonic() - started
            if isinstance(lattice, str):
                print(f"{utt}: {lattice}", file=sys.stderr, flush=True)
                writer.add_none(utt, len(labels), lattice)
            else:
                writer.add(lattice)
                frames, arcs = frames + len(labels), arcs + len(lattice.src)
        if not frames:
            raise RecipeError("no lattices", file=shard, expected="likelihoods on standard input, and paths through them", found="none",
                              next="see above in this log why")
        writer.close()
    print(f"{shard}: {frames} frames, {len(writer.failed)} utterances failed, {search.retried} with wider beams, {arcs / frames:.1f} arcs a frame, "
          f"search RTF {seconds * FRAMES_PER_SECOND / frames:.4f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_main(main)

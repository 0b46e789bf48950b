"""The k2 decoder process: log-likelihoods on standard input, lattices out. Runs in the k2 environment (Python 3.10).

    forward ... ark:- | $K2_PYTHON -m pytorch_nnet.decoding.k2_decode [options] <graph-dir> <job>
        <decode-dir>...

Pruned Viterbi beam search over the graph and the likelihoods (k2.intersect_dense_pruned).
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np

from ..io.errors import RecipeError
from ..io.main import run_main
from ..io.options import parse
from .k2_graph import K2Graph
from .lattice import Lattice
from .openfst import expand
from .search import WIDER, SearchOptions, StreamOptions, decode_stream

USAGE = """Usage: python -m pytorch_nnet.decoding.k2_decode [options] <graph-dir> <job> <decode-dir>... < archive
 e.g.: ... | python -m pytorch_nnet.decoding.k2_decode --beam 13 exp/tri1/graph 1 exp/tri1/decode_dev"""


class K2Decoder:
    """Searches one graph; call with a matrix of log-likelihoods."""

    def __init__(self, graph: K2Graph, options: SearchOptions):
        try:
            import torch

            import k2
        except ImportError as error:
            raise RecipeError(
                "this Python has no k2",
                file=sys.executable,
                expected="k2 and torch",
                found=str(error),
                next="utils/setup_env.sh; or point K2_PYTHON at a Python that has k2 and numpy; or --decoder kaldi",
            ) from None
        self.k2, self.torch, self.graph, self.options = k2, torch, graph, options
        # One thread a job: more do not make the search faster, and jobs run side by side.
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        fsa = k2.Fsa(torch.from_numpy(graph.arcs))
        # Integer attributes ride along into the lattice; from the number of the arc follow its words and score.
        fsa.arc = torch.arange(len(graph.arcs), dtype=torch.int32)
        self.fsas = k2.create_fsa_vec([fsa])
        # Newer k2 would otherwise be free to keep paths that do not end in a final state.
        keywords = inspect.signature(k2.intersect_dense_pruned).parameters
        self.extra = {"allow_partial": False} if "allow_partial" in keywords else {}
        self.partial: K2Decoder | None = None

    def __call__(self, matrix: np.ndarray, factor: int) -> Lattice | None:
        """matrix (T, num_pdfs) of finite log-likelihoods, checked by the caller: k2 does not look. None: no path
        survived."""
        found = self.search(matrix, self.options.wider(factor))
        return lattice_of_frames(self.graph, matrix, *found) if found else None

    def anywhere(self, matrix: np.ndarray) -> Lattice | None:
        """With the widest beams and every state of the graph final (Kaldi: --allow-partial)."""
        if self.partial is None:
            self.partial = K2Decoder(self.graph.ending_anywhere(), self.options)
        return self.partial(matrix, WIDER[-1])

    def search(self, matrix: np.ndarray, options: SearchOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """What `lattice_of_frames` makes a lattice of: src and dst, number of the arc in the graph and frame, of each arc."""
        torch = self.torch
        # Column 0 belongs to label 0, which the graph does not have.
        scores = np.full((1, len(matrix), matrix.shape[1] + 1), -1e30, np.float32)
        np.multiply(matrix, np.float32(options.acwt), out=scores[0, :, 1:])  # two minutes of 9000 pdfs are 432 MB: one copy will do
        dense = self.k2.DenseFsaVec(torch.from_numpy(scores), torch.tensor([[0, 0, len(matrix)]], dtype=torch.int32))
        lattice = self.k2.intersect_dense_pruned(
            self.fsas,
            dense,
            search_beam=options.beam,
            output_beam=options.lattice_beam,
            min_active_states=options.min_active,
            max_active_states=options.max_active,
            frame_idx_name="frame",
            **self.extra,
        )
        src, dst, label, _ = np.ascontiguousarray(lattice.arcs.values().numpy().T)
        if not (label == -1).any():  # no arc into the final state
            return None
        src, dst, kept = trimmed(src, dst)
        return (src, dst, lattice.arc.numpy()[kept], lattice.frame.numpy()[kept]) if len(kept) else None


def trimmed(src: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drops arcs off every path from state 0 to the last: pruning leaves most states of a lattice without a way to the end.

    src, dst: states of the arcs; src < dst; some arc leads to the last state.
    Returns:
      src and dst of the other arcs, their states renumbered in order, and the other arcs' old numbers. k2.connect does the same
      in many times the time.
    """
    size = int(dst.max()) + 1
    used = leading_to(size - 1, src, dst, size) & leading_to(0, dst, src, size)
    kept = np.flatnonzero(used[src] & used[dst])
    number = np.cumsum(used) - 1
    return number[src[kept]], number[dst[kept]], kept


def leading_to(end: int, src: np.ndarray, dst: np.ndarray, size: int) -> np.ndarray:
    """Which of `size` states a path leads from to `end`, where no path is a cycle: those without a way on go, then those from which
    arcs led only to these, and so on."""
    ways = np.bincount(src, minlength=size)
    ways[end] += 1
    order = np.argsort(dst, kind="stable")
    first = np.append(0, np.cumsum(np.bincount(dst, minlength=size)))
    before = src[order]
    gone = np.flatnonzero(ways == 0)
    while len(gone):
        _, rows = expand(first[gone + 1] - first[gone], first[gone])
        states, lost = np.unique(before[rows], return_counts=True)
        ways[states] -= lost
        gone = states[ways[states] == 0]
    return ways > 0


def lattice_of_frames(
    graph: K2Graph, matrix: np.ndarray, src: np.ndarray, dst: np.ndarray, arc: np.ndarray, frame: np.ndarray
) -> Lattice:
    """A compact lattice from arcs that each take one frame of one arc of the graph.

    Args:
      matrix: (T, num_pdfs) unscaled log-likelihoods. src, dst: states, in order of frames.
      arc: number of each arc in the graph. frame: the frame each takes (T for arcs into the end).
    """
    label = graph.arcs[arc, 2]
    am = np.where(label < 0, np.float32(0), matrix[np.minimum(frame, len(matrix) - 1), np.maximum(label - 1, 0)])
    score, codes = graph.scores[arc], graph.words[arc]
    frames = np.empty(int(dst.max()) + 1, np.int32)
    frames[src], frames[-1] = frame, len(matrix)

    # An arc with several words becomes a row of arcs through new states at its first frame; the last of them bears the
    # scores.
    several = np.flatnonzero(codes < 0)
    row, word = graph.expand_words(codes[several])
    last = np.append(row[1:] != row[:-1], True)[: len(row)]
    old = several[row]
    state = len(frames) + np.cumsum(~last) - 1  # the new state each entry but the last of its row leads to
    begins = np.append(True, last[:-1])[: len(row)]
    one = codes >= 0
    columns = (
        np.append(src[one], np.where(begins, src[old], state - ~last)),
        np.append(dst[one], np.where(last, dst[old], state)),
        np.append(codes[one], word),
        np.append(am[one], np.where(last, am[old], 0)),
        np.append(score[one], np.where(last, score[old], 0)),
    )
    # New states are numbered directly behind the state they start from, which keeps src < dst.
    home = np.append(np.arange(len(frames)), src[old[~last]])
    order = np.argsort(home, kind="stable")
    number = np.empty(len(home), np.int32)
    number[order] = np.arange(len(home))
    src, dst = number[columns[0]], number[columns[1]]
    return Lattice.build(src, dst, *columns[2:], frame=frames[home[order]], compact=True)


def main(argv: list[str]) -> None:
    options, (graph_dir, job, *folders) = parse(StreamOptions, argv, USAGE, nargs=(3, 1000))
    options.check()
    graph = K2Graph.load(Path(graph_dir) / "graph.npz")
    decoder = K2Decoder(graph, options)
    decode_stream(sys.stdin.buffer, graph.num_pdfs, decoder, int(job), folders, options.subsampling, decoder.anywhere)


if __name__ == "__main__":
    run_main(main)

"""Exhaustive searches that decoding is checked against: slow, plain, written apart from the library."""

from __future__ import annotations

import math


def viterbi(arcs, start, finals, loglikes):
    """Best (cost, words) of a graph over a matrix, every path considered.

    Args:
      arcs: (src, dst, label, words, cost) with label 0 for epsilon, else column + 1. finals: {state: [(cost, words)]}.
      loglikes: rows of log-likelihoods, already scaled.
    """
    exits = {}
    for src, dst, label, words, cost in arcs:
        exits.setdefault(src, []).append((dst, label, tuple(words), cost))

    def close(best):
        queue = list(best)
        while queue:
            state = queue.pop()
            cost, said = best[state]
            for dst, label, words, extra in exits.get(state, []):
                if label == 0 and cost + extra < best.get(dst, (math.inf,))[0] - 1e-12:
                    best[dst] = cost + extra, said + words
                    queue.append(dst)
        return best

    best = close({start: (0.0, ())})
    for row in loglikes:
        reached = {}
        for state, (cost, said) in best.items():
            for dst, label, words, extra in exits.get(state, []):
                if label > 0 and cost + extra - row[label - 1] < reached.get(dst, (math.inf,))[0]:
                    reached[dst] = cost + extra - float(row[label - 1]), said + words
        best = close(reached)
    return min(
        (
            (cost + extra, said + words)
            for state, (cost, said) in best.items()
            for extra, words in finals.get(state, [])
        ),
        default=(math.inf, ()),
    )


def graph_rows(fst, pdf_of=None):
    """FstArrays as the arguments `arcs, start, finals` of `viterbi`."""
    arcs = [
        (
            int(s),
            int(a["dst"]),
            int(pdf_of[a["ilabel"]] + 1 if pdf_of is not None and a["ilabel"] else a["ilabel"]),
            (int(a["olabel"]),) if a["olabel"] else (),
            float(a["cost"]),
        )
        for s, a in zip(fst.src, fst.arcs)
    ]
    return arcs, fst.start, {s: [(float(c), ())] for s, c in enumerate(fst.final) if math.isfinite(c)}


def k2_graph_rows(graph):
    """K2Graph as the arguments of `viterbi`."""
    end = graph.num_states - 1
    arcs, finals = [], {}
    for (src, dst, label, _), score, code in zip(graph.arcs.tolist(), graph.scores.tolist(), graph.words.tolist()):
        low, high = (graph.seq_offsets[-code - 1], graph.seq_offsets[-code]) if code < 0 else (0, 0)
        words = graph.seq_words[low:high].tolist() if code < 0 else [code] if code else []
        assert (label == -1) == (dst == end) and label != 0
        if label == -1:
            finals.setdefault(src, []).append((-score, tuple(words)))
        else:
            arcs.append((src, dst, label, words, -score))
    return arcs, 0, finals

"""The k2 form of HCLG: no input epsilons, labels are pdf-id + 1, every path costs what it costs in HCLG.

k2.intersect_dense_pruned takes label 0 for a symbol that consumes a frame, so epsilons have to go; the tropical
removal here is plain numpy (Mohri 2002, "Generic epsilon-removal"), keeps alternatives with different words apart, and
needs no k2.

graph.npz (uncompressed .npy members, no pickle), read whole in well under a second:
    arcs        int32 (N, 4)  src, dst, label (pdf-id + 1, or -1 into the one final state), bits of the float32 score
        (log, higher is better)
    words       int32 (N,)    0 none; w > 0 the word-id; -k the k-th (from 1) of the word sequences below
    seq_offsets int32 (S + 1,), seq_words int32: words of sequence k are seq_words[seq_offsets[k-1]:seq_offsets[k]]
    num_pdfs    int32 ()
Arcs into the final state may bear words too. State 0 is the start, the largest state is final; arcs are sorted by
(src, label as unsigned, dst), as k2 wants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish
from .openfst import FstArrays, expand

MAX_EPSILON_DEPTH = 100  # real graphs need about ten; more means a loop of epsilons
MEMBERS = ("arcs", "words", "seq_offsets", "seq_words", "num_pdfs")


class WordSequences:
    """Codes for sequences of words: 0 is none, a positive code is that word, a negative one an entry of the table."""

    def __init__(self) -> None:
        self.table: list[tuple[int, ...]] = []
        self.codes: dict[tuple[int, ...], int] = {}

    def words(self, code: int) -> tuple[int, ...]:
        return () if code == 0 else (code,) if code > 0 else self.table[-code - 1]

    def join(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Codes of first[i] followed by second[i]."""
        joined = np.where(first == 0, second, first)
        both = np.flatnonzero((first != 0) & (second != 0))
        if len(both):
            pairs, inverse = np.unique(np.stack([first[both], second[both]], 1), axis=0, return_inverse=True)
            codes = [self.code(self.words(a) + self.words(b)) for a, b in pairs.tolist()]
            joined[both] = np.array(codes, dtype=np.int32)[inverse.reshape(-1)]
        return joined

    def code(self, words: tuple[int, ...]) -> int:
        if words not in self.codes:
            self.table.append(words)
            self.codes[words] = -len(self.table)
        return self.codes[words]


@dataclass
class Arcs:
    """Parallel columns: src, dst, label, words (codes) int32 and score float64 (summed in double, stored as
    float32)."""

    src: np.ndarray
    dst: np.ndarray
    label: np.ndarray
    words: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.src)

    def take(self, index: np.ndarray) -> "Arcs":
        return Arcs(*(column[index] for column in vars(self).values()))

    def followed_by(self, other: "Arcs", sequences: WordSequences) -> "Arcs":
        """Element-wise concatenation; at most one of the two consumes a frame."""
        return Arcs(
            self.src,
            other.dst,
            self.label + other.label,
            sequences.join(self.words, other.words),
            self.score + other.score,
        )

    @staticmethod
    def stack(parts: list["Arcs"]) -> "Arcs":
        return Arcs(*(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts))))

    def best(self) -> "Arcs":
        """Keeps the best-scoring of arcs with equal src, dst, label and words, in that order."""
        order, twin = self.sorted()
        rows = order[twin]
        order[twin] = rows[np.lexsort((-self.score[rows], self.words[rows], self.dst[rows], self.label[rows].astype(np.uint32),
                                       self.src[rows]))]
        arcs = self.take(order)
        keep = np.ones(len(order), bool)
        keep[1:] = ~twin[1:] | (
            (arcs.src[1:] != arcs.src[:-1])
            | (arcs.dst[1:] != arcs.dst[:-1])
            | (arcs.label[1:] != arcs.label[:-1])
            | (arcs.words[1:] != arcs.words[:-1])
        )
        return arcs if keep.all() else arcs.take(np.flatnonzero(keep))

    def sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The order by src, label (unsigned) and dst, and which places in it hold arcs that share all three with another."""
        # One key of 64 bits sorts many times faster than three columns. The label -1 goes last.
        labels = int(self.label.max(initial=0)) + 2
        states = int(max(self.src.max(initial=0), self.dst.max(initial=0))) + 1
        if states * states * labels >= 2**63:
            raise RecipeError("graph too large for the k2 form", expected="states squared times labels below 2^63",
                              found=f"{states} states, {labels} labels", next="prune the language model (steps/prune_lm)")
        key = self.src * np.int64(labels) + np.where(self.label < 0, labels - 1, self.label)
        key *= states
        key += self.dst
        order = np.argsort(key)
        key = key[order]
        same = key[1:] == key[:-1]
        twin = np.zeros(len(order), bool)
        twin[1:] = same
        twin[:-1] |= same
        return order, twin


def pairs_meeting(left_state: np.ndarray, right_state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All (i, j) with left_state[i] == right_state[j]; right_state is sorted."""
    begin = np.searchsorted(right_state, left_state, "left")
    return expand(np.searchsorted(right_state, left_state, "right") - begin, begin)


def remove_epsilons(arcs: Arcs, start: int, sequences: WordSequences) -> Arcs:
    """An equivalent set of arcs without label 0: for every pair of states and every label and words, the best score is
    kept.

    A closure s -> t of epsilons is folded either into the arcs that leave t or into those that enter s, whichever adds
    fewer: back-off arcs leave a great many states with one way in for one state with many ways out.
    """
    epsilon = arcs.take(np.flatnonzero(arcs.label == 0)).best()
    solid = arcs.take(np.flatnonzero(arcs.label != 0))
    if (np.diff(solid.src) < 0).any():
        solid = solid.take(np.argsort(solid.src, kind="stable"))
    closure, frontier = epsilon, epsilon
    for _ in range(MAX_EPSILON_DEPTH):
        i, j = pairs_meeting(frontier.dst, epsilon.src)
        longer = frontier.take(i).followed_by(epsilon.take(j), sequences)
        longer = longer.take(np.flatnonzero((longer.src != longer.dst) | (longer.words != 0)))
        if not len(longer):
            break
        merged = Arcs.stack([closure, longer]).best()
        if len(merged) == len(closure) and (merged.score == closure.score).all():
            break
        closure, frontier = merged, longer.best()
    else:
        raise RecipeError(
            "the graph has a loop of input epsilons",
            expected=f"at most {MAX_EPSILON_DEPTH} in a row",
            next="check L_disambig.fst and G.fst (utils/validate_lang)",
        )

    size = 1 + int(max(arcs.src.max(), arcs.dst.max()))
    entering, leaving = np.bincount(solid.dst, minlength=size), np.bincount(solid.src, minlength=size)
    backwards = (entering[closure.src] < leaving[closure.dst]) & (closure.src != start)
    into_leaving = closure.take(np.flatnonzero(~backwards))
    into_entering = closure.take(np.flatnonzero(backwards))
    # Suffixes go onto arcs that have their prefixes already: an arc may need both.
    i, j = pairs_meeting(into_leaving.dst, solid.src)
    prefixed = Arcs.stack([solid, into_leaving.take(i).followed_by(solid.take(j), sequences)])
    ends = np.zeros(size, bool)
    ends[into_entering.src] = True
    ending = prefixed.take(np.flatnonzero(ends[prefixed.dst]))
    ending = ending.take(np.argsort(ending.dst, kind="stable"))
    i, j = pairs_meeting(into_entering.src, ending.dst)
    return Arcs.stack([prefixed, ending.take(j).followed_by(into_entering.take(i), sequences)])


def discovered(src: np.ndarray, dst: np.ndarray, root: int, size: int) -> np.ndarray:
    """When each of `size` states is first met on the way from `root` along (src, dst), breadth first: 0, 1, ...; -1: never."""
    order = np.argsort(src)
    offsets, targets = np.append(0, np.cumsum(np.bincount(src, minlength=size))), dst[order]
    rank = np.full(size, -1, np.int32)
    rank[root], count = 0, 1
    place = np.empty(size, np.int32)
    frontier = np.array([root])
    while len(frontier):
        _, rows = expand(offsets[frontier + 1] - offsets[frontier], offsets[frontier])
        fresh = targets[rows]
        fresh = fresh[rank[fresh] < 0]
        # Each state once, without sorting: where it stands last.
        place[fresh] = np.arange(len(fresh))
        frontier = fresh[place[fresh] == np.arange(len(fresh))]
        rank[frontier] = count + np.arange(len(frontier))
        count += len(frontier)
    return rank


@dataclass
class K2Graph:
    """A decoding graph as in graph.npz."""

    arcs: np.ndarray
    words: np.ndarray
    seq_offsets: np.ndarray
    seq_words: np.ndarray
    num_pdfs: int

    @property
    def scores(self) -> np.ndarray:
        """float32 (N,) log scores, a view of arcs."""
        return self.arcs[:, 3].view(np.float32)

    @property
    def num_states(self) -> int:
        return int(self.arcs[:, 1].max()) + 1

    def ending_anywhere(self) -> "K2Graph":
        """The same, with every state final, at no cost where it was not."""
        end = self.num_states - 1
        others = np.setdiff1d(np.arange(end, dtype=np.int32), self.arcs[self.arcs[:, 2] == -1, 0])
        ends = np.zeros((len(others), 4), np.int32)
        ends[:, 0], ends[:, 1], ends[:, 2] = others, end, -1
        arcs = np.concatenate([self.arcs, ends])
        order = np.argsort(arcs[:, 0], kind="stable")  # within a state as before, the way to the end last
        return K2Graph(np.ascontiguousarray(arcs[order]), np.append(self.words, np.zeros(len(others), np.int32))[order], self.seq_offsets,
                       self.seq_words, self.num_pdfs)

    @classmethod
    def from_hclg(cls, hclg: FstArrays, pdf_of: np.ndarray, num_pdfs: int) -> "K2Graph":
        """Converts HCLG over transition-ids; pdf_of (transition-ids + 1,) maps them to pdf-ids, index 0 unused."""
        ilabel = hclg.arcs["ilabel"]
        if len(ilabel) == 0 or ilabel.max() >= len(pdf_of):
            raise RecipeError(
                "graph and model disagree",
                expected=f"transition-ids up to {len(pdf_of) - 1}",
                found=int(ilabel.max()) if len(ilabel) else "a graph without arcs",
                next="make the graph again (steps/mkgraph)",
            )
        finals = np.flatnonzero(np.isfinite(hclg.final)).astype(np.int32)
        end = hclg.num_states
        zeros = np.zeros(len(finals), np.int32)
        arcs = Arcs.stack(
            [
                Arcs(
                    hclg.src,
                    hclg.arcs["dst"],
                    np.where(ilabel > 0, pdf_of[ilabel] + 1, 0).astype(np.int32),
                    hclg.arcs["olabel"],
                    -hclg.arcs["cost"].astype(np.float64),
                ),
                Arcs(finals, zeros + end, zeros - 1, zeros, -hclg.final[finals].astype(np.float64)),
            ]
        )
        sequences = WordSequences()
        arcs = remove_epsilons(arcs, hclg.start, sequences)
        rank = discovered(arcs.src, arcs.dst, hclg.start, end + 1)
        use = (rank >= 0) & (discovered(arcs.dst, arcs.src, end, end + 1) >= 0)
        arcs = arcs.take(np.flatnonzero(use[arcs.src] & use[arcs.dst]))
        if not len(arcs):
            raise RecipeError("the graph has no path from start to end", next="make the graph again (steps/mkgraph)")
        # States that are active together stand together in memory, which saves a tenth of the search.
        rank[end] = len(rank)
        rank[~use] = len(rank) + 1
        number = np.empty(len(rank), np.int32)
        number[np.argsort(rank, kind="stable")] = np.arange(len(rank))
        arcs.src, arcs.dst = number[arcs.src], number[arcs.dst]
        arcs = arcs.best()  # sorted anew after the renumbering
        table = np.stack([arcs.src, arcs.dst, arcs.label, arcs.score.astype(np.float32).view(np.int32)], 1)
        lengths = [len(words) for words in sequences.table]
        return cls(
            table,
            arcs.words.astype(np.int32),
            np.cumsum([0, *lengths], dtype=np.int32),
            np.array([word for words in sequences.table for word in words], dtype=np.int32),
            num_pdfs,
        )

    def save(self, path) -> None:
        with publish(path, "wb") as file:
            members: dict[str, Any] = {name: np.asarray(getattr(self, name), dtype=np.int32) for name in MEMBERS}
            np.savez(file, **members)

    @classmethod
    def load(cls, path) -> "K2Graph":
        """Raises RecipeError if the file is missing, damaged or not made by `save`."""
        with reading(path, "not a readable decoding graph", expected="graph.npz of steps/mkgraph",
                     next="make the graph again (steps/mkgraph)"):
            with np.load(require_file(path, next="make the graph (steps/mkgraph)"), allow_pickle=False) as file:
                graph = cls(*(file[name] for name in MEMBERS))
        with reading(path, "a decoding graph that contradicts itself", next="make the graph again (steps/mkgraph)"):
            graph.num_pdfs = int(graph.num_pdfs)
            graph.check()
        if graph.arcs[:, 2].max() > graph.num_pdfs:
            raise RecipeError(
                "a graph label lies beyond the pdfs",
                file=path,
                expected=f"labels up to {graph.num_pdfs}",
                found=int(graph.arcs[:, 2].max()),
                next="make the graph again (steps/mkgraph)",
            )
        return graph

    def check(self) -> None:
        """Raises ValueError where an arc or a word would be looked for outside the arrays: k2 itself does not look."""
        if self.arcs.ndim != 2 or self.arcs.shape[1] != 4:
            raise ValueError(f"arcs of shape {self.arcs.shape}")
        src, dst, label = (self.arcs[:, column] for column in range(3))
        offsets = self.seq_offsets
        for what, good in (("arcs by their source", src[0] >= 0 and (np.diff(src) >= 0).all()), ("states", src[-1] <= dst.max() and dst.min() >= 0),
                           ("labels", label.min() >= -1 and not (label == 0).any()), ("words of arcs", len(self.words) == len(src)),
                           ("word sequences", offsets[0] == 0 and (np.diff(offsets) >= 0).all() and offsets[-1] == len(self.seq_words)),
                           ("codes of words", self.words.min() > -len(offsets)), ("a final state", ((label == -1) == (dst == dst.max())).all())):
            if not good:
                raise ValueError(f"bad {what}")

    def expand_words(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row, word) of every word of the arcs whose codes are given, in order."""
        index = np.maximum(-codes, 1) - 1
        last = len(self.seq_offsets) - 2
        index = np.minimum(index, max(last, 0))
        lengths = np.diff(self.seq_offsets)[index] if last >= 0 else np.zeros(len(codes), np.int32)
        counts = np.where(codes < 0, lengths, (codes > 0).astype(np.int32))
        starts = np.where(codes < 0, self.seq_offsets[index], 0)
        rows, at = expand(counts, starts)
        words = codes[rows].copy()
        table = words < 0
        words[table] = self.seq_words[at[table]]
        return rows, words

"""The phonetic decision tree: states of triphones are tied by the answers to questions about their neighbours.

Young, Odell and Woodland 1994: one root per phone; the leaf and question that gain most likelihood under single Gaussians are split
first, until there are enough leaves. Then, as in Kaldi's build-tree, leaves of a root that hardly differ are merged again.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError
from ..io.kaldi_topology import Topology
from ..io.kaldi_tree import PDF_CLASS, EventMap, Leaf, Split, Table, Tree
from .questions import loglike
from .stats import TreeStats

COLUMN = {0: 0, 1: 1, 2: 2, PDF_CLASS: 3}  # where the value under each key stands in an event
MIN_GAIN = 1e-3


@dataclass
class Node:
    """A set of events with the same answers; `best` is its best split: gain, key, values, and which events say yes."""

    rows: np.ndarray
    best: tuple[float, int, tuple[int, ...], np.ndarray] | None = None
    key: int = 0
    values: tuple[int, ...] = ()
    children: tuple["Node", "Node"] | None = None
    pdf: int = -1


@dataclass
class BuiltTree:
    """tree, and the summed statistics of every pdf, float64 (pdfs, 1 + 2D); report: what was done, for the log."""

    tree: Tree
    sums: np.ndarray
    report: str


class TreeBuilder:
    """Grows the tree.

    Args:
      stats: of all events. topology: gives phones and pdf-classes.
      roots: sets of phones that start from one root (sets.int), all states together.
      sets: phone sets to ask about. min_count: frames a leaf must have.
    """

    def __init__(self, stats: TreeStats, topology: Topology, roots: list[tuple[int, ...]], sets: list[tuple[int, ...]], *,
                 min_count: float = 100.0):
        self.stats, self.roots, self.min_count = stats, roots, min_count
        if sorted(phone for root in roots for phone in root) != topology.phones.tolist():
            raise RecipeError("sets of phones and topology disagree", expected=topology.phones.tolist(), found=roots,
                              next="steps/prepare_lang")
        largest = int(max(stats.events[:, :3].max(), topology.phones.max(), *map(max, sets)))
        of_phones = np.zeros((len(sets), largest + 1))
        for row, phones in enumerate(sets):
            of_phones[row, list(phones)] = 1
        classes = max(topology.num_pdf_classes(phone) for phone in topology.phones)
        prefixes = [tuple(range(n)) for n in range(1, classes)]
        of_classes = np.zeros((len(prefixes), classes))
        for row, values in enumerate(prefixes):
            of_classes[row, list(values)] = 1
        self.questions = {0: (sets, of_phones), 1: (sets, of_phones), 2: (sets, of_phones), PDF_CLASS: (prefixes, of_classes)}

    def find_split(self, node: Node) -> None:
        """Sets node.best, or leaves it None if no question leaves `min_count` frames on both sides and gains."""
        sums, events = self.stats.sums[node.rows], self.stats.events[node.rows]
        whole = sums.sum(0)
        node.best = None
        for key, (sets, member) in self.questions.items():
            values, inverse = np.unique(events[:, COLUMN[key]], return_inverse=True)
            if len(values) < 2:
                continue
            order = np.argsort(inverse, kind="stable")
            by_value = np.add.reduceat(sums[order], np.searchsorted(inverse[order], np.arange(len(values))), axis=0)
            yes = member[:, values] @ by_value
            no = whole - yes
            enough = np.minimum(yes[:, 0], no[:, 0]) >= self.min_count
            if not enough.any():
                continue
            gain = np.where(enough, loglike(yes) + loglike(no) - loglike(whole), -np.inf)
            question = int(np.argmax(gain))
            if gain[question] > max(MIN_GAIN, node.best[0] if node.best else 0.0):
                node.best = (float(gain[question]), key, sets[question], member[question, events[:, COLUMN[key]]] > 0)

    def build(self, max_leaves: int, *, cluster_threshold: float = -1.0) -> BuiltTree:
        """Splits until there are `max_leaves` leaves, then merges those of one root that lose less than `cluster_threshold`
        log-likelihood (-1: the gain of the last split; 0: none).
        """
        if max_leaves < len(self.roots):
            raise RecipeError("too few leaves", expected=f"at least one for each of {len(self.roots)} phones", found=max_leaves,
                              next="call again with a larger <num-leaves>")
        roots = [Node(np.flatnonzero(np.isin(self.stats.events[:, 1], phones))) for phones in self.roots]
        heap: list[tuple[float, int, Node]] = []

        def offer(node: Node) -> None:
            self.find_split(node)
            if node.best:
                heapq.heappush(heap, (-node.best[0], next(ticket), node))

        ticket = iter(range(1 << 62))  # ties go to the node offered first
        for node in roots:
            if len(node.rows):
                offer(node)
        leaves, gained, last_gain = len(roots), 0.0, 0.0
        while heap and leaves < max_leaves:
            _, _, node = heapq.heappop(heap)
            last_gain, node.key, node.values, says_yes = node.best  # type: ignore[misc]
            gained += last_gain
            node.children = (Node(node.rows[says_yes]), Node(node.rows[~says_yes]))
            leaves += 1
            for child in node.children:
                offer(child)
        threshold = last_gain if cluster_threshold < 0 else cluster_threshold
        pdf_sums: list[np.ndarray] = []
        for node in roots:
            ends = list(_leaves(node))
            groups = merge_leaves([self.stats.sums[end.rows].sum(0) for end in ends], threshold)
            for group in groups:
                for index in group:
                    ends[index].pdf = len(pdf_sums)
                pdf_sums.append(sum(self.stats.sums[ends[index].rows].sum(0) for index in group))
        branches: list[EventMap | None] = [None] * (max(map(max, self.roots)) + 1)
        for phones, node in zip(self.roots, roots):
            for phone in phones:
                branches[phone] = _event_map(node)
        frames = max(self.stats.sums[:, 0].sum(), 1.0)
        unseen = [phones for phones, node in zip(self.roots, roots) if not len(node.rows)]
        report = (f"{len(self.stats.events)} events, {leaves} leaves, {len(pdf_sums)} pdfs after merging, "
                  f"{gained / frames:.3f} log-likelihood per frame gained" + (f"; phones without data: {unseen}" if unseen else ""))
        return BuiltTree(Tree(3, 1, Table(1, branches)), np.stack(pdf_sums), report)


def merge_leaves(sums: list[np.ndarray], threshold: float) -> list[list[int]]:
    """Groups of leaves: pairs are merged while the smallest loss of log-likelihood stays under `threshold`."""
    groups = [[index] for index in range(len(sums))]
    stack = np.stack(sums)
    own = loglike(stack)
    while len(groups) > 1:
        loss = own[:, None] + own[None] - loglike(stack[:, None] + stack[None])
        np.fill_diagonal(loss, np.inf)
        keep, gone = sorted(divmod(int(np.argmin(loss)), len(groups)))
        if loss[keep, gone] >= threshold:
            break
        groups[keep] += groups.pop(gone)
        stack[keep] += stack[gone]
        stack = np.delete(stack, gone, axis=0)
        own = np.delete(own, gone)
        own[keep] = loglike(stack[keep])
    return groups


def _leaves(node: Node):
    if node.children is None:
        yield node
    else:
        for child in node.children:
            yield from _leaves(child)


def _event_map(node: Node) -> EventMap:
    if node.children is None:
        return Leaf(node.pdf)
    yes, no = (_event_map(child) for child in node.children)
    return Split(node.key, node.values, yes, no)

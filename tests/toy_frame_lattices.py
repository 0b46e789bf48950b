"""Frame lattices for tests of sequence training: random ones, small enough to walk through every path, and stores of them."""

from __future__ import annotations

import numpy as np

from pytorch_nnet.frames.lattices import FrameLattice, ShardWriter, join_arcs, merge_shards
from pytorch_nnet.frames.store import DIM, FrameStore, write_frame_store


def frame_store(path, utts: int, classes: int, seed: int = 0) -> FrameStore:
    """Utterances of 40 frames, in segments of five whose classes show dimly in the features."""
    rng, codes = np.random.default_rng(seed), np.random.default_rng(42).standard_normal((classes, DIM))

    def utterances():
        for index in range(utts):
            labels = np.repeat(rng.integers(0, classes, 8), 5)
            yield f"utt{index:02d}", codes[labels] + rng.normal(0, 2.5, (40, DIM)), labels

    return write_frame_store(path, utterances(), num_classes=classes, label_map="tree", cmvn={"norm_means": True, "norm_vars": True})


def random_lattice(rng: np.random.Generator, frames: int, states: int, classes: int) -> tuple[FrameLattice, np.ndarray]:
    """A lattice with up to `states` states a frame, and labels that one or more of its paths have."""
    numbers = [rng.permutation(50)[:rng.integers(1, states + 1)] for _ in range(frames + 1)]
    numbers[0], numbers[-1] = numbers[0][:1], numbers[-1][:1]
    rows = []
    for t, (here, there) in enumerate(zip(numbers, numbers[1:])):
        pairs = {(s, rng.choice(there)) for s in here} | {(rng.choice(here), s) for s in there}  # everything has a way in and out
        for src, dst in sorted(pairs):
            rows += [(t, src, dst, pdf, rng.normal()) for pdf in rng.integers(0, classes, rng.integers(1, 3))]  # twins among them
    frame, src, dst, pdf, graph = map(np.array, zip(*rows))
    labels, at = np.empty(frames, int), numbers[0][0]
    for t in range(frames):
        choice = rng.choice(np.flatnonzero((frame == t) & (src == at)))
        labels[t], at = pdf[choice], dst[choice]
    return join_arcs(frame, src, dst, pdf, graph, labels, rng.random(frames) < 0.8), labels


def all_paths(lattice: FrameLattice) -> np.ndarray:
    """(paths, T): the arcs of every path."""
    paths = [[]]
    for low, high in zip(lattice.first[:-1], lattice.first[1:]):
        paths = [[*path, arc] for path in paths for arc in range(low, high) if lattice.src[arc] == (lattice.dst[path[-1]] if path else 0)]
    return np.array(paths)


def rivals(labels: np.ndarray, classes: int, rng: np.random.Generator) -> FrameLattice:
    """The labels, and from every segment another class beside them, with uneven weights."""
    segment = np.append(0, np.cumsum(np.diff(labels) != 0))
    other = (labels + rng.integers(1, classes, segment[-1] + 1)[segment]) % classes
    weight = rng.normal(0, 0.3, segment[-1] + 1)[segment] / 5
    frames = np.arange(len(labels))
    begin, end = np.append(True, np.diff(segment) != 0), np.append(np.diff(segment) != 0, True)
    src = np.append(np.where(begin, 0, 1), np.where(begin, 0, 2))  # state 0 joins the two ways
    dst = np.append(np.where(end, 0, 1), np.where(end, 0, 2))
    return join_arcs(np.tile(frames, 2), src, dst, np.append(labels, other), np.append(0 * weight, weight), labels, np.ones(len(labels), bool))


def lattice_store(path, store, *, without: int = 0, seed: int = 0, **facts):
    """Rivals for every utterance of a frame store but the first `without`."""
    rng = np.random.default_rng(seed)
    shard = path.with_name(path.name + ".shard")
    shard.mkdir()
    writer = ShardWriter(shard)
    for index in range(store.num_utts):
        labels = store.labels[store.utt_slice(index)].astype(np.int64)
        lattice = rivals(labels, store.num_classes, rng)
        if index < without:
            writer.add_none(store.utts[index], len(labels), "no path")
        else:
            writer.add(lattice)
    writer.close()
    return merge_shards([shard], path, store, {"acwt": 0.2, "prior_scale": 1.0, "silence_pdfs": [0], **facts})

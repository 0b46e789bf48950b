"""Stores, lattices and graphs in our own forms."""

import numpy as np

from fuzz.corpus import temporary
from fuzz.harness import target
from pytorch_nnet.decoding.k2_graph import K2Graph
from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter, best_paths
from pytorch_nnet.frames.softlabels import ShardWriter, SoftLabelStore, merge_shards
from pytorch_nnet.frames.store import FrameStore, write_frame_store


def write_stores(folder) -> None:
    rows = np.random.default_rng(1).normal(size=(30, 31))
    store = write_frame_store(
        folder / "frames", [(utt, rows, np.arange(30) % 5) for utt in ("u1", "u2")], num_classes=5, label_map="m", cmvn={"norm_means": True}
    )
    (folder / "shard").mkdir()
    shard = ShardWriter(folder / "shard", {"max_classes": 3, "mass_cut": 1.0})
    shard.add_kept(np.full(60, 2, np.uint8), np.tile(np.array([1, 3], np.uint16), 60), np.tile(np.array([0.75, 0.25], np.float16), 60))
    shard.close()
    merge_shards(
        [folder / "shard"], folder / "soft", store, teachers=[{"name": "t", "sha256": "", "weight": 1.0}], max_classes=3, mass_cut=1.0
    )
    for path in (folder / "shard").iterdir():
        path.unlink()


def use(store: FrameStore, soft: SoftLabelStore) -> None:
    for _, rows, labels in store.utterances():
        assert rows.shape == (len(labels), store.dim) and np.isfinite(rows).all() and labels.max() < store.num_classes
    assert store.label_counts().sum() == store.num_frames and len(set(store.utts)) == store.num_utts
    soft.check_matches(store)
    labels = soft.gather(np.arange(soft.num_frames))
    assert labels.classes.max() < soft.num_classes and labels.probs.isfinite().all()


@target(lambda: temporary(write_stores), cost=2)
def stores():
    use(FrameStore.open("frames"), SoftLabelStore.open("soft"))


def write_lattices(folder) -> None:
    with LatticeWriter(folder / "lat.1.npz") as writer:
        for utt in ("a", "b"):
            scores = np.random.default_rng(1).normal(size=(2, 9))
            writer.write(utt, Lattice.build(np.arange(9), np.arange(1, 10), np.arange(1, 10), *scores, np.arange(10)))


@target(lambda: temporary(write_lattices))
def lattices():
    reader = LatticeReader("lat.1.npz")
    for _, lattice in reader:
        for words in best_paths(lattice, [8.0], [0.0]).values():
            assert all(isinstance(word, int) and word >= 0 for word in words)
        assert lattice.num_frames >= 0 and np.isfinite(lattice.onward(-lattice.arcs["am"].astype(np.float64), np.minimum)).all()


def write_graph(folder) -> None:
    arcs = np.array([[0, 1, 1, 0], [1, 2, -1, 0]], np.int32)
    K2Graph(arcs, np.array([0, -1], np.int32), np.array([0, 2], np.int32), np.array([4, 5], np.int32), 1).save(folder / "graph.npz")


@target(lambda: temporary(write_graph))
def k2_graph():
    graph = K2Graph.load("graph.npz")
    assert graph.arcs[:, 1].max() == graph.num_states - 1 and graph.arcs[:, :2].min() >= 0 and graph.arcs[:, 2].max() <= graph.num_pdfs
    rows, words = graph.expand_words(graph.words)
    assert len(rows) == len(words) and (not len(rows) or rows.max() < len(graph.arcs))

"""Stores, lattices and graphs in our own forms."""

import numpy as np

from fuzz.corpus import temporary
from fuzz.harness import target
from pytorch_nnet.decoding.k2_graph import K2Graph
from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter, best_paths
from pytorch_nnet.frames.ctc_store import CtcStore, write_ctc_store
from pytorch_nnet.frames.lattices import LatticeStore
from pytorch_nnet.frames.softlabels import ShardWriter, SoftLabelStore, merge_shards
from pytorch_nnet.frames.store import FrameStore, write_frame_store
from pytorch_nnet.lang.units import BLANK, Units
from toy_frame_lattices import frame_store, lattice_store


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


def write_tokens(folder) -> None:
    utterances = ((utt, np.random.default_rng(1).normal(size=(30, 31)), np.array([1, 2, 2, 3])) for utt in ("u1", "u2"))
    write_ctc_store(folder / "phones", utterances, units=Units("phones", (BLANK, "a", "b", "c")), cmvn={"norm_means": True})


@target(lambda: temporary(write_tokens), cost=2)
def ctc_store():
    store = CtcStore.open("phones")
    for index, rows, tokens in store.utterances():
        assert rows.shape[1] == store.dim and np.isfinite(rows).all() and len(tokens) <= store.needed()[index] <= 2 * len(tokens)
        assert all(0 < token < store.num_classes for token in tokens)
    assert store.label_counts().sum() == store.num_tokens and store.units.symbols[0] == BLANK


def write_frame_lattices(folder) -> None:
    lattice_store(folder / "denlats", frame_store(folder / "frames", 2, 5))
    for path in (folder / "denlats.shard").iterdir():
        path.unlink()


@target(lambda: temporary(write_frame_lattices), cost=2)
def frame_lattices():
    store, lattices = FrameStore.open("frames"), LatticeStore.open("denlats", check_hashes=False)  # every lattice is checked as it is read
    lattices.check_matches(store)
    for index in range(store.num_utts):
        lattice = lattices.lattice(store.utt_slice(index))
        assert lattice is None or lattice.num_frames == 40 and lattice.pdf.max() < 5 and np.isfinite(lattice.graph).all() and lattice.sizes[-1] == 1
    assert lattices.summary()


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

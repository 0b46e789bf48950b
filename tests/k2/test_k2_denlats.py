"""Frame lattices from k2 against walks through the graph, arc by arc; the reference in them; the process."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_k2_decode import PDFS, WIDE, word_loop

from pytorch_nnet.decoding.k2_denlats import LatticeSearch
from pytorch_nnet.decoding.search import SearchOptions
from pytorch_nnet.frames.folder import map_array, read_meta
from pytorch_nnet.frames.lattices import SHARD_FORMAT
from pytorch_nnet.frames.store import DIM, write_frame_store
from pytorch_nnet.io.archives import write_archive
from pytorch_nnet.training.forward_backward import forward_backward, path_weights

ROOT = Path(__file__).resolve().parents[2]
FRAMES, SCALE = 7, 0.1


def walks(graph, frames):
    """(log weight, pdfs) of every path of the graph that takes so many frames."""
    rows = [(int(s), int(d), int(label), float(score)) for (s, d, label, _), score in zip(graph.arcs, graph.scores)]
    paths = [(0, 0.0, ())]
    for _ in range(frames):
        paths = [(d, weight + score, (*pdfs, label - 1)) for at, weight, pdfs in paths for s, d, label, score in rows if s == at and label > 0]
    return [(weight + score, pdfs) for at, weight, pdfs in paths for s, _, label, score in rows if s == at and label < 0]


def summed(lattice, matrix, arcs=slice(None)):
    """Log weight of the paths over these arcs."""
    weight = path_weights(lattice, matrix, SCALE)
    return forward_backward(lattice.only(arcs) if isinstance(arcs, np.ndarray) else lattice, weight[arcs]).total


def is_labels(lattice, labels):
    return lattice.pdf == labels[lattice.frame]


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_search_has_every_path_with_its_weight(seed):
    graph, rng = word_loop(seed), np.random.default_rng(seed)
    paths = walks(graph, FRAMES)
    labels = np.array(paths[rng.integers(len(paths))][1])
    matrix = rng.normal(size=(FRAMES, PDFS), scale=8).astype(np.float32)
    lattice = LatticeSearch(graph, SearchOptions(acwt=SCALE, **WIDE))(matrix, labels)
    weights = [weight + SCALE * matrix[np.arange(FRAMES), pdfs].sum() for weight, pdfs in paths]
    assert summed(lattice, matrix) == pytest.approx(np.logaddexp.reduce(weights), abs=1e-4)
    own = [weight for weight, (_, pdfs) in zip(weights, paths) if pdfs == tuple(labels)]
    assert summed(lattice, matrix, is_labels(lattice, labels)) == pytest.approx(np.logaddexp.reduce(own), abs=1e-4)
    assert lattice.reference[is_labels(lattice, labels)].any()
    assert lattice.found.all()
    lattice.check(PDFS)


def test_a_narrow_search_has_the_reference_with_the_graphs_weight_beside_what_it_found():
    graph = word_loop(1)
    paths = sorted(walks(graph, FRAMES))
    labels = np.array(paths[0][1])  # the path with the least weight
    matrix = np.where(np.arange(PDFS) == labels[:, None], -300, 0).astype(np.float32) + np.arange(PDFS, dtype=np.float32)
    lattice = LatticeSearch(graph, SearchOptions(acwt=SCALE, beam=3, lattice_beam=0.5, min_active=0))(matrix, labels)
    own = [weight + SCALE * matrix[np.arange(FRAMES), labels].sum() for weight, pdfs in paths if pdfs == tuple(labels)]
    assert summed(lattice, matrix, is_labels(lattice, labels)) == pytest.approx(np.logaddexp.reduce(own), abs=1e-4)
    assert not lattice.found.all() and len(lattice.src) < 4 * FRAMES
    best = max(weight + SCALE * matrix[np.arange(FRAMES), pdfs].sum() for weight, pdfs in paths)
    assert summed(lattice, matrix) >= best - 1e-4


def test_labels_that_the_graph_has_no_path_for_are_said_to_be_so():
    search = LatticeSearch(word_loop(0), SearchOptions(acwt=SCALE, **WIDE))
    assert search(np.zeros((3, PDFS), np.float32), np.array([3, 3, 3])) == "no path of the graph is the alignment"
    assert search(np.zeros((1, PDFS), np.float32), np.array([1])).startswith("no path through 1 frames")


def test_the_process_writes_a_shard_and_counts_what_failed(tmp_path):
    graph, rng = word_loop(2), np.random.default_rng(2)
    graph.save(tmp_path / "graph.npz")
    good = np.array(walks(graph, FRAMES)[5][1])
    labels = {"a": good, "b": np.full(FRAMES, 3), "c": good}
    write_frame_store(tmp_path / "frames", ((utt, np.zeros((FRAMES, DIM)), pdfs) for utt, pdfs in labels.items()), num_classes=PDFS, label_map="m",
                      cmvn={"norm_means": True, "norm_vars": True})

    def process(lengths, shard):
        stream = io.BytesIO()
        for utt, length in lengths.items():
            write_archive(stream, utt, rng.normal(size=(length, PDFS)).astype(np.float32))
        return subprocess.run([sys.executable, "-m", "pytorch_nnet.decoding.k2_denlats", "--acwt", "0.1", tmp_path, tmp_path / "frames", shard],
                              input=stream.getvalue(), capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})

    done = process(dict.fromkeys(labels, FRAMES), tmp_path / "shard.1")
    assert done.returncode == 0 and b"14 frames, 1 utterances failed" in done.stderr, done.stderr
    meta = read_meta(tmp_path / "shard.1", SHARD_FORMAT, "")
    counts = map_array(tmp_path / "shard.1", meta, "arcs.i64", "")
    assert meta["failed"] == {"b": "no path of the graph is the alignment"}
    assert (counts[7:14] == 0).all() and (counts[:7] > 0).all() and (counts[14:] > 0).all()
    for lengths, words in (({"a": FRAMES - 1}, "differ in length|a"), ({}, "empty archive|no lattices")):
        done = process(lengths, tmp_path / "shard.2")
        assert done.returncode == 1 and any(word in done.stderr.decode() for word in words.split("|")), done.stderr
        assert b"Traceback" not in done.stderr and not (tmp_path / "shard.2").exists()

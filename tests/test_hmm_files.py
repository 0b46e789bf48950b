"""Kaldi's binary tree and model files."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.hmm.features import FeatureOptions
from pytorch_nnet.hmm.gmm import gaussians_from_moments
from pytorch_nnet.hmm.model import AcousticModel, khg_tree
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.kaldi_model import read_model, write_model
from pytorch_nnet.io.kaldi_tree import PDF_CLASS, Leaf, Split, Table, Tree, monophone_tree
from toy_hmm import make_lang

PHONES = 4


@st.composite
def event_maps(draw, depth=3):
    """Splits over context and state under a table of phones."""
    def grow(level):
        if level == 0 or draw(st.booleans()):
            return Leaf(draw(st.integers(0, 20)))
        key = draw(st.sampled_from([0, 1, 2, PDF_CLASS]))
        values = tuple(sorted(draw(st.sets(st.integers(0, PHONES), min_size=1))))
        return Split(key, values, grow(level - 1), grow(level - 1))

    states = Table(PDF_CLASS, [Leaf(21), Leaf(22), Leaf(23)])
    return Tree(3, 1, Table(1, [None, states, *(grow(depth) for _ in range(PHONES - 1))]))


@settings(max_examples=20, deadline=None)
@given(event_maps())
def test_tree_survives_bytes_and_agrees_with_the_library(tree):
    content = tree.to_bytes()
    again = Tree.from_bytes(content)
    assert again == tree and again.to_bytes() == content
    library = khg_tree(tree)
    assert library.num_pdfs == tree.num_pdfs
    for left in range(PHONES + 1):
        for phone in range(1, PHONES + 1):
            for right in range(PHONES + 1):
                for state in range(3):
                    assert library.compute([left, phone, right], state) == (True, tree.pdf((left, phone, right), state))


def test_library_writes_the_same_monophone_tree(tmp_path):
    import kaldi_hmm_gmm as khg

    khg.monophone_context_dependency([1, 2, 3], [0, 5, 3, 3]).write(True, str(tmp_path / "tree"))
    assert (tmp_path / "tree").read_bytes() == monophone_tree({1: 5, 2: 3, 3: 3}).to_bytes()


def test_monophones_share_pdfs_within_a_set():
    tree = monophone_tree({1: 5, 2: 3, 3: 3, 4: 3}, [(1,), (2, 4), (3,)])
    assert tree.num_pdfs == 11
    assert [tree.pdf((phone,), 1) for phone in (1, 2, 3, 4)] == [1, 6, 9, 6]


def toy_model(tmp_path):
    topology = read_topology(make_lang(tmp_path) / "topo")
    tree = monophone_tree({int(p): topology.num_pdf_classes(p) for p in topology.phones})
    model = AcousticModel.create(topology, tree, FeatureOptions(norm_vars=True))
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, tree.num_pdfs)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    weights = np.concatenate([rng.dirichlet(np.ones(n)) for n in sizes])
    gmm = gaussians_from_moments(weights, rng.normal(size=(len(weights), 5)), rng.uniform(0.1, 2, (len(weights), 5)), offsets)
    log_probs = model.table.log_probs * 1.0
    log_probs[1:] += rng.uniform(-0.2, 0, len(log_probs) - 1)
    return model.replaced(gmm=gmm, log_probs=log_probs)


@pytest.mark.parametrize("with_gaussians", [True, False])
def test_model_file_round_trip_is_byte_identical(tmp_path, with_gaussians):
    model = toy_model(tmp_path)
    write_model(tmp_path / "a.mdl", model.table, model.gmm if with_gaussians else None)
    table, gmm = read_model(tmp_path / "a.mdl")
    assert (gmm is not None) == with_gaussians
    write_model(tmp_path / "b.mdl", table, gmm)
    assert (tmp_path / "a.mdl").read_bytes() == (tmp_path / "b.mdl").read_bytes()


def test_model_directory_gives_the_library_the_same_numbers(tmp_path):
    model = toy_model(tmp_path)
    model.save(tmp_path / "exp")
    loaded = AcousticModel.load(tmp_path / "exp")
    assert loaded.features == FeatureOptions(norm_vars=True)
    transitions = loaded.transitions
    ids = range(1, transitions.num_transition_ids + 1)
    assert np.allclose(transitions.log_probs, model.table.log_probs)
    assert [transitions.transition_id_to_pdf(i) for i in ids] == loaded.pdf_of[1:].tolist()
    assert [transitions.transition_id_to_phone(i) for i in ids] == loaded.phone_of[1:].tolist()
    assert [transitions.is_self_loop(i) for i in ids] == loaded.is_self_loop[1:].tolist()
    assert [transitions.is_final(i) for i in ids] == loaded.table.tables()["is_final"][1:].tolist()
    loop = np.exp(loaded.table.log_probs[(loaded.table.tables()["state"] == 0) & loaded.is_self_loop][0])
    assert np.isclose(transitions.non_self_loop_log_probs[1], np.log(1 - loop), atol=1e-5)


@pytest.mark.parametrize("keep", [1, 40, -7])
def test_cut_files_are_refused(tmp_path, keep):
    model = toy_model(tmp_path)
    model.save(tmp_path / "exp")
    for name in ("final.mdl", "tree"):
        whole = (tmp_path / "exp" / name).read_bytes()
        (tmp_path / "exp" / name).write_bytes(whole[:keep])
        with pytest.raises(RecipeError, match="not the Kaldi file|empty"):
            AcousticModel.load(tmp_path / "exp")
        (tmp_path / "exp" / name).write_bytes(whole)


def test_model_with_another_tree_is_refused(tmp_path):
    model = toy_model(tmp_path)
    model.save(tmp_path / "exp")
    monophone_tree({1: 5, 2: 3}).write(tmp_path / "exp" / "tree")
    with pytest.raises(RecipeError, match="disagree"):
        AcousticModel.load(tmp_path / "exp")


@pytest.mark.parametrize("old, new, message", [
    ("<Transition> 0 0.75 <Transition> 1 0.25", "<Transition> 0 0.75 <Transition> 1 0.5", "bad state"),
    ("</Topology>", "", "not the Kaldi file"), ("<State> 1", "<State> 7", "not the Kaldi file")])
def test_broken_topology_is_refused(tmp_path, old, new, message):
    path = make_lang(tmp_path) / "topo"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=message):
        read_topology(path)


@pytest.mark.parametrize("order", ["kaldifst, kaldi_hmm_gmm", "kaldi_hmm_gmm, kaldifst"])
def test_both_libraries_share_their_transducers(order):
    """Versions that do not belong together hang on import or refuse each other's types."""
    code = (f"import {order}\nfst = kaldifst.compile('0 1 1 1\\n1\\n', acceptor=False)\n"
            "topo = kaldi_hmm_gmm.HmmTopology()\n"
            "topo.read('<Topology> <TopologyEntry> <ForPhones> 1 </ForPhones> <State> 0 <PdfClass> 0 <Transition> 0 0.5 "
            "<Transition> 1 0.5 </State> <State> 1 </State> </TopologyEntry> </Topology>')\n"
            "tree = kaldi_hmm_gmm.monophone_context_dependency([1], [0, 1])\n"
            "model = kaldi_hmm_gmm.TransitionModel(ctx_dep=tree, hmm_topo=topo)\n"
            "kaldi_hmm_gmm.add_transition_probs(trans_model=model, transition_scale=1.0, self_loop_scale=0.1, fst=fst)\n"
            "print('shared', fst.num_states)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "shared 2", done.stderr


def test_separate_self_loop_pdfs_survive(tmp_path):
    """The form of "chain" models: <Tuples>, and another pdf on the self-loop than on the way out."""
    from pytorch_nnet.io.kaldi_model import Transitions
    from pytorch_nnet.io.kaldi_topology import HmmState, Topology

    topology = Topology(np.array([1], np.int32), np.array([-1, 0], np.int32),
                        [[HmmState(0, [(0, 0.5), (1, 0.5)], 1), HmmState(-1, [], -1)]])
    table = Transitions(topology, np.array([[1, 0, 7, 8]], np.int32), np.log(np.array([1, 0.5, 0.5], np.float32)))
    write_model(tmp_path / "a.mdl", table)
    again, _ = read_model(tmp_path / "a.mdl")
    write_model(tmp_path / "b.mdl", again)
    assert (tmp_path / "a.mdl").read_bytes() == (tmp_path / "b.mdl").read_bytes()
    assert again.tables()["pdf"].tolist() == [-1, 8, 7] and again.topology.entries == topology.entries
    assert "<ForwardPdfClass> 0 <SelfLoopPdfClass> 1" in again.topology.text()

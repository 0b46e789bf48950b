"""Viterbi alignment, conversion between trees, phones and words with times."""

import numpy as np
import pytest

from pytorch_nnet.hmm import gmm
from pytorch_nnet.hmm.align import Aligner, Failures, equal_alignment, localized
from pytorch_nnet.hmm.convert import AlignmentConverter, Segments, phone_segments, word_segments
from pytorch_nnet.hmm.features import FeatureOptions
from pytorch_nnet.hmm.graphs import GraphCompiler, read_graphs, weighted, write_graphs
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.kaldi_tree import PDF_CLASS, Leaf, Split, Table, Tree, monophone_tree
from pytorch_nnet.lang.lang_dir import LangDir
from toy_hmm import make_lang

DIM = 6
PLAIN = FeatureOptions(norm_means=False, deltas=False)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A monophone model with known Gaussians, and its graph compiler."""
    lang = LangDir(make_lang(tmp_path_factory.mktemp("align")))
    topology = read_topology(lang.path("topo"))
    tree = monophone_tree({int(p): topology.num_pdf_classes(p) for p in topology.phones})
    model = AcousticModel.create(topology, tree, PLAIN)
    means = np.random.default_rng(5).normal(0, 4, (tree.num_pdfs, DIM))
    model = model.replaced(gmm=gmm.gaussians_from_moments(np.ones(len(means)), means, np.full(means.shape, 0.25),
                                                          np.arange(len(means) + 1)))
    return lang, model, GraphCompiler(model, lang)


def speak(model, lang, phones, seed=1):
    """Draws frames state by state; returns features, true pdfs by frame, and (phone, start, length)."""
    rng = np.random.default_rng(seed)
    means, _ = gmm.moments(model.gmm)
    pdfs, spans = [], []
    for phone in phones:
        begin, states = len(pdfs), [0, 1, 2, 4] if phone == "SIL" else [0, 1, 2]
        for state in states:
            pdfs += [model.tree_map.pdf((lang.phones[phone],), state)] * int(rng.integers(2, 6))
        spans.append((lang.phones[phone], begin, len(pdfs) - begin))
    return rng.normal(means[pdfs], 0.5).astype(np.float32), np.array(pdfs), spans


def test_alignment_recovers_true_states(system):
    lang, model, compiler = system
    feats, pdfs, spans = speak(model, lang, "SIL a b b c a SIL".split())
    path = Aligner(model).with_gaussians("u", weighted(compiler.compile("u", ["one", "three"]), model), feats)
    assert (model.pdf_of[path] == pdfs).all()
    segments = phone_segments(path, model.table)
    assert list(zip(segments.phones, segments.starts, segments.lengths)) == spans


def test_network_alignment_equals_the_gaussians(system):
    lang, model, compiler = system
    feats, _, _ = speak(model, lang, "SIL c b d d a".split(), seed=2)
    graph = weighted(compiler.compile("u", ["five", "four"]), model)
    aligner = Aligner(model)
    expected = aligner.with_gaussians("u", graph.copy(), feats)
    assert np.array_equal(aligner.with_loglikes("u", graph, model.loglikes(feats)), expected)


def test_local_labels_give_the_same_path_as_all_transition_ids(system):
    import kaldi_hmm_gmm as khg

    lang, model, compiler = system
    rng = np.random.default_rng(0)
    aligner = Aligner(model, beam=200.0, retry_beam=400.0, acoustic_scale=1.0)
    for text in (["one"], ["two", "five"], ["three", "one", "four", "two"]):
        graph = weighted(compiler.compile("u", text), model)
        scores = rng.normal(0, 2, (60, model.num_pdfs)).astype(np.float32)
        whole = khg.DecodableCtc(np.ascontiguousarray(scores[:, model.pdf_of[1:]]))
        assert np.array_equal(aligner._search("u", graph.copy(), whole, 60), aligner.with_loglikes("u", graph, scores))
        local, ids = localized(graph)
        assert local.num_states == graph.num_states and len(set(ids.tolist())) == len(ids)


def test_bad_likelihoods_are_refused(system):
    _, model, compiler = system
    graph = compiler.compile("u", ["one"])
    with pytest.raises(RecipeError, match="disagree"):
        Aligner(model).with_loglikes("u", graph, np.zeros((30, model.num_pdfs + 1), np.float32))
    scores = np.zeros((30, model.num_pdfs), np.float32)
    scores[3, 2] = -np.inf
    with pytest.raises(RecipeError, match="not finite"):
        Aligner(model).with_loglikes("u", graph, scores)


def test_too_short_is_no_alignment(system):
    lang, model, compiler = system
    graph = compiler.compile("u", ["one", "two"])  # 12 states
    aligner = Aligner(model, beam=1e3, retry_beam=1e4)
    for frames, possible in ((0, False), (11, False), (12, True)):
        feats = np.zeros((frames, DIM), np.float32)
        assert (aligner.with_gaussians("u", weighted(graph.copy(), model), feats) is not None) == possible
        assert (equal_alignment("u", graph, frames) is not None) == possible
    assert len(equal_alignment("u", graph, 57)) == 57
    silent = [lang.id2phone[model.phone_of[equal_alignment(f"u{i}", graph, 57)[0]]] == "SIL" for i in range(40)]
    assert 5 < sum(silent) < 35  # drawn anew for every utterance
    chosen = equal_alignment("u", graph, 57, lambda path: lang.id2phone[model.phone_of[path[-1]]] == "SIL")
    assert lang.id2phone[model.phone_of[chosen[-1]]] == "SIL" and len(chosen) == 57
    assert len(equal_alignment("u", graph, 57, lambda path: False)) == 57


def test_beams_that_make_no_sense_are_refused(system):
    for beam, retry_beam in ((10.0, 5.0), (0.0, 40.0)):
        with pytest.raises(RecipeError, match="beam"):
            Aligner(system[1], beam, retry_beam)


def test_graphs_survive_their_archive(system, tmp_path):
    _, model, compiler = system
    graphs = {utt: compiler.compile(utt, text) for utt, text in (("a", ["one"]), ("b", ["two", "three"]), ("c", ["nonsense"]))}
    write_graphs(tmp_path / "fsts.ark", graphs.items())
    found = list(read_graphs(tmp_path / "fsts.ark"))
    assert [utt for utt, _ in found] == list(graphs)
    assert all(graph.to_str() == graphs[utt].to_str() for utt, graph in found)


def test_failures_have_a_limit():
    few, many = Failures(tried=100), Failures(tried=100)
    for i in range(6):
        many.add(f"u{i}", "no path")
    few.add("u0", "no path")
    few.check("log")
    with pytest.raises(RecipeError, match=r"u0 \(no path\)"):
        many.check("log")


def test_conversion_follows_the_new_tree(system):
    lang, model, compiler = system
    a, b, c = (lang.phones[p] for p in "abc")
    branches = [None]
    for phone in range(1, 7):
        count = 5 if phone <= 2 else 3
        branches.append(Table(PDF_CLASS, [Leaf(phone * 5 + i) for i in range(count)]))
    branches[b] = Split(0, (a,), Table(PDF_CLASS, [Leaf(40), Leaf(41), Leaf(42)]), branches[b])
    tree = Tree(3, 1, Table(1, branches))
    new = AcousticModel.create(model.table.topology, tree, PLAIN)
    feats, _, spans = speak(model, lang, "SIL a b c b d SIL".split(), seed=3)
    path = Aligner(model).with_gaussians("u", weighted(compiler.compile("u", ["one", "five"]), model), feats)
    converted = AlignmentConverter(model.table, new.table, tree)(path)
    assert np.array_equal(new.phone_of[converted], model.phone_of[path])
    assert np.array_equal(new.hmm_state[converted], model.hmm_state[path])
    assert np.array_equal(new.is_self_loop[converted], model.is_self_loop[path])
    for index, (phone, start, _) in enumerate(spans):
        expected = 40 if phone == b and spans[index - 1][0] == a else phone * 5
        assert new.pdf_of[converted[start]] == expected
    same = AlignmentConverter(model.table, model.table, model.tree_map)(path)
    assert np.array_equal(same, path)


def test_broken_alignments_are_refused(system):
    lang, model, compiler = system
    path = equal_alignment("u", compiler.compile("u", ["one"]), 40)
    middle = phone_segments(path, model.table).starts[1]
    with pytest.raises(RecipeError, match="whole phones"):
        phone_segments(path[:middle + 1], model.table, "u")
    with pytest.raises(RecipeError, match="disagree"):
        phone_segments(path + model.table.num_ids, model.table, "u")


def test_words_are_found_among_pronunciations_that_begin_alike():
    phones = np.array([9, 1, 2, 9, 1, 2, 1, 9], np.int32)
    segments = Segments(phones, np.arange(8, dtype=np.int32) * 10, np.full(8, 10, np.int32))
    pronunciations = {"x": [(1,), (1, 2)], "y": [(1, 2, 1)], "z": [(2, 1)]}
    assert word_segments(segments, ["x", "y"], pronunciations, 9) == [("x", 10, 20), ("y", 40, 30)]
    assert word_segments(segments, ["x", "x", "z"], pronunciations, 9) == [("x", 10, 20), ("x", 40, 10), ("z", 50, 20)]
    with pytest.raises(RecipeError, match="do not match"):
        word_segments(segments, ["y", "x"], pronunciations, 9)

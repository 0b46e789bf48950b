"""Decoding after CTC: the graph with blanks, prefix search, and the steps, against enumeration of everything that can be said."""

import itertools
import json
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_hmm
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.decoding.ctc_graph import with_blanks
from pytorch_nnet.decoding.forward import CTC_PRIOR_SCALE, CTC_SCALE, loglikes_of
from pytorch_nnet.decoding.graph import GraphOptions, make_graph
from pytorch_nnet.decoding.k2_graph import K2Graph
from pytorch_nnet.decoding.lattice import LatticeReader, timed_paths
from pytorch_nnet.decoding.openfst import ARC, FstArrays, read_fst
from pytorch_nnet.decoding.prefix_decode import PrefixDecoder, PrefixOptions, side_by_side
from pytorch_nnet.decoding.prefix_search import AnyUnits, GraphLanguage, PrefixSearch, unit_outputs
from pytorch_nnet.decoding.search import check_loglikes
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.frames.store import DIM
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.lang_dir import LangDir
from pytorch_nnet.lang.units import Units
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.model_dir import save_model
from pytorch_nnet.models.registry import build_network
from reference_search import graph_rows, k2_graph_rows, viterbi

CLASSES = 4  # the blank and three units
# Words 7 (1 2), 8 (1), 9 (2 2 3): (state, unit, word, cost, next), epsilons for backing off and between words; state 0 begins and ends.
LG = [(0, 1, 7, 0.5, 1), (1, 2, 0, 0.2, 0), (0, 1, 8, 0.9, 3), (0, 2, 9, 1.1, 4), (4, 2, 0, 0.0, 5), (5, 3, 0, 0.3, 3), (3, 0, 0, 0.4, 0)]


def language():
    rows = sorted(LG)
    final = np.full(6, np.inf, np.float32)
    final[[0, 3]] = 0.1, 0.7
    return FstArrays(0, np.array([row[0] for row in rows], np.int32), np.array([row[1:] for row in rows], ARC), final)


def sentences(most):
    """{(units, words): least cost} of every way through LG with at most so many units."""
    found = {}
    queue = [(0, (), (), 0.0)]
    while queue:
        state, units, words, cost = queue.pop()
        last = {0: 0.1, 3: 0.7}.get(state)
        if last is not None and cost + last < found.get((units, words), math.inf):
            found[units, words] = cost + last
        for src, unit, word, extra, dst in LG:
            if src == state and len(units) + (unit > 0) <= most:
                queue.append((dst, units + (unit,) * (unit > 0), words + (word,) * (word > 0), cost + extra))
    return found


def path_scores(log_probs):
    """{units: [log-probability of each path that spells them]}"""
    found = defaultdict(list)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        units = tuple(label for label, _ in itertools.groupby(path) if label)
        found[units].append(float(sum(log_probs[t, label] for t, label in enumerate(path))))
    return found


def random_log_probs(frames, seed, classes=CLASSES):
    logits = np.random.default_rng(seed).normal(0, 2, (frames, classes))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def total(scores):
    return float(np.logaddexp.reduce(scores))


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 6), seed=st.integers(0, 1000))
def test_graph_has_the_best_path_of_every_sentence(frames, seed):
    log_probs = random_log_probs(frames, seed)
    paths = path_scores(log_probs)
    best = min(((cost - max(paths[units]), words) for (units, words), cost in sentences(frames).items() if units in paths), default=(math.inf, ()))
    graph = with_blanks(language(), CLASSES)
    pdf_of = np.arange(-1, CLASSES)
    for rows in (graph_rows(graph, pdf_of), k2_graph_rows(K2Graph.from_hclg(graph, pdf_of, CLASSES))):
        cost, words = viterbi(*rows, log_probs)
        assert cost == pytest.approx(best[0], abs=1e-4) and (words == best[1] or cost == math.inf)


def test_graph_is_no_larger_than_it_must_be():
    """A state for each unit that leads to a state of LG, one for the blank after it, one for the beginning; no ambiguous epsilons."""
    graph = with_blanks(language(), CLASSES)
    ways_in = {(0, 2), (1, 1), (3, 1), (3, 3), (4, 2), (5, 2), (0, 1), (0, 3)}  # the last two through the epsilon
    assert graph.num_states == len(ways_in) + len({state for state, _ in ways_in}) + 1
    assert (graph.arcs["ilabel"] == 0).sum() == 2, "one for each unit that leads to state 3"
    assert not np.isfinite(graph.final[graph.start])


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 5), seed=st.integers(0, 1000))
def test_prefix_search_sums_all_paths_of_every_unit_sequence(frames, seed):
    log_probs = random_log_probs(frames, seed)
    wide = PrefixSearch(AnyUnits(), prefixes=10**6, least=0.0)
    found = {one.units: one.log_prob for one in wide(log_probs)}
    expected = {units: total(scores) for units, scores in path_scores(log_probs).items()}
    assert found.keys() == expected.keys() and all(found[units] == pytest.approx(expected[units], abs=1e-9) for units in found)
    assert list(found.values()) == sorted(found.values(), reverse=True) and total(list(found.values())) == pytest.approx(0, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 5), seed=st.integers(0, 1000), weight=st.sampled_from([0.0, 0.5, 2.0]), bonus=st.sampled_from([-1.0, 0.0, 1.5]))
def test_prefix_search_with_a_language_is_enumeration(frames, seed, weight, bonus):
    log_probs = random_log_probs(frames, seed)
    expected, paths = {}, path_scores(log_probs)
    for (units, words), cost in sentences(frames).items():
        scores = paths.get(units)
        if scores:
            value = total(scores) - weight * cost + bonus * len(words)
            expected[units] = max(expected.get(units, -math.inf), value)
    found = PrefixSearch(GraphLanguage(language(), CLASSES), weight, bonus, prefixes=10**6, least=0.0)(log_probs)
    values = {one.units: one.log_prob + weight * one.way.score + bonus * len(one.way.words) for one in found}
    assert values == pytest.approx(expected, abs=1e-4)
    narrow = PrefixSearch(GraphLanguage(language(), CLASSES), weight, bonus, prefixes=3, least=0.0)(log_probs)
    assert len(narrow) <= 3 and all(one.log_prob <= total(paths[one.units]) + 1e-9 for one in narrow)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 6), seed=st.integers(0, 1000), units=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_units_stand_where_the_best_path_has_them(frames, seed, units):
    log_probs = random_log_probs(frames, seed)
    paths = [path for path in itertools.product(range(CLASSES), repeat=frames) if [label for label, _ in itertools.groupby(path) if label] == units]
    if not paths:
        with pytest.raises(ValueError, match="no path"):
            unit_outputs(log_probs, units)
        return
    best = max(paths, key=lambda path: sum(log_probs[t, label] for t, label in enumerate(path)))
    starts = [t for t in range(frames) if best[t] and (t == 0 or best[t] != best[t - 1])]
    assert unit_outputs(log_probs, units) == starts


def test_hypotheses_side_by_side_are_chosen_by_weight_and_penalty():
    lattice = side_by_side([(-1.0, -9.0, [(3, 2), (4, 5)]), (-2.0, -3.0, [(3, 0)]), (-9.0, 0.0, [])], 8)
    paths = timed_paths(lattice, [0.1, 10.0], [0.0, 100.0])
    assert paths[0.1, 0.0] == [(3, 2), (4, 5)] and paths[10.0, 0.0] == [(3, 0)] and paths[10.0, 100.0] == []
    assert lattice.num_frames == 8


ARPA = "\\data\\\nngram 1=12\n\n\\1-grams:\n-99 <s>\n" + "".join(f"-1 {word}\n" for word in [*toy_hmm.WORDS, "</s>"]) + "\n\\end\\\n"
SAID = {"s0-a": ["one", "eight", "seven"], "s1-b": ["nine", "two"]}
STEP = 3


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """lang with G; a Conv-BiGRU of three frames to an output; features whose first channels are the classes that it shall give."""
    from pytorch_nnet.lang.grammar import write_grammar

    root = tmp_path_factory.mktemp("recipe")
    lang = LangDir(toy_hmm.make_lang(root))
    (root / "lm.arpa").write_text(ARPA)
    write_grammar(root / "lm.arpa", lang)
    units = Units.of_lang(lang, "phones")
    features = {}
    for number, (utt, words) in enumerate(SAID.items()):
        rows = []
        for word in words:  # four outputs of pause before each word, then two of each phone and one blank
            track = [0] * 4 + [label for phone in toy_hmm.WORDS[word].split() for label in [units.number[phone]] * 2 + [0]]
            rows += [label for label in track for _ in range(STEP)]
        features[utt] = np.zeros((len(rows) + number, DIM), np.float32)  # the second one ends within an output
        features[utt][np.arange(len(rows)), rows] = 1
    (root / "data").mkdir()
    write_ark_scp(root / "data/feats.ark", root / "data/feats.scp", sorted(features.items()))
    data = DataDir(root / "data", {utt: utt[:2] for utt in SAID}, SAID)
    data.feats = dict(line.split() for line in (root / "data/feats.scp").read_text().splitlines())
    data.num_frames = {utt: len(rows) for utt, rows in features.items()}
    data.write()
    compute_cmvn_stats(FeatureReader(root / "data", None))
    shape = Architecture("conv_bigru", channels=[2], hidden=[3], subsampling=STEP).resolved()
    network = build_network(shape, len(units.symbols))
    save_model(root / "exp/ctc", network, options=vars(shape), counts=np.ones(len(units.symbols)), info={
        "num_classes": len(units.symbols), "dim": DIM, "cmvn": {"norm_means": False, "norm_vars": False}, "label_map": units.label_map,
        "subsampling": STEP, "units": units.facts()})
    make_graph(lang.folder, root / "exp/ctc", root / "exp/ctc/graph", GraphOptions())
    return root


def matrix_of(root, utt, classes):
    """Log-likelihoods as a network gives them that is sure of the features' classes."""
    rows = dict(FeatureReader(root / "data", None))[utt][::STEP, :classes]
    return CTC_SCALE * np.log(np.where(rows > 0, 0.95, 0.01)).astype(np.float32)


def test_graph_directory(recipe):
    folder = recipe / "exp/ctc/graph"
    assert (folder / "num_pdfs").read_text() == "6\n" and (folder / "units.txt").read_text().startswith("<blk> 0\nSPN 1\na 2\n")
    lg = read_fst(folder / "LG.fst")
    assert lg.arcs["ilabel"].max() == 5 and {"HCLG", "k2 form"} <= {line.split("\t")[0] for line in (folder / "sizes.tsv").read_text().splitlines()}
    graph = K2Graph.load(folder / "graph.npz")
    words = {number: word for word, number in LangDir(recipe / "lang").words.items()}
    for utt, said in SAID.items():
        _, found = viterbi(*k2_graph_rows(graph), matrix_of(recipe, utt, 6))
        assert [words[word] for word in found] == said


def test_words_of_the_prefix_search_stand_at_their_phones(recipe):
    decoder = PrefixDecoder(recipe / "exp/ctc/graph", PrefixOptions())
    lang = LangDir(recipe / "lang")
    for utt, said in SAID.items():
        lattice = decoder(check_loglikes(utt, matrix_of(recipe, utt, 6), decoder.num_pdfs), 1)
        path = timed_paths(lattice, [10.0], [0.0])[10.0, 0.0]
        assert [lang.id2word[word] for word, _ in path] == said
        begin, at = [], 0
        for word in said:
            begin.append(at + 4)
            at += 4 + 3 * len(toy_hmm.WORDS[word].split())
        for (_, output), first, word in zip(path, begin, said):  # determinization may move a word to a later phone of its own
            assert first <= output < first + 3 * len(toy_hmm.WORDS[word].split())


@pytest.mark.slow
@pytest.mark.parametrize("step, options", [("decode_prefix", []), pytest.param("decode", ["--decoder", "kaldi"], marks=pytest.mark.slow)])
def test_steps_decode_in_frames_of_the_features(recipe, run, step, options):
    """Of an untrained network: what counts is that every utterance has a lattice that is as long as its features, to the last output."""
    out = recipe / f"exp/ctc/{step}"
    done = run(f"steps/{step}", "--nj", "1", *options, recipe / "exp/ctc/graph", recipe / "data", out)
    assert done.returncode == 0, done.stderr
    frames = {utt: len(rows) for utt, rows in FeatureReader(recipe / "data", None)}
    assert {frames[utt] % STEP for utt in frames} == {0, 1}
    for utt, lattice in LatticeReader(out / "lat.1.npz"):
        assert lattice.num_frames == -(-frames[utt] // STEP) * STEP
        assert (lattice.states["frame"] % STEP == 0).all() and lattice.states["frame"].max() == lattice.num_frames
    assert len(list(out.glob("wer_*"))) > 10 and (out / "failed.txt").read_text() == ""


def test_graphs_and_networks_of_other_classes_are_refused(recipe, run, tmp_path):
    info = json.loads((recipe / "exp/ctc/info.json").read_text())
    for name, change in (("other", {"units": {"kind": "phones", "symbols": ["<blk>", *"vwxyz"]}}), ("pdfs", {"units": None, "subsampling": 1})):
        (tmp_path / name).mkdir()
        facts = {key: value for key, value in {**info, **change}.items() if value is not None}
        (tmp_path / name / "info.json").write_text(json.dumps(facts))
        done = run("steps/decode", "--decoder", "kaldi", recipe / "exp/ctc/graph", recipe / "data", tmp_path / name / "decode")
        assert done.returncode == 1 and "graph and model have different classes" in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(RecipeError, match="not one of the units"):
        make_graph(recipe / "lang", tmp_path / "other", tmp_path / "graph", GraphOptions())
    done = run("steps/decode", recipe / "exp/ctc/graph", recipe / "data", recipe / "exp/ctc/x", tmp_path / "other" / "decode")
    assert done.returncode == 1 and ("different numbers of outputs" in done.stderr or "different classes" in done.stderr)


def test_posteriors_are_divided_by_mean_posteriors_in_part():
    priors = np.array([0.7, 0.2, 0.1])
    model = type("Model", (), {"units": Units("phones", ("<blk>", "a", "b")), "priors": priors})
    posteriors = np.array([[0.5, 0.3, 0.2]], np.float32)
    expected = CTC_SCALE * (np.log(posteriors) - CTC_PRIOR_SCALE * np.log(priors))
    np.testing.assert_allclose(loglikes_of(model)(posteriors), expected, rtol=1e-5)
    np.testing.assert_allclose(loglikes_of(model, 0.0)(posteriors), CTC_SCALE * np.log(posteriors), rtol=1e-5)
    model.units = None
    np.testing.assert_allclose(loglikes_of(model)(posteriors), np.log(posteriors) - np.log(priors), rtol=1e-5)

"""The graph's numpy operations against the library's, and intermediate results that are kept."""

import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_language as toy
from pytorch_nnet.decoding.fst_operations import DELTA, compose_hmms, from_library, merge_equal_states, to_library
from pytorch_nnet.decoding.graph_builder import GraphBuilder
from pytorch_nnet.decoding.openfst import ARC, FstArrays, read_fst, write_fst
from pytorch_nnet.io.errors import RecipeError
from reference_search import graph_rows, viterbi

kaldifst = pytest.importorskip("kaldifst")
khg = pytest.importorskip("kaldi_hmm_gmm")
VOCABULARY = [word for word, _ in toy.LEXICON]


def by_the_library(lang, transitions, tree, disambig):
    """HCLG by the operations of kaldifst and kaldi_hmm_gmm alone, one after another as in Kaldi's mkgraph.sh."""
    lexicon, grammar = (kaldifst.StdVectorFst.read(str(lang / name)) for name in ("L_disambig.fst", "G.fst"))
    kaldifst.arcsort(lexicon, "olabel")
    lg = kaldifst.StdVectorFst(kaldifst.compose(lexicon, grammar))
    kaldifst.determinize_star(lg, use_log=True)
    kaldifst.minimize_encoded(lg)
    clg, contexts = kaldifst.compose_context(disambig, tree.context_width, tree.central_position, lg)
    kaldifst.arcsort(clg, "ilabel")
    h, erased = khg.get_h_transducer(contexts, tree, transitions, khg.HTransducerConfig(transition_scale=1.0))
    hclg = kaldifst.StdVectorFst(kaldifst.compose(h, clg))
    kaldifst.determinize_star(hclg, use_log=True)
    arrays = from_library(hclg)
    arrays.arcs["ilabel"][np.isin(arrays.arcs["ilabel"], erased)] = 0
    hclg = to_library(arrays)
    kaldifst.minimize_encoded(hclg)
    return from_library(khg.add_self_loops(self_loop_scale=0.1, disambig_syms=[], reorder=True, trans_model=transitions, ifst=hclg))


def pdfs(transitions):
    return np.array([-1] + [transitions.transition_id_to_pdf(i) for i in range(1, transitions.num_transition_ids + 1)])


def build(lang, **options):
    transitions, tree = toy.toy_model()
    disambig = sorted(int(line) for line in (lang / "phones/disambig.int").read_text().split())
    builder = GraphBuilder(transitions, tree, disambig, **options)
    return builder.build(lang / "L_disambig.fst", lang / "G.fst"), builder, (transitions, tree, disambig)


@st.composite
def grammars(draw):
    """Random back-off 2-grams over the toy words."""
    costs = st.integers(1, 60).map(lambda number: number / 20)
    rows = [("", word, draw(costs), word) for word in VOCABULARY] + [(word, "#0", draw(costs), "") for word in VOCABULARY]
    pairs = draw(st.sets(st.tuples(st.sampled_from(VOCABULARY), st.sampled_from(VOCABULARY)), max_size=12))
    return rows + [(left, right, draw(costs), right) for left, right in sorted(pairs)]


@settings(max_examples=12, deadline=None)
@given(grammars(), st.integers(0, 1000))
def test_best_paths_cost_what_they_cost_in_the_librarys_graph(tmp_path_factory, grammar, seed):
    lang = toy.write_lang(tmp_path_factory.mktemp("x") / "lang", grammar=grammar)
    ours, _, parts = build(lang)
    theirs, pdf_of = by_the_library(lang, *parts), pdfs(parts[0])
    rng = np.random.default_rng(seed)
    for frames in (3, 17):
        loglikes = rng.normal(size=(frames, parts[0].num_pdfs)) * 3
        found, expected = (viterbi(*graph_rows(fst, pdf_of), loglikes) for fst in (ours, theirs))
        assert found[0] == pytest.approx(expected[0], abs=5e-3)  # both round every arc to 1/1024
        assert found[1] == expected[1] or abs(found[0] - expected[0]) > 1e-6


def paths(fst, length):
    """{(ilabels, olabels): cost of the best path} with at most `length` arcs."""
    found, layer = {}, [(fst.start, (), (), 0.0)]
    rows = [[] for _ in range(fst.num_states)]
    for src, arc in zip(fst.src.tolist(), fst.arcs.tolist()):
        rows[src].append(arc)
    for _ in range(length + 1):
        following = []
        for state, ilabels, olabels, cost in layer:
            if math.isfinite(fst.final[state]):
                key = ilabels, olabels
                found[key] = min(found.get(key, math.inf), cost + float(fst.final[state]))
            for ilabel, olabel, more, dst in rows[state]:
                following.append((dst, ilabels + (ilabel,) * (ilabel > 0), olabels + (olabel,) * (olabel > 0), cost + more))
        layer = following
    return found


def fst_of(rows, finals, states):
    rows = sorted(rows)
    final = np.full(states, np.inf, np.float32)
    for state, cost in finals.items():
        final[state] = cost
    return FstArrays(0, np.array([row[0] for row in rows], np.int32), np.array([row[1:] for row in rows], ARC), final)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 1), st.integers(0, 2), st.integers(0, 6)), max_size=14, unique=True),
       st.dictionaries(st.integers(0, 6), st.integers(0, 1), min_size=1))
def test_merging_keeps_paths_and_leaves_no_two_equal_states(rows, finals):
    fst = fst_of([(src, i, o, cost * float(DELTA) + 1e-5, dst) for src, i, o, cost, dst in rows], finals, 7)
    merged = merge_equal_states(fst)
    assert merged.num_states <= fst.num_states
    expected, found = paths(fst, 4), paths(merged, 4)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in found)
    assert all(cost / DELTA == round(cost / DELTA) for cost in found.values())
    states = [(merged.final[state], tuple(sorted(merged.arcs[merged.src == state].tolist()))) for state in range(merged.num_states)]
    assert len(set(states)) == merged.num_states
    assert (np.diff(merged.src) >= 0).all()


def test_merging_finds_what_minimization_finds_where_there_is_no_cycle():
    rng = np.random.default_rng(0)
    words = {tuple(rng.integers(1, 4, rng.integers(2, 7)).tolist()) for _ in range(300)}
    rows, numbers, finals = [], {(): 0}, {}
    for word in sorted(words):
        for length in range(1, len(word) + 1):
            if word[:length] not in numbers:
                numbers[word[:length]] = len(numbers)
                rows.append((numbers[word[: length - 1]], word[length - 1], 0, 0.25, numbers[word[:length]]))
        finals[numbers[word]] = 0.5
    fst = fst_of(rows, finals, len(numbers))
    library = to_library(fst)
    kaldifst.minimize_encoded(library)
    merged = merge_equal_states(fst)
    assert (merged.num_states, len(merged.arcs)) == (library.num_states, from_library(library).arcs.size)
    assert merged.num_states < fst.num_states / 2


@st.composite
def loops_of_hmms(draw):
    """(H, CLG) with HMMs of up to three inner states, loops and jumps within them, and a disambiguation symbol."""
    rows, state, label = [(0, 90, 9, 0.0, 0)], 1, 1
    for context in (1, 2, 3):
        size = draw(st.integers(1, 3))
        rows.append((0, draw(st.sampled_from([0, label])), context, 0.5, state))
        for inner in range(size):
            for target in draw(st.sets(st.integers(0, size - 1), max_size=2)) | {inner + 1}:
                rows.append((state + inner, label + inner, 0, draw(st.integers(0, 3)) / 4, state + target if target < size else state + size))
        rows.append((state + size, 0, 0, 0.25, 0))
        if draw(st.booleans()):
            rows.append((0, 50 + context, context + 3, 1.0, state))  # a second context of the same HMM
        else:
            rows.append((0, 50 + context, context + 3, 1.0, 0))
        state, label = state + size + 1, label + size
    h = fst_of(rows, {0: 0.0}, state)
    arcs = draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9]), st.integers(0, 2), st.integers(0, 3),
                                   st.integers(0, 3)), min_size=1, max_size=8, unique=True))
    arcs = [arc for arc in arcs if arc[1] or arc[0] < arc[4]]  # epsilons make no loops
    return h, fst_of([*arcs, (0, 1, 1, 0, 1)], draw(st.dictionaries(st.integers(0, 3), st.just(0.0), min_size=1)), 4)


def cheapest(fst, length):
    """{(ilabels, olabels): cost} of all label sequences with at most `length` input labels, epsilons not counted."""
    best, queue, found = {}, [(fst.start, (), (), 0.0)], {}
    rows = [[] for _ in range(fst.num_states)]
    for src, arc in zip(fst.src.tolist(), fst.arcs.tolist()):
        rows[src].append(arc)
    while queue:
        state, ilabels, olabels, cost = queue.pop()
        key = state, ilabels, olabels
        if best.get(key, math.inf) <= cost + 1e-9:
            continue
        best[key] = cost
        if math.isfinite(fst.final[state]):
            found[key[1:]] = min(found.get(key[1:], math.inf), cost + float(fst.final[state]))
        for ilabel, olabel, more, dst in rows[state]:
            if len(ilabels) + (ilabel > 0) <= length:
                queue.append((dst, ilabels + (ilabel,) * (ilabel > 0), olabels + (olabel,) * (olabel > 0), cost + more))
    return found


@settings(max_examples=60, deadline=None)
@given(loops_of_hmms())
def test_composition_with_hmms_is_that_of_the_library(pair):
    h, clg = pair
    left, right = to_library(h), to_library(clg)
    kaldifst.arcsort(left, "olabel")
    expected = from_library(kaldifst.StdVectorFst(kaldifst.compose(left, right, connect=False)))
    found = compose_hmms(h, clg)
    expected, found = cheapest(expected, 4), cheapest(found, 4)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in found)


def test_a_context_without_an_hmm_is_refused():
    h = fst_of([(0, 1, 1, 0.0, 0)], {0: 0.0}, 1)
    with pytest.raises(RecipeError, match="without an HMM") as error:
        compose_hmms(h, fst_of([(0, 2, 0, 0.0, 0)], {0: 0.0}, 1))
    assert error.value.id == 2


def test_what_is_kept_gives_the_same_graph_and_nothing_stale(tmp_path, capsys):
    lang, keep = toy.write_lang(tmp_path / "lang"), tmp_path / "keep"
    plain, _, _ = build(lang)
    first, made, _ = build(lang, keep=keep)
    capsys.readouterr()
    second, kept, _ = build(lang, keep=keep)
    assert "CLG_1_0: " in (said := capsys.readouterr().err) and f"from {keep}" in said and "det LG" not in said
    for fst in (first, second):
        assert fst.start == plain.start and (fst.arcs == plain.arcs).all() and (fst.final == plain.final).all()
    assert kept.sizes == made.sizes and {"L_disambig", "G", "det LG", "min LG", "CLG"} < {name for name, _, _ in kept.sizes}

    # Another grammar: made anew, and in place of the old one.
    other = toy.write_lang(tmp_path / "other", grammar=toy.BIGRAM[:-1])
    shutil.copy(other / "G.fst", lang / "G.fst")
    changed, _, _ = build(lang, keep=keep)
    assert len(changed.arcs) < len(plain.arcs)
    assert sorted(path.name.split(".")[0] for path in keep.iterdir()) == ["CLG_1_0", "LG"]

    # A damaged file: made anew.
    (file,) = keep.glob("CLG_1_0.*/fst")
    file.write_bytes(file.read_bytes()[:-20])
    again, _, _ = build(lang, keep=keep)
    assert (again.arcs == changed.arcs).all() and "made anew" in capsys.readouterr().err


def test_vector_files_are_written_in_pieces_as_in_one(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    src = np.sort(rng.integers(0, 50, 120)).astype(np.int32)
    arcs = np.array([tuple(row) for row in rng.integers(0, 50, (120, 4)).tolist()], ARC)
    final = np.where(rng.random(50) < 0.5, rng.random(50), np.inf).astype(np.float32)
    fst = FstArrays(3, src, arcs, final)
    write_fst(tmp_path / "one", fst)
    monkeypatch.setattr("pytorch_nnet.decoding.openfst.STATES_AT_ONCE", 7)
    write_fst(tmp_path / "pieces", fst)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "pieces").read_bytes()
    again = read_fst(tmp_path / "one")
    assert again.start == 3 and (again.src == src).all() and (again.arcs == arcs).all() and (again.final == final).all()

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_language as toy
from pytorch_nnet.decoding.fst_operations import to_library
from pytorch_nnet.decoding.graph import check_phones
from pytorch_nnet.decoding.graph_builder import GraphBuilder
from pytorch_nnet.decoding.k2_graph import Arcs, K2Graph
from pytorch_nnet.decoding.openfst import ARC, FstArrays, read_fst, write_fst
from pytorch_nnet.io.errors import RecipeError
from reference_search import graph_rows, k2_graph_rows, viterbi

kaldifst = pytest.importorskip("kaldifst")


def build(folder, **lang_options):
    """(HCLG, TransitionModel, lang folder) of the toy language."""
    lang = toy.write_lang(folder / "lang", **lang_options)
    transitions, tree = toy.toy_model()
    disambig = [int(i) for i in (lang / "phones/disambig.int").read_text().split()]
    builder = GraphBuilder(transitions, tree, disambig)
    return builder.build(lang / "L_disambig.fst", lang / "G.fst"), transitions, lang


def symbols(path):
    return {k: int(v) for k, v in (line.split() for line in path.read_text().splitlines())}


def pdfs(transitions):
    return np.array([-1] + [transitions.transition_id_to_pdf(i) for i in range(1, transitions.num_transition_ids + 1)])


def as_arrays(fst, folder):
    fst.write(str(folder / "x.fst"))
    return read_fst(folder / "x.fst")


def accepts(fst, labels, side):
    """The composition of `fst` with the acceptor of `labels` on its input or output side."""
    line = kaldifst.make_linear_acceptor(labels)
    fst = kaldifst.StdVectorFst(fst)
    kaldifst.arcsort(fst, "ilabel" if side == "input" else "olabel")
    return kaldifst.StdVectorFst(kaldifst.compose(line, fst) if side == "input" else kaldifst.compose(fst, line))


SENTENCES = [("a", "cat"), ("bat",), ("ab", "bad", "zoo"), ("ba",)]


def test_hclg_accepts_exactly_the_lexicons_words_in_the_grammars_order(tmp_path):
    lang = toy.write_lang(tmp_path / "lang")
    words, phones = symbols(lang / "words.txt"), symbols(lang / "phones.txt")
    lines, ends, state = [], [], 1
    for sentence in SENTENCES:
        at = 0
        for word in sentence:
            lines.append(f"{at} {state} {words[word]} {words[word]} 0.5")
            at, state = state, state + 1
        ends.append(str(at))
    kaldifst.compile("\n".join(lines + ends) + "\n").write(str(tmp_path / "G.fst"))
    transitions, tree = toy.toy_model()
    disambig = [int(i) for i in (lang / "phones/disambig.int").read_text().split()]
    arrays = GraphBuilder(transitions, tree, disambig).build(lang / "L_disambig.fst", tmp_path / "G.fst")
    hclg = to_library(arrays)

    allowed = {tuple(s) for s in SENTENCES}
    for length in range(4):
        for sequence in itertools.product([w for w, _ in toy.LEXICON], repeat=length):
            found = accepts(hclg, [words[w] for w in sequence], "output").num_states > 0
            assert found == (sequence in allowed), sequence

    # Input side: phones at the first transition of every phone, all other transitions silent.
    first = np.zeros(transitions.num_transition_ids + 1, np.int32)
    for tid in range(1, len(first)):
        if transitions.transition_ids_is_start_of_phone(tid) and not transitions.is_self_loop(tid):
            first[tid] = transitions.transition_id_to_phone(tid)
    arrays.arcs["ilabel"] = first[arrays.arcs["ilabel"]]
    keep = arrays.src != arrays.arcs["dst"]
    arrays = FstArrays(arrays.start, arrays.src[keep], arrays.arcs[keep], arrays.final)
    write_fst(tmp_path / "phones.fst", arrays)
    by_phone = kaldifst.StdVectorFst.read(str(tmp_path / "phones.fst"))
    lexicon = dict(toy.LEXICON)
    spoken = {}
    for sentence in SENTENCES:
        for silences in itertools.product([False, True], repeat=len(sentence) + 1):
            sequence = ["SIL"] * silences[0]
            for word, silence in zip(sentence, silences[1:]):
                sequence += lexicon[word].split() + ["SIL"] * silence
            spoken.setdefault(tuple(sequence), set()).add(sentence)
    for sequence, sentences in spoken.items():
        for changed in (
            [sequence]
            + [sequence[:i] + sequence[i + 1 :] for i in range(len(sequence))]
            + [sequence[:i] + ("W",) + sequence[i + 1 :] for i in range(len(sequence))]
        ):
            found = accepts(by_phone, [phones[p] for p in changed], "input")
            assert (found.num_states > 0) == (changed in spoken), changed
        for sentence in sentences:
            ids = [phones[p] for p in sequence]
            assert accepts(accepts(by_phone, ids, "input"), [words[w] for w in sentence], "output").num_states > 0


def test_cost_of_a_path_is_the_sum_of_its_models_in_kaldis_scales(tmp_path):
    hclg, transitions, lang = build(tmp_path)
    words, phones = symbols(lang / "words.txt"), symbols(lang / "phones.txt")
    # SIL(4) "cat"(W X Z) "a"(X), no silence between or after; durations of the states in frames.
    durations = [(2, 1, 1), (1, 1, 3), (1, 2, 1), (1, 1, 1), (4, 1, 1)]
    labels, cost = [], 0.0
    for phone, frames in zip(["SIL", "W", "X", "Z", "X"], durations):
        for state, (count, stay) in enumerate(zip(frames, (0.75, 0.6, 0.3))):
            labels += [(phones[phone] - 1) * 3 + state + 1] * count
            cost -= 0.1 * ((count - 1) * math.log(stay) + math.log(1 - stay))
        cost -= math.log(0.2 / 0.25)  # the middle state is not skipped
    cost += 3 * math.log(2)  # silence before, none after either word
    position = {word: i for i, (_, word, _, _) in enumerate(toy.BIGRAM[:7])}
    cost += 1.0 + 0.3 * position["cat"] + 0.7 + 0.05 * position["cat"]  # from the unigram state and back to it
    cost += 1.0 + 0.3 * position["a"]
    ends = list(dict.fromkeys(s for h, _, _, n in toy.BIGRAM for s in (h, n)))
    cost += 0.5 + 0.1 * ends.index("a")
    loglikes = np.full((len(labels), transitions.num_pdfs), -1e4)
    loglikes[np.arange(len(labels)), np.array(labels) - 1] = 0
    found, said = viterbi(*graph_rows(hclg, pdfs(transitions)), loglikes)
    assert said == (words["cat"], words["a"])
    assert found == pytest.approx(cost, abs=2e-3)  # determinization rounds to 1/1024


def test_k2_form_gives_the_best_path_and_cost_of_hclg(tmp_path):
    hclg, transitions, _ = build(tmp_path)
    assert (hclg.arcs["ilabel"] == 0).any()
    graph = K2Graph.from_hclg(hclg, pdfs(transitions), transitions.num_pdfs)
    assert (graph.arcs[:, 2] != 0).all()
    rng = np.random.default_rng(1)
    for frames in (3, 11, 40):
        loglikes = rng.normal(size=(frames, transitions.num_pdfs))
        expected = viterbi(*graph_rows(hclg, pdfs(transitions)), loglikes)
        found = viterbi(*k2_graph_rows(graph), loglikes)
        assert found[1] == expected[1] and found[0] == pytest.approx(expected[0], abs=1e-4)


@st.composite
def small_fsts(draw):
    """Random transducers with epsilons that run forwards only and labels that run anywhere.

    Every state has few ways in or many ways out, so that epsilons are folded in both directions.
    """
    states = draw(st.integers(2, 6))
    rows = []
    for _ in range(draw(st.integers(1, 16))):
        src, dst = draw(st.integers(0, states - 1)), draw(st.integers(0, states - 1))
        label = draw(st.sampled_from([0, 0, 1])) if src < dst else 1
        rows.append((src, label, draw(st.integers(0, 3)), draw(st.integers(0, 40)) / 8, dst))
    rows += [(state, 2, 0, 0.125, state) for state in draw(st.sets(st.integers(0, states - 1)))]
    rows.sort()
    arcs = np.array([row[1:] for row in rows], dtype=ARC)
    final = np.full(states, np.inf, np.float32)
    for state in draw(st.sets(st.integers(0, states - 1), min_size=1)):
        final[state] = draw(st.integers(0, 8)) / 8
    return FstArrays(draw(st.integers(0, states - 1)), np.array([row[0] for row in rows], np.int32), arcs, final)


def language(arcs, start, finals, frames):
    """{(labels, words): best cost} of all paths that consume `frames` labels."""
    exits, found = {}, {}
    for src, *rest in arcs:
        exits.setdefault(src, []).append(rest)

    def walk(state, labels, words, cost):
        for extra, said in finals.get(state, []) if len(labels) == frames else ():
            key = labels, words + said
            found[key] = min(found.get(key, math.inf), cost + extra)
        for dst, label, said, extra in exits.get(state, []):
            if label == 0 or len(labels) < frames:
                walk(dst, labels + ((label,) if label else ()), words + tuple(said), cost + extra)

    walk(start, (), (), 0.0)
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(small_fsts())
def test_epsilon_removal_keeps_every_labelling_with_its_words_and_best_cost(fst):
    expected = [language(*graph_rows(fst), frames) for frames in range(4)]
    try:
        graph = K2Graph.from_hclg(fst, np.arange(-1, 2), 2)
    except RecipeError as error:
        assert "no path" in error.what and not any(expected)
        return
    assert [language(*k2_graph_rows(graph), frames) for frames in range(4)] == expected


def test_a_loop_of_epsilons_is_refused():
    arcs = np.array([(0, 1, 0.5, 1), (1, 0, 0.5, 1), (0, 1, 0.5, 0)], dtype=ARC)
    with pytest.raises(RecipeError, match="loop of input epsilons"):
        K2Graph.from_hclg(
            FstArrays(0, np.array([0, 0, 1], np.int32), arcs, np.array([np.inf, 0], np.float32)), np.arange(-1, 2), 2
        )


def test_transition_ids_beyond_the_model_are_refused(tmp_path):
    hclg, transitions, _ = build(tmp_path)
    with pytest.raises(RecipeError, match="graph and model disagree"):
        K2Graph.from_hclg(hclg, pdfs(transitions)[:-3], transitions.num_pdfs)


def test_graph_file_round_trip_and_damage(tmp_path):
    hclg, transitions, _ = build(tmp_path)
    graph = K2Graph.from_hclg(hclg, pdfs(transitions), transitions.num_pdfs)
    for name in ("a.npz", "b.npz"):
        graph.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = K2Graph.load(tmp_path / "a.npz")
    assert (again.arcs == graph.arcs).all() and (again.words == graph.words).all() and again.num_pdfs == graph.num_pdfs
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-300])
    with pytest.raises(RecipeError, match="not a readable decoding graph"):
        K2Graph.load(tmp_path / "b.npz")
    graph.num_pdfs = 3
    graph.save(tmp_path / "c.npz")
    with pytest.raises(RecipeError, match="beyond the pdfs"):
        K2Graph.load(tmp_path / "c.npz")


def test_openfst_files_are_read_and_written_as_the_library_does(tmp_path):
    fst = kaldifst.compile("0 1 1 2 0.5\n0 2 3 4\n1 2 5 0 1.5\n2 0.25\n")
    arrays = as_arrays(fst, tmp_path)
    assert arrays.src.tolist() == [0, 0, 1] and arrays.arcs["olabel"].tolist() == [2, 4, 0]
    assert arrays.final.tolist() == [math.inf, math.inf, 0.25]
    write_fst(tmp_path / "y.fst", arrays)
    assert kaldifst.StdVectorFst.read(str(tmp_path / "y.fst")).to_str() == fst.to_str()
    (tmp_path / "y.fst").write_bytes((tmp_path / "y.fst").read_bytes()[:-10])
    with pytest.raises(RecipeError, match="not a readable FST"):
        read_fst(tmp_path / "y.fst")


def test_lang_and_model_with_different_phones_are_refused():
    phones = {"<eps>": 0, "SIL": 1, "A": 2, "B": 3, "#0": 4}
    lang = SimpleNamespace(phones=phones, disambig=[4], id2phone={v: k for k, v in phones.items()}, path=str)
    check_phones(lang, {1, 2, 3}, "exp/mono")
    with pytest.raises(RecipeError, match="different phones") as error:
        check_phones(lang, {1, 2}, "exp/mono")
    assert error.value.id == "B"


def test_best_of_equal_arcs_in_the_order_k2_wants():
    rng = np.random.default_rng(0)
    src, dst, words = (rng.integers(low, 3, 400).astype(np.int32) for low in (0, 0, -1))
    label = rng.integers(-1, 3, 400).astype(np.int32)
    score = rng.integers(-4, 0, 400) / 2
    found = Arcs(src, dst, label, words, score).best()
    best = {}
    for row in zip(src.tolist(), (label.astype(np.uint32)).tolist(), dst.tolist(), words.tolist(), score.tolist()):
        best[row[:4]] = max(row[4], best.get(row[:4], row[4]))
    expected = [(*key, best[key]) for key in sorted(best)]
    assert len(expected) < 400
    assert list(zip(found.src.tolist(), found.label.astype(np.uint32).tolist(), found.dst.tolist(), found.words.tolist(),
                    found.score.tolist())) == expected
    with pytest.raises(RecipeError, match="too large"):
        Arcs(*(np.array([value]) for value in (2**31 - 2, 0, 9000, 0, 0.0))).best()

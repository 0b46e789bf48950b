"""steps/lmrescore: n-gram models as automata, lattices split by history, and a decoding that another grammar would have given."""

import math
import random
import shutil
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_language as toy
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.decoding.histories import Beam
from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter
from pytorch_nnet.decoding.rescore import Change, RescoreOptions, rescore
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.model import NgramModel, Order
from pytorch_nnet.lang.ngram import estimate
from pytorch_nnet.lang.prune import select
from pytorch_nnet.lang.states import NgramStates
from test_decoding_lattice import cost, every_path, lattices
from test_decoding_steps import DIM, has_k2, hypotheses, speak, triphone_model  # noqa: F401
from test_lm_tools import Backoff

VOCABULARY = ["a", "b", "c", "d"]
WORDS = {1: "a", 2: "b", 3: "c", 4: "d"}


def random_model(seed, order):
    """A model of random sentences that lacks every n-gram that a coin decides against, its histories kept: some n-grams have an end
    that is no n-gram."""
    rng = random.Random(seed)
    text = [[rng.choice(VOCABULARY) for _ in range(rng.randint(1, 6))] for _ in range(12)]
    model = estimate(text, VOCABULARY, order)
    kept = [np.ones(len(model.orders[0]), bool)]
    for table in model.orders[1:]:
        kept.append(np.array([rng.random() < 0.7 for _ in range(len(table))], bool) & kept[-1][table.parent])
    return select(model, kept)


@cache
def arpa(folder, seed, order):
    path = folder / f"{seed}.{order}.arpa"
    if not path.exists():
        write_arpa(path, random_model(seed, order))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return lambda seed, order: arpa(folder, seed, order)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(1, 4), st.lists(st.sampled_from([*VOCABULARY, "<unk>"]), max_size=9))
def test_the_automaton_gives_the_probabilities_of_the_model(models, seed, order, sentence):
    model = read_arpa(models(seed, order))
    states, found = NgramStates(model), []
    state = states.start
    ids = [model.ids[word] for word in sentence]
    for word in [*ids, model.ids["</s>"]]:
        state, logprob = states.step(state, word)
        found.append(logprob)
        assert len(state) < order or order == 1 and not state
    assert found == pytest.approx(model.score(ids).tolist(), abs=1e-12)


def test_words_that_no_n_gram_holds_are_forgotten():
    none, numbers = np.zeros(0), np.zeros(0, np.int32)
    unigrams = Order(np.zeros(4, np.int32), np.arange(4, dtype=np.int32), -np.ones(4), -np.arange(4.0) / 8)
    bigrams = Order(np.array([2], np.int32), np.array([3], np.int32), np.array([-0.1]), np.zeros(1))
    model = NgramModel(["<s>", "</s>", "a", "b"], [unigrams, bigrams, Order(numbers, numbers, none, none)])
    states = NgramStates(model)
    state, logprob = states.step(states.start, 2)
    assert state == (2,) and logprob == -1
    state, logprob = states.step(state, 3)
    assert state == (3, 0) and logprob == -0.1  # a b is an n-gram
    state, logprob = states.step(state, 3)
    assert state == (3,) and logprob == -1 - 0.375  # b b is none


def rescored_by_hand(paths, old, new):
    found = []
    for words, am, graph in paths:
        history, gain = ("<s>",), 0.0
        for word in [*(WORDS[number] for number, _ in words), "</s>"]:
            gain += math.log(new(word, history)) - math.log(old(word, history))
            history = (*history, word)
        found.append((words, am, graph + gain))
    return found


@settings(max_examples=40, deadline=None)
@given(lattices(), st.integers(0, 5), st.integers(1, 4), st.integers(0, 5), st.integers(1, 4))
def test_every_path_changes_by_what_the_models_say(models, lattice, first, order, second, other):
    old, new = models(first, order), models(second, other)
    paths = every_path(Change(old, new, WORDS).rescored(lattice))
    expected = rescored_by_hand(every_path(lattice), Backoff.read(old), Backoff.read(new))
    assert len(paths) == len(expected)
    for (words, am, graph), (*kept, hand) in zip(sorted(paths), sorted(expected)):
        assert [words, am] == kept and graph == pytest.approx(hand, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(lattices(), st.integers(0, 5), st.integers(1, 4), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([0.0, 0.1, 2.5, 1e6]))
def test_a_beam_keeps_the_paths_within_it(models, lattice, seed, order, acwt, width):
    change = Change(models(seed, 2), models(seed, order), WORDS)
    everything, kept = every_path(change.rescored(lattice)), every_path(change.rescored(lattice, Beam(acwt, width)))
    close = [words for words, am, graph in every_path(lattice) if cost((words, am, graph), 1 / acwt, 0.0) <= width + 1e-5
             + min(cost(path, 1 / acwt, 0.0) for path in every_path(lattice))]
    assert set(kept) <= set(everything) and len(kept) <= len(everything)
    assert not Counter(close) - Counter(words for words, _, _ in kept)
    assert width < 1e6 or len(kept) == len(everything)


def test_a_beam_drops_what_is_far_beyond_it(models):
    # Three places, at each a likely word and one that costs 4 more.
    arcs = [(place, place + 1, word) for place in range(3) for word in (1, 2)]
    lattice = Lattice.build(*zip(*arcs), [-8.0 * (word - 1) for *_, word in arcs], np.zeros(6), np.arange(4))
    change = Change(models(0, 2), models(0, 4), WORDS)
    for width, most in ((3.9, 0), (4.1, 1), (8.1, 2), (12.1, 3)):
        kept = every_path(change.rescored(lattice, Beam(0.5, width)))
        assert max(sum(word == 2 for word, _ in words) for words, _, _ in kept) == most


@settings(max_examples=40, deadline=None)
@given(lattices(), st.integers(0, 5), st.integers(1, 4))
def test_the_same_model_twice_changes_nothing(models, lattice, seed, order):
    change = Change(models(seed, order), models(seed, order), WORDS)
    assert sorted(every_path(change.rescored(lattice))) == sorted(every_path(lattice))
    assert not any(change.gains)


@pytest.fixture
def decoded(tmp_path, models):
    """data with text, exp/decode with three lattices in two archives and a failed utterance, two models."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "exp/decode"
    folder.mkdir(parents=True)
    for job, utts in ((1, ["s1_a", "s1_b"]), (2, ["s2_a"])):
        with LatticeWriter(folder / f"lat.{job}.npz") as writer:
            for utt in utts:
                pairs = [(src, dst) for dst in range(1, 8) for src in range(max(0, dst - 2), dst)]
                score = rng.normal(size=(2, len(pairs)), scale=4)
                writer.write(utt, Lattice.build(*np.array(pairs).T, rng.integers(0, 5, len(pairs)), *score, np.arange(8)))
    (folder / "failed.txt").write_text("s2_b no path\n")
    (folder / "num_jobs").write_text("2\n")
    data = {"s1_a": "s1", "s1_b": "s1", "s2_a": "s2", "s2_b": "s2"}
    DataDir(tmp_path / "data", data, {utt: ["a", "b"] for utt in data}).write()
    (tmp_path / "data/words.txt").write_text("<eps> 0\na 1\nb 2\nc 3\nd 4\n")
    for name, of in (("old", (0, 2)), ("new", (1, 4))):
        shutil.copy(models(*of), tmp_path / f"{name}.arpa")
    return folder


@pytest.mark.slow
def test_step_rescores_several_directories_whatever_nj(run, decoded):
    shutil.copytree(decoded, decoded.with_name("more"))
    done = run("steps/lmrescore", "old.arpa", "new.arpa", "data", "data", "exp/decode", "exp/new", "exp/more", "exp/new2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%WER") == 2 and "1 utterances have no hypothesis" in done.stderr
    one = run("steps/lmrescore", "--nj", 2, "--skip-scoring", "true", "old.arpa", "new.arpa", "data", "data", "exp/decode", "exp/two")
    assert one.returncode == 0, one.stderr
    for name in ("lat.1.npz", "lat.2.npz", "failed.txt", "num_jobs"):
        found = [(decoded.with_name(out) / name).read_bytes() for out in ("new", "new2", "two")]
        assert found[0] == found[1] == found[2], name
    assert (decoded.with_name("new") / "failed.txt").read_text() == "s2_b no path\n"
    change = Change(decoded.parents[1] / "old.arpa", decoded.parents[1] / "new.arpa", WORDS)
    for utt, lattice in LatticeReader(decoded / "lat.1.npz"):
        assert (change.rescored(lattice).arcs == LatticeReader(decoded.with_name("new") / "lat.1.npz")[utt].arcs).all()
    assert (decoded.with_name("new") / "wer_10_0.0").exists() and not (decoded.with_name("two") / "wer_10_0.0").exists()
    assert "arcs became" in (decoded.with_name("new2") / "log/rescore.1.log").read_text()


@pytest.mark.slow
def test_what_cannot_be_rescored(run, decoded):
    small = decoded.parents[1] / "small.arpa"
    write_arpa(small, estimate([["a", "b"]], ["a", "b", "c"], 2))
    done = run("steps/lmrescore", "old.arpa", "small.arpa", "data", "data", "exp/decode", "exp/new")
    said = done.stderr + done.stdout
    assert done.returncode == 1 and "not in the language model" in said and "small.arpa" in said and "id:       d" in said
    assert not (decoded.with_name("new") / "num_jobs").exists() and "Traceback" not in said
    done = run("steps/lmrescore", "old.arpa", "new.arpa", "data", "data", "exp/decode", "exp/a", "exp/decode")
    assert done.returncode == 1 and "without one to write" in done.stderr and "Traceback" not in done.stderr
    exp = str(decoded.parent)
    for pairs, what in (([("decode", "decode")], "is read"), ([("decode", "a"), ("decode", "a")], "written twice"),
                        ([("", "a")], "missing input")):
        with pytest.raises(RecipeError, match=what):
            rescore(small, small, small.parent / "data", [(f"{exp}/{old}", f"{exp}/{new}") for old, new in pairs], RescoreOptions())
    with pytest.raises(RecipeError, match="bad value"):
        rescore(small, small, small.parent / "data", [(f"{exp}/decode", f"{exp}/a")], RescoreOptions(beam=-1.0))
    assert (decoded / "num_jobs").exists() and (decoded / "lat.1.npz").exists()


def grammar_of(path):
    """The arcs of toy_language.grammar_text, and its final costs: a back-off model as Kaldi's arpa2fst lays it out."""
    model = Backoff.read(path)
    lines, numbers = [], {(): 0}

    def state(history):
        while len(history) >= model.order or history and history not in model.probability:
            history = history[1:]
        return numbers.setdefault(history, len(numbers))

    start = state(("<s>",))
    finals = {}
    for gram, probability in model.probability.items():
        if gram[-1] == "</s>":
            finals[state(gram[:-1])] = -math.log(probability)
        elif gram[-1] not in ("<s>", "<unk>"):
            lines.append((state(gram[:-1]), state(gram), gram[-1], -math.log(probability)))
    for history, number in list(numbers.items()):
        if history:
            lines.append((number, state(history[1:]), "#0", -math.log(model.weight.get(history, 1.0))))
    return start, lines, finals


def write_grammar(lang, path):
    import kaldifst

    words = {word: int(number) for word, number in (line.split() for line in (lang / "words.txt").read_text().splitlines())}
    start, arcs, finals = grammar_of(path)
    # OpenFst's text begins with the start state.
    arcs.sort(key=lambda arc: arc[0] != start)
    text = [f"{src} {dst} {words[word]} {0 if word == '#0' else words[word]} {cost}" for src, dst, word, cost in arcs]
    kaldifst.compile("\n".join([*text, *(f"{state} {cost}" for state, cost in finals.items())]) + "\n").write(str(lang / "G.fst"))


@pytest.mark.slow
def test_a_rescored_decoding_is_that_of_the_other_grammar(run, tmp_path, has_k2):
    from pytorch_nnet.decoding.graph import GraphOptions, make_graph

    model, means = triphone_model()
    rng, choose = np.random.default_rng(1), random.Random(2)
    spoken = {f"s_{i:02d}": speak(model, means, rng) for i in range(8)}
    model.save(tmp_path / "exp/tri")
    noisy = ((utt, feats + rng.normal(size=feats.shape, scale=3).astype(np.float32)) for utt, (_, feats) in spoken.items())
    write_ark_scp(tmp_path / "data/feats.ark", tmp_path / "data/feats.scp", noisy)
    DataDir(tmp_path / "data", dict.fromkeys(spoken, "s"), {utt: words for utt, (words, _) in spoken.items()}).write()
    vocabulary = sorted({word for word, _ in toy.LEXICON})
    for name, order in (("first", 2), ("second", 4)):
        text = [[choose.choice(vocabulary) for _ in range(choose.randint(1, 4))] for _ in range(20)]
        write_arpa(tmp_path / f"{name}.arpa", estimate(text, vocabulary, order))
        lang = toy.write_lang(tmp_path / name)
        write_grammar(lang, tmp_path / f"{name}.arpa")
        make_graph(lang, tmp_path / "exp/tri", tmp_path / f"exp/tri/{name}", GraphOptions())
        done = run("steps/decode", "--nj", 1, "--acwt", 0.05, "--beam", 40, "--lattice-beam", 12, "--skip-scoring", "true",
                   f"exp/tri/{name}", "data", f"exp/tri/decode_{name}")
        assert done.returncode == 0, done.stderr
    done = run("steps/lmrescore", "--skip-scoring", "true", "first.arpa", "second.arpa", "data", "exp/tri/first",
               "exp/tri/decode_first", "exp/tri/decode_rescored")
    assert done.returncode == 0, done.stderr
    shutil.copytree(tmp_path / "exp/tri/first", tmp_path / "exp/tri/graph")
    first, second, rescored = (hypotheses(tmp_path / f"exp/tri/decode_{name}", 0.05) for name in ("first", "second", "rescored"))
    assert len(first) == 8 and sum(first[utt][0] != second[utt][0] for utt in first) >= 3, "the models matter"
    for utt, (words, total) in second.items():
        assert rescored[utt][0] == words and rescored[utt][1] == pytest.approx(total, abs=0.01)

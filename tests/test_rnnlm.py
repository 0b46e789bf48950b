"""The recurrent language model: training, its probabilities in the automaton, and lattices rescored with it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.decoding.rescore import Change
from pytorch_nnet.decoding.word_lm import WordLmStates
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.ngram import encode, estimate
from pytorch_nnet.lang.states import NgramStates
from pytorch_nnet.models.word_lm import load_word_lm
from pytorch_nnet.training.word_lm import Sentences, WordLmTrainer, WordLmTraining, identity_of, perplexity
from test_lmrescore import WORDS, every_path, lattices

VOCABULARY = ["a", "b", "c", "d"]
SMALL = dict(embedding=8, hidden=16, dropout=0.0, batch=8, max_epochs=12, rate=0.02, min_rate=0.002)


def sentences(count, seed):
    """The last word is the first one again, with two words of no consequence between: more than a 3-gram can see."""
    rng = np.random.default_rng(seed)
    return [[first, *rng.choice(["c", "d"], 2), first] for first in rng.choice(["a", "b"], count)]


def trainer(folder, **options):
    texts = [encode(sentences(count, seed), VOCABULARY) for count, seed in ((200, 1), (50, 2))]
    return WordLmTrainer(WordLmTraining(**{**SMALL, **options}), *texts, folder, identity_of(texts))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Directory of a model, and an ARPA file over the same words."""
    folder = tmp_path_factory.mktemp("rnnlm")
    trainer(folder / "lm").run()
    write_arpa(folder / "3gram.arpa", estimate(sentences(200, 1), VOCABULARY, 3))
    return folder / "lm", folder / "3gram.arpa"


def test_it_learns_what_a_3_gram_cannot(trained):
    model = load_word_lm(trained[0])
    dev = Sentences(encode(sentences(50, 2), VOCABULARY))
    assert dev.words == model.words == ["</s>", "<unk>", *VOCABULARY]
    found = perplexity(model.module, dev)
    assert found == pytest.approx(model.info["perplexity"])
    ngram = read_arpa(trained[1])
    scores = np.concatenate([ngram.score([ngram.ids[word] for word in sentence]) for sentence in sentences(50, 2)])
    assert found < 0.95 * 10 ** -scores.mean()
    assert found > 8 ** (1 / 5), "eight sentences are as probable as each other"


def test_batches_hold_every_sentence_once():
    text = encode([["a"], ["b", "c", "d"], [], ["d", "a"]], VOCABULARY)
    whole = Sentences(text)
    for generator in (None, torch.Generator().manual_seed(1)):
        seen = []
        for inputs, targets in whole.batches(2, generator):
            assert inputs.shape == targets.shape and (inputs[:, 0] == 0).all()
            for row, target in zip(inputs, targets):
                target = target[target >= 0]
                assert row[1:len(target)].tolist() == target[:-1].tolist() and target[-1] == 0
                seen.append([whole.words[number] for number in target[:-1]])
        assert sorted(seen) == [[], ["a"], ["b", "c", "d"], ["d", "a"]]


def direct(model, ngram, words, weight):
    """log10 P of each word and of the end, by the whole sentence at once."""
    numbers = [0, *(model.ids[word] for word in words)]
    with torch.inference_mode():
        logs = torch.log_softmax(model.module(torch.tensor([numbers]))[0][0].double(), 1)
    recurrent = [float(logs[place, number].exp()) for place, number in enumerate([*numbers[1:], 0])]
    old = 10 ** ngram.score([ngram.ids[word] for word in words])
    return np.log10(weight * np.array(recurrent) + (1 - weight) * old)


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.sampled_from([*VOCABULARY, "<unk>"]), max_size=8), weight=st.sampled_from([0.0, 0.3, 1.0]))
def test_the_automaton_gives_the_probabilities_of_the_network(trained, words, weight):
    folder, arpa = trained
    ngram = read_arpa(arpa)
    states = WordLmStates(folder, NgramStates(ngram), weight, order=20)
    state, found = states.start, []
    for word in [*words, "</s>"]:
        state, logprob = states.step(state, states.model.ids[word])
        found.append(logprob)
    np.testing.assert_allclose(found, direct(states.model, ngram, words, weight), atol=1e-5)


def test_histories_count_as_one_that_end_alike(trained):
    states = WordLmStates(trained[0], NgramStates(read_arpa(trained[1])), 0.5, order=3)

    def after(*words):
        state = states.start
        for word in words:
            state, _ = states.step(state, states.model.ids[word])
        return state

    assert after("a", "c", "d") == after("b", "c", "d") != after("a", "d", "d")
    assert len(states.known) == len({history for history, _ in states.split.values()})


@settings(max_examples=20, deadline=None)
@given(lattice=lattices())
def test_every_path_changes_by_what_the_models_say(trained, lattice):
    folder, arpa = trained
    change = Change(arpa, folder, WORDS, rnn_weight=0.6, rnn_order=20)
    model, ngram = load_word_lm(folder), read_arpa(arpa)
    paths = every_path(change.rescored(lattice))
    expected = []
    for words, am, graph in every_path(lattice):
        said = [WORDS[number] for number, _ in words]
        gain = direct(model, ngram, said, 0.6).sum() - ngram.score([ngram.ids[word] for word in said]).sum()
        expected.append((words, am, graph + gain * math.log(10)))
    for (words, am, graph), (*kept, hand) in zip(sorted(paths), sorted(expected), strict=True):
        assert [words, am] == kept and graph == pytest.approx(hand, abs=1e-3)


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    options = dict(max_epochs=4, dropout=0.2, layers=2)
    trainer(tmp_path / "whole", **options).run()
    epoch = WordLmTrainer.epoch

    def killed(self, progress):
        if len(self.records) == 2:
            raise KeyboardInterrupt
        epoch(self, progress)

    monkeypatch.setattr(WordLmTrainer, "epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "killed", **options).run()
    monkeypatch.undo()
    trainer(tmp_path / "killed", **options).run()
    for name in ("model.safetensors", "info.json", "words.txt"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_does_not_fit_is_refused(trained, tmp_path):
    folder, arpa = trained
    write_arpa(tmp_path / "other.arpa", estimate([["a", "b"]], ["a", "b"], 2))
    with pytest.raises(RecipeError, match="not in the n-gram model"):
        WordLmStates(folder, NgramStates(read_arpa(tmp_path / "other.arpa")), 0.5, 4)
    with pytest.raises(RecipeError, match="bad value"):
        WordLmStates(folder, NgramStates(read_arpa(arpa)), 1.5, 4)
    with pytest.raises(RecipeError, match="out of range"):
        trainer(tmp_path / "x", hidden=0)
    with pytest.raises(RecipeError, match="no sentence"):
        texts = [encode([], VOCABULARY), encode([["a"]], VOCABULARY)]
        WordLmTrainer(WordLmTraining(), *texts, tmp_path / "x", {})
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (damaged / path.name).write_bytes(path.read_bytes())
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match="damaged"):
        load_word_lm(damaged)

"""Interpolation and entropy pruning of n-gram models, against computations of their own over ARPA text."""

import gzip
import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.mix import best_weights, mix
from pytorch_nnet.lang.model import perplexity
from pytorch_nnet.lang.ngram import estimate
from pytorch_nnet.lang.prune import history_logprobs, losses, prune

VOCABULARY = ["a", "b", "c", "d", "<unk>"]
texts = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=2, max_size=25)


class Backoff:
    """A back-off model as two dictionaries from tuples of words: what an ARPA file says, and nothing else."""

    def __init__(self, probability, weight):
        self.probability, self.weight = probability, weight
        self.order = max(map(len, probability))

    @classmethod
    def read(cls, path):
        probability, weight = {}, {}
        for line in (gzip.open if str(path).endswith(".gz") else open)(path, "rt"):
            fields = line.rstrip("\n").split("\t")
            if len(fields) > 1:
                gram = tuple(fields[1].split(" "))
                probability[gram] = 10.0 ** float(fields[0])
                weight[gram] = 10.0 ** float(fields[2]) if len(fields) > 2 else 1.0
        return cls(probability, weight)

    def __call__(self, word, history):
        history = history[max(len(history) - self.order + 1, 0):]
        if (*history, word) in self.probability:
            return self.probability[(*history, word)]
        return self.weight.get(history, 1.0) * self(word, history[1:]) if history else 0.0

    def predicted(self):
        return [gram[0] for gram in self.probability if len(gram) == 1 and gram != ("<s>",)]

    def without(self, gram):
        """The model that lacks one n-gram, its history's weight set anew."""
        history, found = gram[:-1], {g: p for g, p in self.probability.items() if g != gram}
        seen = [g[-1] for g in found if g[:-1] == history]
        lower = Backoff({g: p for g, p in found.items() if len(g) < len(gram)}, self.weight)
        left = 1 - sum(found[(*history, w)] for w in seen)
        return Backoff(found, {**self.weight, history: left / (1 - sum(lower(w, history[1:]) for w in seen))})


def written(model, folder, name="x.arpa"):
    write_arpa(folder / name, model)
    return Backoff.read(folder / name)


def histories(longest):
    return [h for n in range(longest + 1) for h in itertools.product(["<s>", "a", "b", "c", "d", "<unk>"], repeat=n)
            if "<s>" not in h[1:]]


def text_of(seed, size=200, words="abcd", rate=0.6):
    rng = random.Random(seed)
    return [[words[min(int(rng.expovariate(rate)), len(words) - 1)] for _ in range(rng.randint(1, 8))] for _ in range(size)]


@settings(max_examples=15, deadline=None)
@given(texts, texts, st.integers(1, 4), st.integers(1, 4), st.floats(0.05, 0.95))
def test_mixture_is_the_weighted_sum_and_sums_to_one(tmp_path_factory, first, second, order, other_order, weight):
    folder = tmp_path_factory.mktemp("mix")
    models = [estimate(first, VOCABULARY, order), estimate(second, [*VOCABULARY, "e"], other_order)]
    one, two = (written(model, folder, f"{k}.arpa") for k, model in enumerate(models))
    mixed = written(mix(models, [weight, 1 - weight]), folder)
    assert mixed.probability.keys() == one.probability.keys() | two.probability.keys()
    for gram, probability in mixed.probability.items():
        if gram != ("<s>",):
            expected = weight * one(gram[-1], gram[:-1]) + (1 - weight) * two(gram[-1], gram[:-1])
            assert probability == pytest.approx(expected, rel=1e-5), gram
    for history in histories(max(order, other_order) - 1):
        assert sum(mixed(word, history) for word in mixed.predicted()) == pytest.approx(1, abs=1e-5), history


def test_the_library_reads_from_a_mixture_what_is_written(tmp_path):
    mixed = mix([estimate(text_of(1), VOCABULARY, 4), estimate(text_of(2, rate=0.3), VOCABULARY, 3)], [0.3, 0.7])
    by_hand = written(mixed, tmp_path)
    again = read_arpa(tmp_path / "x.arpa")
    for history in histories(3):
        grams = np.array([[again.ids[word] for word in (*history, word)] for word in by_hand.predicted()])
        assert 10 ** again.logprobs(grams) == pytest.approx([by_hand(w, history) for w in by_hand.predicted()], rel=1e-9), history


def test_weights_are_the_best_on_dev():
    models = [estimate(text_of(1), VOCABULARY), estimate(text_of(2, rate=0.2), VOCABULARY)]
    dev = text_of(3, rate=0.3) + [["a", "outside", "b"]]
    (weight, rest), found = best_weights(models, dev)
    tokens = [np.concatenate([10 ** model.score([model.ids[w] for w in s]) for s in dev[:-1]]) for model in models]

    def value(w):
        return -np.log(w * tokens[0] + (1 - w) * tokens[1]).mean()

    assert 0 < weight < 1 and weight + rest == pytest.approx(1)
    grid = np.linspace(0.001, 0.999, 999)
    assert weight == pytest.approx(grid[np.argmin([value(w) for w in grid])], abs=0.01)
    assert found == pytest.approx(math.exp(value(weight)), rel=0.02)
    mixed = mix(models, [weight, rest])
    assert perplexity(dev, mixed).value < min(perplexity(dev, model).value for model in models)


def test_bad_weights():
    models = [estimate(text_of(1), VOCABULARY)] * 2
    for weights in ([0.5], [0.5, 0.6], [1.5, -0.5]):
        with pytest.raises(RecipeError, match="bad interpolation weights"):
            mix(models, weights)
    with pytest.raises(RecipeError, match="no text"):
        best_weights(models, [])


@pytest.mark.parametrize("order", [2, 3])
def test_losses_are_the_relative_entropy(tmp_path, order):
    """D(p || p without one n-gram), summed over every word after every history that uses the n-gram's own history."""
    model = estimate(text_of(5, 40), VOCABULARY, order)
    before = written(model, tmp_path)
    for n in range(2, order + 1):
        whole = Backoff({g: p for g, p in before.probability.items() if len(g) <= n}, before.weight)
        found = losses(model, n, history_logprobs(model)[n - 2])
        checked = 0
        for row, gram in enumerate(model.grams(n, np.arange(len(found)))):
            words = tuple(model.words[number] for number in gram)
            if len({g[-1] for g in whole.probability if g[:-1] == words[:-1]}) == len(whole.predicted()):
                continue  # every word was seen after it: its back-off weight is never used
            after = whole.without(words)
            begin = whole("</s>" if words[0] == "<s>" else words[0], ())
            probability = begin * math.prod(whole(words[k], words[:k]) for k in range(1, n - 1))
            divergence = sum(whole(w, words[:-1]) * math.log(whole(w, words[:-1]) / after(w, words[:-1])) for w in whole.predicted())
            assert found[row] == pytest.approx(probability * divergence, rel=1e-4, abs=1e-8), words
            checked += 1
        assert checked > 5


@settings(max_examples=15, deadline=None)
@given(texts, st.integers(2, 4), st.sampled_from([0.0, 1e-4, 1e-3, 1e-2, 0.3]))
def test_pruned_models_sum_to_one_and_keep_histories(tmp_path_factory, text, order, threshold):
    model = estimate(text, VOCABULARY, order)
    pruned = prune(model, threshold)
    small, whole = (written(each, tmp_path_factory.mktemp("prune")) for each in (pruned, model))
    assert small.probability.items() <= whole.probability.items()
    assert all(gram[:-1] in small.probability for gram in small.probability if len(gram) > 1)
    for history in histories(order - 1):
        assert sum(small(word, history) for word in small.predicted()) == pytest.approx(1, abs=1e-5), history


def test_pruning_by_threshold():
    model = estimate(text_of(6), VOCABULARY, 4)
    sizes = [sum(map(len, prune(model, threshold).orders)) for threshold in (0, 1e-5, 1e-4, 1e-3, 1e-2)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 5
    assert len(prune(model, 1e6).orders) == 1
    text = text_of(6)
    assert perplexity(text, prune(model, 1e-5)).value < perplexity(text, prune(model, 1e-2)).value
    with pytest.raises(RecipeError, match="threshold"):
        prune(model, -1)


def test_kenlm_scores_alike(tmp_path):
    """Optional: pip install kenlm compiles for a minute, so requirements/dev.txt leaves it out."""
    kenlm = pytest.importorskip("kenlm", reason="kenlm is not installed")
    mixed = mix([estimate(text_of(1), VOCABULARY, 4), estimate(text_of(2, rate=0.3), VOCABULARY, 4)], [0.4, 0.6])
    for name, model in {"one": estimate(text_of(1), VOCABULARY, 4), "mixed": mixed, "pruned": prune(mixed, 1e-4)}.items():
        write_arpa(tmp_path / f"{name}.arpa", model)
        model, other = read_arpa(tmp_path / f"{name}.arpa"), kenlm.Model(str(tmp_path / f"{name}.arpa"))
        for sentence in text_of(9, 300):
            ours = model.score([model.ids[word] for word in sentence])
            theirs = [score for score, _, _ in other.full_scores(" ".join(sentence))]
            assert ours == pytest.approx(theirs, abs=2e-5), (name, sentence)


@pytest.mark.slow
def test_steps(run, tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        write_arpa(tmp_path / f"{name}.arpa.gz", estimate(text_of(seed, rate=0.3 * seed), VOCABULARY, 4))
    (tmp_path / "dev").write_text("".join(f"u{k:03d} {' '.join(words)}\n" for k, words in enumerate(text_of(3))))
    done = run("steps/interpolate_lm", "dev", "one.arpa.gz", "two.arpa.gz", "lm/mix.arpa.gz")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "lm/mix.perplexity.txt").read_text()
    assert report.count("perplexity") == 4 and report.count("weight ") == 2 and report in done.stderr
    first = (tmp_path / "lm/mix.arpa.gz").read_bytes()
    weights = [line.split("weight ")[1].split()[0] for line in report.splitlines() if "weight " in line]
    fixed = run("steps/interpolate_lm", "--weights", ",".join(weights), "dev", "one.arpa.gz", "two.arpa.gz", "lm/fixed.arpa.gz")
    assert fixed.returncode == 0, fixed.stderr
    run("steps/interpolate_lm", "dev", "one.arpa.gz", "two.arpa.gz", "lm/mix.arpa.gz")
    assert (tmp_path / "lm/mix.arpa.gz").read_bytes() == first
    done = run("steps/prune_lm", "--threshold", "1e-3", "--dev-text", "dev", "lm/mix.arpa.gz", "lm/pruned.arpa.gz")
    assert done.returncode == 0 and (tmp_path / "lm/pruned.perplexity.txt").read_text().count("perplexity") == 2, done.stderr
    assert sum(map(len, read_arpa(tmp_path / "lm/pruned.arpa.gz").orders)) < sum(map(len, read_arpa(tmp_path / "lm/mix.arpa.gz").orders))
    wrong = run("steps/interpolate_lm", "--oov", "<UNK>", "dev", "one.arpa.gz", "two.arpa.gz", "x.arpa.gz")
    assert wrong.returncode == 1 and "<UNK>" in wrong.stderr and "Traceback" not in wrong.stderr

"""Modified Kneser-Ney estimation and ARPA files, against a computation by the book."""

import gzip
import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.arpa import read_arpa, write_arpa
from pytorch_nnet.lang.model import perplexity
from pytorch_nnet.lang.ngram import estimate

sentences = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=1, max_size=30)


def by_the_book(text, vocabulary, order):
    """P(w | h) straight from the definitions, with no table shared with the library."""
    sequences = [["<s>", *(w if w in vocabulary else "<unk>" for w in s), "</s>"] for s in text]
    raw = [Counter(tuple(s[i:i + n]) for s in sequences for i in range(len(s) - n + 1)) for n in range(1, order + 1)]
    predicted = {*vocabulary, "<unk>", "</s>"}

    def count(gram):
        if len(gram) == order or gram[0] == "<s>":
            return raw[len(gram) - 1][gram]
        return len({longer[0] for longer in raw[len(gram)] if longer[1:] == gram})

    tables = [{gram: count(gram) for gram in raw[n] if gram != ("<s>",)} for n in range(order)]
    cuts = []
    for table in tables:
        n1, n2, n3, n4 = (sum(c == k for c in table.values()) for k in (1, 2, 3, 4))
        valid = n1 and n2 and n3
        if valid:
            y = n1 / (n1 + 2 * n2)
            found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
            valid = all(0 < d <= k for k, d in zip((1, 2, 3), found))
        cuts.append(found if valid else (0.5, 1.0, 1.5))

    def probability(word, history):
        following = {gram[-1]: c for gram, c in tables[len(history)].items() if gram[:-1] == history}
        lower = probability(word, history[1:]) if history else 1 / len(predicted)
        total = sum(following.values())
        if not total:
            return lower
        cut = cuts[len(history)]
        gamma = sum(cut[min(c, 3) - 1] for c in following.values()) / total
        c = following.get(word, 0)
        return (c - cut[min(c, 3) - 1] if c else 0) / total + gamma * lower

    return probability


@settings(max_examples=25, deadline=None)
@given(sentences, st.integers(1, 4))
def test_equals_the_definition_and_sums_to_one(text, order):
    vocabulary = ["a", "b", "c", "d", "never"]
    model = estimate(text, vocabulary, order)
    probability = by_the_book(text, vocabulary, order)
    predicted = model.words[1:]
    histories = [h for n in range(order) for h in itertools.product(["<s>", "a", "never", "<unk>"], repeat=n)
                 if "<s>" not in h[1:]]
    for history in histories:
        grams = np.array([[*(model.ids[w] for w in history), model.ids[word]] for word in predicted])
        found = 10 ** model.logprobs(grams)
        assert found.sum() == pytest.approx(1.0, abs=1e-9), history
        assert found == pytest.approx([probability(word, history) for word in predicted], rel=1e-9), history


def corpus(seed=3, size=400):
    rng = random.Random(seed)
    words = "the cat sat on a mat and dog ran far to you".split()
    return [[words[min(int(rng.expovariate(0.3)), 11)] for _ in range(rng.randint(1, 9))] for _ in range(size)]


def test_larger_corpus_uses_estimated_discounts():
    text = corpus()
    vocabulary = sorted({w for s in text for w in s})
    model, probability = estimate(text, vocabulary), by_the_book(text, vocabulary, 3)
    for history in (("<s>", "the"), ("cat", "sat"), ("you", "you"), ("mat", "on")):
        grams = np.array([[*(model.ids[w] for w in history), model.ids[w]] for w in model.words[1:]])
        assert 10 ** model.logprobs(grams) == pytest.approx([probability(w, history) for w in model.words[1:]],
                                                            rel=1e-9)
    from pytorch_nnet.lang.ngram import FALLBACK_DISCOUNTS, discounts
    counts = np.array([1] * 50 + [2] * 20 + [3] * 10 + [4] * 6 + [9])
    assert not np.allclose(discounts(counts)[1:], FALLBACK_DISCOUNTS)
    assert discounts(counts)[1] == pytest.approx(1 - 2 * (50 / 90) * 20 / 50)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_round_trip(tmp_path, name):
    model = estimate(corpus(), ["cat", "dog", "ünïcode"])
    write_arpa(tmp_path / name, model)
    again = read_arpa(tmp_path / name)
    assert again.words == model.words
    for one, other in zip(model.orders, again.orders, strict=True):
        assert (one.parent == other.parent).all() and (one.word == other.word).all()
        assert np.allclose(one.logprob, other.logprob, atol=1e-6) and np.allclose(one.backoff, other.backoff, atol=1e-6)
    write_arpa(tmp_path / ("again_" + name), again)
    opener = gzip.open if name.endswith("gz") else open
    assert opener(tmp_path / name).read() == opener(tmp_path / ("again_" + name)).read()


def test_unsorted_arpa_is_read_right(tmp_path):
    """Rows in any order within a section; back-off by hand."""
    lines = ["\\data\\", "ngram 1=4", "ngram 2=3", "ngram 3=1", "\\1-grams:", "-0.5 b -0.1", "-99 <s> -0.2",
             "-0.7 a -0.3", "-0.9 </s>",
             "\\2-grams:", "-0.6 <s> b -0.15", "-0.4 b a -0.05", "-0.2 a a", "\\3-grams:", "-0.01 <s> b a", "\\end\\"]
    (tmp_path / "x.arpa").write_text("\n".join(lines) + "\n")
    model = read_arpa(tmp_path / "x.arpa")
    ids = [model.ids[word] for word in "baab"]
    #        <s> b; <s> b a;  b a . a; a a . b (back-off 0, a: -0.3); b: -0.1
    assert model.score(ids) == pytest.approx([-0.6, -0.01, -0.05 - 0.2, -0.3 - 0.5, -0.1 - 0.9])


def test_perplexity_counts_oov_apart(tmp_path):
    (tmp_path / "u.arpa").write_text("\\data\\\nngram 1=4\n\\1-grams:\n-99 <s>\n-1 </s>\n-1 a\n-1 b\n\\end\\\n")
    found = perplexity([["a", "zzz"], ["b"]], read_arpa(tmp_path / "u.arpa"))
    assert (found.sentences, found.words, found.oov) == (2, 3, 1)
    assert found.value == pytest.approx(10.0) and found.logprob == pytest.approx(-4.0)


GOOD = ["\\data\\", "ngram 1=4", "ngram 2=1", "\\1-grams:", "-99 <s> -0.2", "-1 </s>", "-1 a -0.1", "-1 b",
        "\\2-grams:", "-0.1 a b", "\\end\\"]


@pytest.mark.parametrize("line, text, message", [
    (2, "ngram 1=5", "x.arpa:9"), (5, "-99 <s> xx", "not a number"), (5, "-99 <s> -0.2 3", "wrong number of fields"),
    (7, "0.5 a -0.1", "impossible value"), (7, "nan a -0.1", "impossible value"), (8, "-1 a", "given twice"),
    (10, "-0.1 a c", "word without a unigram"), (10, "-0.1 a b -0.3", "wrong number of fields"), (11, "", "ends early"),
    (9, "\\3-grams:", "section out of place"), (5, "-99 c", "no unigram of a sentence boundary"),
    (1, "data", "ends early"),
    (3, "ngram 3=1", "bad count"),
])
def test_damaged_arpa(tmp_path, line, text, message):
    lines = list(GOOD)
    lines[line - 1] = text
    (tmp_path / "x.arpa").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecipeError, match="(?s)" + message.replace("\\", "\\\\")):
        read_arpa(tmp_path / "x.arpa")


def test_history_must_exist(tmp_path):
    lines = [*GOOD[:2], "ngram 2=1", "ngram 3=1", *GOOD[3:-1], "\\3-grams:", "-0.1 b a b", "\\end\\"]
    (tmp_path / "x.arpa").write_text("\n".join(lines) + "\n")
    with pytest.raises(RecipeError, match="history is no 2-gram"):
        read_arpa(tmp_path / "x.arpa")


def test_cut_gzip(tmp_path):
    write_arpa(tmp_path / "x.arpa.gz", estimate(corpus(), ["cat"]))
    whole = (tmp_path / "x.arpa.gz").read_bytes()
    (tmp_path / "x.arpa.gz").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(RecipeError, match="cut short"):
        read_arpa(tmp_path / "x.arpa.gz")


def test_refusals():
    with pytest.raises(RecipeError, match="no language model"):
        estimate([], ["a"])
    with pytest.raises(RecipeError, match="sentence boundary"):
        estimate([["a", "</s>", "b"]], ["a", "b"])
    with pytest.raises(RecipeError, match="sentence boundary"):
        estimate([["a"]], ["a", "<s>"])

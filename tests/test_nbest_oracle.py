"""n-best lists and lattice oracle against enumeration of all paths; steps/nbest and steps/oracle_wer."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.decoding.lattice import Lattice
from pytorch_nnet.decoding.nbest import nbest
from pytorch_nnet.decoding.oracle import oracle, with_tokens
from pytorch_nnet.scoring.tune import read_sweep
from pytorch_nnet.scoring.wer import Counts, read_wer
from test_confidence import penalties, scales
from test_decoding_lattice import cost, every_path, lattices
from test_stm_steps import SAID, decoded  # noqa: F401


def best_of_each(lattice, lmwt, wip):
    """{words: least cost}."""
    found = {}
    for path in every_path(lattice):
        words = tuple(word for word, _ in path[0])
        found[words] = min(cost(path, lmwt, wip), found.get(words, np.inf))
    return found


@settings(max_examples=70, deadline=None)
@given(lattices(), st.integers(1, 12), scales, penalties)
def test_nbest_equals_enumeration_of_all_paths(lattice, n, lmwt, wip):
    expected = best_of_each(lattice, lmwt, wip)
    found = nbest(lattice, n, lmwt, wip)
    costs = [-one.am / lmwt - one.graph + wip * len(one.words) for one in found]
    assert costs == pytest.approx(sorted(expected.values())[:n]) and len({one.words for one in found}) == len(found)
    assert costs == pytest.approx([expected[one.words] for one in found])
    paths = {(tuple(word for word, _ in words), am, graph) for words, am, graph in every_path(lattice)}
    assert all((one.words, one.am, one.graph) in paths for one in found)


def test_many_of_very_many():
    """Seven places with three words each and two times for each word: 2187 sequences, 128 paths for each."""
    rng = np.random.default_rng(4)
    src, dst, word = zip(*((place, place + 1, number) for place in range(7) for number in (1, 2, 3) for _ in range(2)))
    am, graph = rng.normal(size=(2, len(src)), scale=3).astype(np.float32)
    lattice = Lattice.build(src, dst, word, am, graph, np.arange(8))
    arc_costs = (-am / np.float64(2.0) - graph).reshape(7, 3, 2).min(axis=2)
    expected = sorted((sum(arc_costs[place, number - 1] for place, number in enumerate(words)), words)
                      for words in itertools.product((1, 2, 3), repeat=7))
    assert [one.words for one in nbest(lattice, 400, 2.0, 0.0)] == [words for _, words in expected[:400]]
    assert len(nbest(lattice, 5000, 2.0, 0.0)) == 2187


def distance(reference, hypothesis):
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


TOKENS = st.fixed_dictionaries({1: st.lists(st.integers(1, 3), max_size=3), 2: st.lists(st.integers(1, 3), max_size=2)})


@settings(max_examples=70, deadline=None)
@given(lattices(), TOKENS, st.lists(st.integers(1, 4), max_size=7))
def test_oracle_equals_enumeration_of_all_paths(lattice, tokens, reference):
    texts = {tuple(token for word, _ in path[0] for token in tokens[word]) for path in every_path(lattice)}
    spelt = with_tokens(lattice, tokens)
    assert {tuple(token for token, _ in path[0]) for path in every_path(spelt)} == texts and spelt.num_frames == lattice.num_frames
    errors, words = oracle(spelt, reference)
    assert errors == min(distance(reference, text) for text in texts)
    assert tuple(words) in texts and distance(reference, words) == errors


@pytest.mark.slow
def test_nbest_step(run, decoded):
    done = run("steps/nbest", "--lmwt", 4, "data/eval2000", decoded, "nbest.txt")
    assert done.returncode == 0 and "6 word sequences of 3 utterances" in done.stderr and "1 utterances have none" in done.stderr
    lines = (decoded.parents[2] / "nbest.txt").read_text().splitlines()
    assert lines[:2] == ["en_4156-A_000100-000200-1 20.0000 4.0000 yes", "en_4156-A_000100-000200-2 30.0000 2.0000 no"]
    assert lines[2] == "sw_4390-A_000100-000200-1 20.0000 4.0000 yes uh can't [noise]" and len(lines) == 2 * len(SAID)
    done = run("steps/nbest", "--n", 1, "--lmwt", 8, "data/eval2000", decoded, "one.txt")
    assert {line.split()[3] for line in (decoded.parents[2] / "one.txt").read_text().splitlines()} == {"no"}, done.stderr
    (decoded.parents[2] / "few").mkdir()
    (decoded.parents[2] / "few/words.txt").write_text("<eps> 0\nyes 1\nno 2\n")
    done = run("steps/nbest", "--lmwt", 4, "few", decoded, "x.txt")
    assert done.returncode == 1 and "is not in words.txt" in done.stderr and "Traceback" not in done.stderr
    done = run("steps/nbest", "--n", 0, "--lmwt", 4, "few", decoded, "x.txt")
    assert done.returncode == 1 and "bad value" in done.stderr


@pytest.mark.slow
def test_oracle_step(run, decoded):
    data = decoded.parents[2] / "data/eval2000"
    (data / "acronyms.map").write_text("can't\ti b\n")
    (data / "text").write_text("".join(f"{utt} uh yes i b\n" for utt in sorted(SAID)) + "sw_4390-B_000050-000150 no no\n")
    done = run("steps/oracle_wer", data, data, decoded)
    assert done.returncode == 0, done.stderr
    # Without uh and [noise] and with letters, yes can't is yes i b; the others lack i b; of th- only rules could take care.
    assert read_wer(decoded / "oracle_wer") == Counts(words=11, ins=0, dels=5, sub=1, sentences=4, wrong=3, failed=1)
    assert done.stdout == f"%WER 54.55 [ 6 / 11, 0 ins, 5 del, 1 sub ] {decoded}/oracle_wer\nlattice depth 2.00 arcs a frame\n"
    assert (decoded / "oracle_text").read_text().splitlines()[1] == "sw_4390-A_000100-000200 yes i b"
    plain = run("steps/oracle_wer", "--rules", "none", data, data, decoded)
    assert "/ 14," in plain.stdout and "scoring rules none" in (decoded / "oracle_wer").read_text()
    with pytest.raises(Exception, match="without scores"):
        read_sweep(decoded)  # an oracle is no point of the sweep

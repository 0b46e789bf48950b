"""Posteriors of arcs and confidences of words against enumeration of all paths; steps/get_ctm."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.decoding.lattice import Lattice, LatticeWriter, timed_paths
from pytorch_nnet.decoding.posteriors import arc_posteriors, confidences
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.scoring.tune import given_or_tuned
from test_decoding_lattice import every_path, lattices
from test_stm_steps import SAID, decoded  # noqa: F401

scales = st.sampled_from([1.0, 5.0, 12.5])
penalties = st.sampled_from([-0.5, 0.0, 1.0])


def weighed(lattice, lmwt, wip):
    """Paths as [arcs], and the probability of each."""
    exits = defaultdict(list)
    for number, arc in enumerate(lattice.arcs.tolist()):
        exits[arc[0]].append((number, arc))
    found, stack = [], [(0, (), 0.0)]
    while stack:
        state, path, weight = stack.pop()
        if state == len(lattice.states) - 1:
            found.append((path, weight))
        stack += [(dst, (*path, number), weight + am / lmwt + graph - wip * (word > 0))
                  for number, (_, dst, word, am, graph) in exits[state]]
    largest = max(weight for _, weight in found)
    total = sum(math.exp(weight - largest) for _, weight in found)
    return [(path, math.exp(weight - largest) / total) for path, weight in found]


@settings(max_examples=50, deadline=None)
@given(lattices(), scales, penalties)
def test_posteriors_are_shares_of_the_paths(lattice, lmwt, wip):
    expected = np.zeros(len(lattice.arcs))
    for path, share in weighed(lattice, lmwt, wip):
        expected[list(path)] += share
    assert arc_posteriors(lattice, lmwt, wip) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(lattices(), scales, penalties)
def test_confidence_is_the_largest_share_that_speaks_the_word(lattice, lmwt, wip):
    frame = lattice.states["frame"]
    spoken = defaultdict(float)  # (word, frame) -> share of the paths
    for path, share in weighed(lattice, lmwt, wip):
        word = 0
        for number in path:
            src, dst, said, _, _ = lattice.arcs[number].tolist()
            word = said or word
            for moment in range(frame[src], frame[dst]):
                spoken[word, moment] += share
    path = timed_paths(lattice, [lmwt], [wip])[lmwt, wip]
    ends = [at for _, at in path[1:]] + [lattice.num_frames]
    found = confidences(lattice, path, lmwt, wip)
    assert found == pytest.approx([max(spoken[word, moment] for moment in range(at, end))
                                   for (word, at), end in zip(path, ends)], abs=1e-9)
    assert all(0 < sure <= 1 for sure in found)


def test_words_without_a_frame_of_their_own_and_no_words():
    # Two words at frame 0, as the decoder lays out an arc with several words, and beside them one word alone.
    lattice = Lattice.build([0, 1, 0], [1, 2, 2], [7, 8, 8], [0.0, -2.0, -2.0], [0.0, 0.0, 0.0], [0, 0, 4])
    assert confidences(lattice, [(7, 0), (8, 0)], 1.0, 0.0) == pytest.approx([0.5, 1.0])
    twice = Lattice.build([0, 1], [1, 2], [7, 7], [0.0, 0.0], [0.0, 0.0], [0, 0, 4])
    assert confidences(twice, [(7, 0), (7, 0)], 1.0, 0.0) == [1.0, 1.0]
    assert confidences(twice, [], 1.0, 0.0) == []


def test_a_lattice_with_one_path_is_sure_and_a_far_score_does_not_overflow():
    rng = np.random.default_rng(0)
    row = Lattice.build(np.arange(9), np.arange(1, 10), rng.integers(1, 4, 9), np.full(9, -1e5), np.full(9, -50.0), np.arange(10) * 3)
    path = timed_paths(row, [10.0], [0.0])[10.0, 0.0]
    assert len(every_path(row)) == 1 and confidences(row, path, 10.0, 0.0) == [1.0] * 9


@pytest.mark.slow
def test_get_ctm_step(run, decoded):
    words = decoded.parents[2] / "data/eval2000"
    done = run("steps/get_ctm", "--lmwt", 4, words, words, decoded, "out/test.ctm")
    assert done.returncode == 0 and "1 utterances have no words" in done.stderr, done.stderr
    lines = [line.split() for line in (decoded.parents[2] / "out/test.ctm").read_text().splitlines()]
    # Everything that was said, noises and cut words too; the other path, "no", has -9.5 against -9.
    assert [line[:5] for line in lines] == [
        ["en_4156", "A", "1.20", "0.50", "yes"], ["sw_4390", "A", "1.05", "0.25", "yes"], ["sw_4390", "A", "1.30", "0.20", "uh"],
        ["sw_4390", "A", "1.50", "0.40", "can't"], ["sw_4390", "A", "1.90", "0.10", "[noise]"], ["sw_4390", "A", "2.10", "0.50", "yes"],
        ["sw_4390", "A", "2.60", "0.40", "th-"]]
    assert {line[5] for line in lines} == {f"{1 / (1 + math.exp(-0.5)):.4f}"} and sum(map(len, SAID.values())) == len(lines)
    (decoded / "wer_6_0.5").write_text("x\n%WER 10.00 [ 1 / 10, 0 ins, 1 del, 0 sub ]\n%SER 50.00 [ 1 / 2 ]\n"
                                       "Scored 2 sentences, 0 not present in hyp.\n")
    done = run("steps/get_ctm", "--nj", 2, "--tuned-on", decoded, words, words, decoded, "tuned.ctm")
    assert done.returncode == 0 and "LM weight 6, insertion penalty 0.5" in done.stderr
    assert {line.split()[4] for line in (decoded.parents[2] / "tuned.ctm").read_text().splitlines()} == {"no"}
    with LatticeWriter(decoded / "lat.1.npz") as writer:
        writer.write("stranger", Lattice.build([0], [1], [1], [0.0], [0.0], [0, 5]))
    done = run("steps/get_ctm", "--lmwt", 4, words, words, decoded, "new.ctm")
    assert done.returncode == 1 and "neither decoded nor listed" in done.stderr and "Traceback" not in done.stderr


def test_pairs_that_are_not_given_once(tmp_path):
    for values in ((None, None, ""), (10.0, None, str(tmp_path)), (None, 0.5, str(tmp_path)), (0.0, None, "")):
        with pytest.raises(RecipeError):
            given_or_tuned(*values)
    assert given_or_tuned(10.0, None, "") == (10.0, 0.0) and given_or_tuned(9.0, 0.5, "") == (9.0, 0.5)

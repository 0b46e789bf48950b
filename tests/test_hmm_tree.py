"""Tree statistics, questions and the decision tree."""

import numpy as np
import pytest

from pytorch_nnet.hmm.gmm import with_squares
from pytorch_nnet.hmm.model import khg_tree
from pytorch_nnet.hmm.questions import loglike, phone_sets
from pytorch_nnet.hmm.stats import StatsAccumulator, TreeStats
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.hmm.tree import TreeBuilder, merge_leaves
from pytorch_nnet.io.errors import RecipeError
from toy_hmm import make_lang

SIL, SPN, A, B, C, D = range(1, 7)
DIM = 3


def frames(mean, count=200, seed=0):
    return with_squares(np.random.default_rng(seed).normal(mean, 0.5, (count, DIM))).sum(0)


def planted():
    """Phones b and c sound alike; the first state of a depends on whether b or c, or else d, stands before it."""
    events, sums = [], []
    base = {A: 0.0, B: 6.0, C: 6.5, D: -9.0}
    for phone, mean in base.items():
        for left in (A, B, C, D, SIL):
            for right in (B, D):
                for state in range(3):
                    lean = 2.0 if phone == A and state == 0 and left in (B, C) else 0.0
                    events.append((left, phone, right, state))
                    sums.append(frames(mean + state * 30.0 + lean, seed=len(events)))
    for state in range(5):
        events.append((0, SIL, 0, state))
        sums.append(frames(20.0 + 2 * state, seed=state))
    return TreeStats(np.array(events, np.int32), np.array(sums))


ROOTS = [(phone,) for phone in range(1, 7)]


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    return read_topology(make_lang(tmp_path_factory.mktemp("lang")) / "topo")


def builder(topology, stats=None, **options):
    stats = stats or planted()
    return TreeBuilder(stats, topology, ROOTS, phone_sets(stats, ROOTS, []), **options)


def test_loglike_is_that_of_the_best_gaussian():
    data = np.random.default_rng(0).normal(1, 2, (300, DIM))
    expected = -0.5 * (np.log(2 * np.pi * data.var(0)) + (data - data.mean(0)) ** 2 / data.var(0)).sum()
    assert loglike(with_squares(data).sum(0)) == pytest.approx(expected)
    assert loglike(np.zeros(7)) == 0


def test_questions_group_what_sounds_alike():
    sets = phone_sets(planted(), ROOTS, [(A, D)])
    assert phone_sets(planted(), ROOTS, [(D, A, D)]) == sets, "extra sets in any order"
    assert (B, C) in sets and (A, D) in sets and (0,) in sets and (A,) in sets
    assert (SIL, A, B, C, D) not in sets


def test_tree_finds_the_planted_context(topology):
    # Six roots, 4 more states of silence, 2 more of each of four phones, and the planted split.
    built = builder(topology).build(19, cluster_threshold=0)
    pdf = built.tree.pdf
    assert pdf((B, A, D), 0) == pdf((C, A, D), 0) != pdf((D, A, D), 0)
    assert pdf((B, A, D), 1) == pdf((D, A, D), 1)  # the second state does not depend on it
    assert len({pdf((0, SIL, 0), state) for state in range(5)}) == 5
    for left in range(7):  # silence has no context
        assert pdf((left, SIL, A), 0) == pdf((0, SIL, 0), 0)


def test_every_event_adds_to_the_pdf_the_tree_gives_it(topology):
    stats = planted()
    built = builder(topology, stats).build(30)
    library = khg_tree(built.tree)
    sums = np.zeros_like(built.sums)
    for (left, phone, right, state), row in zip(stats.events.tolist(), stats.sums):
        pdf = built.tree.pdf((left, phone, right), state)
        assert library.compute([left, phone, right], state) == (True, pdf)
        sums[pdf] += row
    np.testing.assert_allclose(sums, built.sums)
    assert built.tree.num_pdfs == len(built.sums)


def test_leaves_keep_enough_frames_and_their_number(topology):
    built = builder(topology, min_count=900).build(1000, cluster_threshold=0)
    counts = built.sums[:, 0]
    assert (counts[counts > 0] >= 900).all()
    assert builder(topology).build(12, cluster_threshold=0).tree.num_pdfs == 12
    with pytest.raises(RecipeError, match="too few leaves"):
        builder(topology).build(5)


def test_likelihood_rises_with_leaves(topology):
    totals = [loglike(builder(topology).build(n, cluster_threshold=0).sums).sum() for n in (6, 12, 20, 40)]
    assert totals == sorted(totals) and totals[0] < totals[-1]


def test_like_leaves_are_merged():
    same, other = frames(0, seed=1), frames(9, seed=2)
    assert merge_leaves([same, other, frames(0, seed=3)], 50.0) == [[0, 2], [1]]
    assert merge_leaves([same, other, frames(0, seed=3)], 0.0) == [[0], [1], [2]]


def test_phones_may_share_a_root(topology):
    stats, roots = planted(), [(SIL,), (SPN,), (A,), (B, C), (D,)]
    built = TreeBuilder(stats, topology, roots, phone_sets(stats, roots, [])).build(5)
    assert built.tree.pdf((A, B, D), 0) == built.tree.pdf((A, C, D), 0)
    split = TreeBuilder(stats, topology, roots, phone_sets(stats, roots, [])).build(40)
    assert split.tree.pdf((A, B, D), 0) != split.tree.pdf((A, C, D), 0)


def test_merged_parts_equal_the_whole():
    whole = planted()
    half = len(whole.events) // 2
    total = StatsAccumulator(None, ())
    total.merge(TreeStats(whole.events[half:], whole.sums[half:]))
    total.merge(TreeStats(whole.events[:half + 5], whole.sums[:half + 5]))
    total.merge(StatsAccumulator(None, ()).result())  # of a job whose utterances all failed
    result = total.result()
    assert result.events.tolist() == sorted(whole.events.tolist())
    overlap = result.sums[[result.events.tolist().index(e) for e in whole.events[half:half + 5].tolist()]]
    np.testing.assert_allclose(overlap, 2 * whole.sums[half:half + 5])

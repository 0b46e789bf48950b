"""Diagonal Gaussian mixtures against plain computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_nnet.hmm import gmm
from pytorch_nnet.hmm.model import khg_gaussians

rng = np.random.default_rng(3)


def toy(sizes, dim=4, seed=0):
    r = np.random.default_rng(seed)
    weights = np.concatenate([r.dirichlet(np.ones(n)) for n in sizes])
    return gmm.gaussians_from_moments(weights, r.normal(size=(len(weights), dim)), r.uniform(0.2, 2, (len(weights), dim)),
                                      np.concatenate([[0], np.cumsum(sizes)]))


def naive_scores(model, x, pdf):
    """log(weight * density) of each Gaussian of a pdf for one frame, from the definition."""
    means, variances = gmm.moments(model)
    rows = range(model.offsets[pdf], model.offsets[pdf + 1])
    return np.array([np.log(model.weights[g]) - 0.5 * np.sum(np.log(2 * np.pi * variances[g]) + (x - means[g]) ** 2 / variances[g])
                     for g in rows])


def test_scores_equal_the_definition_and_the_library():
    model = toy([2, 1, 3])
    feats = rng.normal(size=(700, 4)).astype(np.float32)  # more than one block
    scores = gmm.MixtureScorer(model)(feats)
    assert scores.shape == (700, 3) and scores.dtype == np.float32
    library = khg_gaussians(model)
    for t in (0, 511, 512, 699):
        for pdf in range(3):
            expected = np.logaddexp.reduce(naive_scores(model, feats[t], pdf))
            assert scores[t, pdf] == pytest.approx(expected, abs=1e-4)
            assert library.log_likelihood(pdf, feats[t]) == pytest.approx(expected, abs=1e-4)


def test_statistics_equal_a_plain_loop():
    model = toy([2, 1, 3, 2])
    feats, pdfs = rng.normal(size=(60, 4)), rng.choice([0, 2, 3], 60)  # pdf 1 sees nothing
    expected, loglike = np.zeros((model.num_gauss, 9)), 0.0
    for x, pdf in zip(feats, pdfs):
        scores = naive_scores(model, x, pdf)
        total = np.logaddexp.reduce(scores)
        loglike += total
        expected[model.offsets[pdf]:model.offsets[pdf + 1]] += np.outer(np.exp(scores - total), [1, *x, *x * x])
    statistics, found = gmm.accumulate(model, feats, pdfs)
    np.testing.assert_allclose(statistics, expected, atol=1e-4)
    assert found == pytest.approx(loglike, rel=1e-6)


def test_em_never_loses_likelihood():
    feats = np.concatenate([rng.normal(m, 0.5, (200, 4)) for m in (-2, 0, 3)])
    pdfs = np.repeat([0, 1, 1], 200)
    model, previous = toy([3, 3], seed=5), -np.inf
    for _ in range(8):
        statistics, loglike = gmm.accumulate(model, feats, pdfs)
        assert loglike >= previous - 1e-6 * abs(loglike)
        previous = loglike
        model = gmm.update(model, statistics, min_occupancy=1.0)
    assert loglike / 600 > -4.5  # the entropy of the source is 4 * 0.73 = 2.9 nats, and the mixture's choice


def test_thin_gaussians_are_removed_but_never_the_last():
    model = toy([2, 2, 2])
    statistics = np.zeros((6, 9))
    statistics[:, 0] = [50, 1, 2, 3, 0, 0]
    statistics[:, 5:] = 1e3
    updated = gmm.update(model, statistics)
    assert np.diff(updated.offsets).tolist() == [1, 1, 2]  # thin one gone; best of two thin ones kept; no data, no change
    np.testing.assert_allclose(updated.inv_vars[1], model.inv_vars[3])
    np.testing.assert_allclose(updated.weights, [1, 1, *model.weights[4:]], rtol=1e-6)


def test_variances_are_floored():
    model = toy([1])
    statistics, _ = gmm.accumulate(model, np.ones((100, 4)), np.zeros(100, int))
    np.testing.assert_allclose(gmm.moments(gmm.update(model, statistics))[1], gmm.MIN_VARIANCE, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=2, max_size=8, unique=True), st.integers(0, 60))
def test_split_targets(occupancies, total):
    sizes = np.ones(len(occupancies), int)
    targets = gmm.split_targets(np.array(occupancies, float), sizes, total, power=0.25)
    assert (targets >= sizes).all() and targets.sum() <= max(total, len(sizes))
    for count, target in zip(occupancies, targets):
        assert target == 1 or target * 20 < count
    ranked = targets[np.argsort(occupancies)]
    assert (np.diff(ranked) >= 0).all()  # more data, never fewer Gaussians


def test_splitting_keeps_weight_and_mean_and_is_deterministic():
    model = toy([1, 2])
    first, second = (gmm.split(model, np.array([4, 2])) for _ in range(2))
    assert np.diff(first.offsets).tolist() == [4, 2]
    assert np.array_equal(first.means_invvars, second.means_invvars)
    assert first.weights[:4].sum() == pytest.approx(1) and len({tuple(m) for m in gmm.moments(first)[0][:4]}) == 4
    np.testing.assert_allclose(gmm.moments(first)[0][:4].mean(0), gmm.moments(model)[0][0], atol=0.05)
    assert np.array_equal(first.weights[4:], model.weights[1:])


def test_rounded_sums_do_not_depend_on_their_order():
    parts = [gmm.on_grid(part) for part in rng.normal(0, 1e5, (50, 20))]
    forward, backward, halves = np.zeros(20), np.zeros(20), np.zeros(20)
    for part in parts:
        forward += part
    for part in reversed(parts):
        backward += part
    halves = sum(parts[:17], np.zeros(20)) + sum(parts[17:], np.zeros(20))
    assert np.array_equal(forward, backward) and np.array_equal(forward, halves)


def test_pdfs_without_data_start_from_all_data():
    feats = rng.normal(2, 1, (500, 3))
    sums = np.stack([gmm.with_squares(feats).sum(0), np.zeros(7)])
    means, variances = gmm.moments(gmm.single_gaussians(sums))
    np.testing.assert_allclose(means[1], feats.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variances[1], feats.var(0), rtol=1e-4)

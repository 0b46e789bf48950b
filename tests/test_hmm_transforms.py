"""LDA, MLLT and fMLLR: planted transforms are found again, and what is found is stationary by automatic differentiation."""

import numpy as np
import pytest
import torch

from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.hmm.features import FeatureOptions, apply_transform, read_transforms, remove_transforms, write_transforms
from pytorch_nnet.hmm.fmllr import FmllrStats
from pytorch_nnet.hmm.gmm import gaussians_from_moments, moments, posteriors
from pytorch_nnet.hmm.lda import LdaStats
from pytorch_nnet.hmm.mllt import estimate_mllt, mllt_statistics
from pytorch_nnet.io.errors import RecipeError

DIM, PDFS, EACH = 4, 6, 2


@pytest.fixture(scope="module")
def system():
    """Gaussians (two a pdf), 6000 frames drawn from them, and the frames' pdfs."""
    rng = np.random.default_rng(5)
    means, variances = rng.normal(0, 3, (PDFS * EACH, DIM)), rng.uniform(0.3, 2, (PDFS * EACH, DIM))
    gaussians = gaussians_from_moments(np.full(PDFS * EACH, 1 / EACH), means, variances, np.arange(PDFS + 1) * EACH)
    component = rng.integers(0, PDFS * EACH, 6000)
    frames = means[component] + rng.normal(size=(6000, DIM)) * np.sqrt(variances[component])
    return gaussians, frames.astype(np.float32), component // EACH


def loglike(gaussians, frames: torch.Tensor, found) -> torch.Tensor:
    """Expected log-likelihood of frames, in the order of the posteriors, with the posteriors held: what EM maximises."""
    means, variances = (torch.from_numpy(a) for a in moments(gaussians))
    total = torch.zeros((), dtype=torch.float64)
    for a, b, low, high in found.spans:
        gamma = torch.from_numpy(found.values[a:b, :high - low])
        distance = (frames[a:b, None] - means[None, low:high]) ** 2 / variances[None, low:high]
        total = total - 0.5 * (gamma * distance.sum(-1)).sum()
    return total


def test_lda_finds_the_direction_that_tells_classes_apart():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(5, 5))
    pdfs = rng.integers(0, 8, 4000)
    hidden = rng.normal(size=(4000, 5))
    hidden[:, 2] += 4 * rng.normal(size=8)[pdfs]
    frames = hidden @ mixing.T
    parts = [LdaStats.of(frames[part], pdfs[part], 9) for part in (slice(0, 1000), slice(1000, None))]  # class 8 is never seen
    stats = LdaStats(*(getattr(parts[0], name) + getattr(parts[1], name) for name in ("counts", "sums", "second")))
    matrix = stats.estimate(3)
    projected = frames @ matrix.T
    assert abs(np.corrcoef(projected[:, 0], hidden[:, 2])[0, 1]) > 0.99
    means = np.stack([projected[pdfs == pdf].mean(0) for pdf in range(8)])
    np.testing.assert_allclose(np.cov((projected - means[pdfs]).T, bias=True), np.eye(3), atol=1e-3)
    with pytest.raises(RecipeError, match="LDA is impossible"):
        stats.estimate(6)


def test_mllt_undoes_a_rotation_and_is_stationary(system):
    gaussians, frames, pdfs = system
    rotated = (frames @ np.linalg.qr(np.random.default_rng(2).normal(size=(DIM, DIM)))[0]).astype(np.float32)
    # Gaussians as EM would have them in the rotated space, with the frames' true components.
    found = posteriors(gaussians, frames, pdfs)
    count = found.sums(np.ones((len(frames), 1)))
    means = found.sums(rotated[found.order].astype(np.float64)) / count
    variances = found.sums(rotated[found.order].astype(np.float64) ** 2) / count - means ** 2
    blurred = gaussians_from_moments(np.full(len(means), 1 / EACH), means, variances, gaussians.offsets)
    g, beta = mllt_statistics(blurred, rotated, posteriors(blurred, rotated, pdfs))
    matrix, gain = estimate_mllt(g, beta)
    assert gain > 0.03 and beta == len(frames)

    a = torch.tensor(matrix, requires_grad=True)
    objective = beta * torch.linalg.slogdet(a)[1] - 0.5 * torch.einsum("di,dij,dj->", a, torch.from_numpy(g), a)
    objective.backward()
    assert a.grad.abs().max() < 1e-3 * beta

    # G_d by its definition, for one d.
    held = posteriors(blurred, rotated, pdfs)
    centred, x = np.zeros((DIM, DIM)), rotated[held.order].astype(np.float64)
    means, variances = moments(blurred)
    for first, end, low, high in held.spans:
        for index in range(low, high):
            apart = x[first:end] - means[index]
            centred += (apart * held.values[first:end, index - low, None] / variances[index, 1]).T @ apart
    np.testing.assert_allclose(g[1], centred, rtol=1e-3, atol=1e-2)


def test_fmllr_finds_a_speakers_distortion(system):
    gaussians, frames, pdfs = system
    rng = np.random.default_rng(3)
    distortion, shift = np.eye(DIM) + 0.15 * rng.normal(size=(DIM, DIM)), rng.normal(size=DIM)
    heard = (frames @ distortion.T + shift).astype(np.float32)
    transform, first_gain = FmllrStats.of(gaussians, heard, posteriors(gaussians, heard, pdfs)).estimate()
    for _ in range(4):
        found = posteriors(gaussians, apply_transform(heard, transform), pdfs)
        stats = FmllrStats.of(gaussians, heard, found)
        transform, gain = stats.estimate(transform)
    assert first_gain > 1 > gain >= 0
    assert np.sqrt(np.mean((apply_transform(heard, transform) - frames) ** 2)) < 0.1

    w = torch.tensor(transform, requires_grad=True)
    x = torch.from_numpy(heard[found.order].astype(np.float64))
    (len(x) * torch.linalg.slogdet(w[:, :DIM])[1] + loglike(gaussians, x @ w[:, :DIM].T + w[:, DIM], found)).backward()
    assert w.grad.abs().max() < 1e-3 * len(x)


def test_a_speaker_of_few_frames_is_not_adapted(system):
    gaussians, frames, pdfs = system
    stats = FmllrStats.of(gaussians, frames[:499], posteriors(gaussians, frames[:499], pdfs[:499]))
    transform, gain = stats.estimate()
    assert gain == 0 and np.array_equal(transform, np.eye(DIM, DIM + 1))
    assert not np.array_equal(stats.estimate(min_count=100)[0], transform)


def test_feature_files_round_trip(tmp_path):
    matrix = np.random.default_rng(4).normal(size=(5, 6)).astype(np.float32)
    options = FeatureOptions(norm_vars=True, deltas=False, left=1, right=1, matrix=matrix)
    options.write(tmp_path)
    loaded = FeatureOptions.read(tmp_path)
    assert loaded == options and np.array_equal(loaded.matrix, matrix)
    static = np.arange(8, dtype=np.float32).reshape(4, 2)
    spliced = np.stack([np.concatenate([static[max(t - 1, 0)], static[t], static[min(t + 1, 3)]]) for t in range(4)])
    np.testing.assert_allclose(loaded.complete(static), spliced @ matrix.T, rtol=1e-5)
    with pytest.raises(RecipeError, match="transform and features disagree"):
        apply_transform(static, matrix)
    (tmp_path / "feature_opts").unlink()
    (tmp_path / "splice_opts").unlink()
    kaldi = FeatureOptions.read(tmp_path)  # Kaldi's directories say no more than that there is a final.mat
    assert (kaldi.left, kaldi.right, kaldi.deltas) == (4, 4, False)
    FeatureOptions().write(tmp_path)
    assert FeatureOptions.read(tmp_path) == FeatureOptions() and FeatureOptions.read(tmp_path).matrix is None, "no matrix of another training"


def test_transforms_are_found_in_any_number_of_archives(tmp_path):
    data = DataDir(tmp_path, {"a-1": "a", "a-2": "a", "b-1": "b", "c-1": "c"})
    matrices = {speaker: np.full((2, 3), number, np.float32) for number, speaker in enumerate(data.spk2utt)}
    speakers = list(matrices)
    write_transforms(tmp_path / "trans.1", {speakers[0]: matrices[speakers[0]], "stranger": matrices[speakers[0]]})
    with pytest.raises(RecipeError, match="without a transform"):
        read_transforms(tmp_path, data)
    write_transforms(tmp_path / "trans.2", {speaker: matrices[speaker] for speaker in speakers[1:]})
    assert {s: m.tolist() for s, m in read_transforms(tmp_path, data).items()} == {s: m.tolist() for s, m in matrices.items()}
    write_transforms(tmp_path / "trans.12", {speakers[2]: matrices[speakers[0]]})
    with pytest.raises(RecipeError, match="speaker with two transforms"):
        read_transforms(tmp_path, data)
    remove_transforms(tmp_path)
    assert not list(tmp_path.glob("trans.*"))

"""Whole-utterance evaluation of the CNNs equals window-by-window evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad

from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW
from pytorch_nnet.io.options import load_config
from pytorch_nnet.models import shared
from pytorch_nnet.models.architecture import Architecture, shape_from
from pytorch_nnet.models.network import BATCH, window_logits
from pytorch_nnet.models.registry import build_network

MINI = Path(__file__).resolve().parents[1] / "egs/switchboard/conf/mini"
TINY = {"vision": dict(channels=[3, 4, 5], hidden=[8, 8]), "sainath": dict(channels=[3, 4], hidden=[8])}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


def mini(name):
    config = load_config(MINI / name)
    return shape_from(config)


def tiny(arch):
    return Architecture(arch, **TINY[arch])


def network(shape, dtype=torch.float64, seed=0):
    """A network whose biases are not zero, as they are before training: a bias counted twice must show."""
    torch.manual_seed(seed)
    module = build_network(shape, 7).to(dtype).eval()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    return module


def utterance(frames, dtype=torch.float64):
    rows = np.random.default_rng(frames).standard_normal((frames, DIM))
    return pad(torch.from_numpy(rows).to(dtype), (0, 0, CONTEXT, CONTEXT))


def by_window(module, padded):
    windows = padded.unfold(0, WINDOW, 1).transpose(1, 2)
    return torch.cat([module(part) for part in windows.split(BATCH)])


@torch.inference_mode()
def difference(module, frames, batch=BATCH):
    dtype = next(module.parameters()).dtype
    padded = utterance(frames, dtype)
    expected, found = by_window(module, padded), window_logits(module, padded, batch)
    assert found.shape == expected.shape == (frames, 7)
    return float((found - expected).abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("arch", TINY)
def test_every_short_length_and_the_ends_of_pieces(arch, dtype):
    module = network(tiny(arch), dtype)
    for frames in (*range(1, 61), BATCH - 1, BATCH, BATCH + 1):
        assert difference(module, frames) < TOLERANCE[dtype], frames


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("config", ["cnn.yaml", "sainath.yaml"])
def test_networks_of_the_mini_recipe(config, dtype):
    module = network(mini(config), dtype)
    for frames in (1, 2, 3, 17, 18, 41, 60, BATCH + 1):
        assert difference(module, frames) < TOLERANCE[dtype], frames


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(arch=st.sampled_from(sorted(TINY)), frames=st.integers(1, 3000), batch=st.integers(1, 700), seed=st.integers(0, 99))
def test_any_length_and_any_batch(arch, frames, batch, seed):
    batch = max(batch, frames // 20)  # some twenty pieces at most
    assert difference(network(tiny(arch), seed=seed), frames, batch) < 1e-11


def test_edges_matter(monkeypatch):
    # Without the products of the windows' own columns nothing is equal: the tests above see the edges.
    products = shared.edge_products
    monkeypatch.setattr(shared, "edge_products", lambda edge, convolution, x: products(
        None if edge is None else torch.zeros_like(edge), convolution, x))
    assert difference(network(tiny("vision")), 100) > 1e-3


@pytest.mark.parametrize("arch", TINY)
def test_posteriors_are_computed_so_in_pieces(arch, monkeypatch):
    module, lengths = network(tiny(arch)), []
    evaluate = module.utterance_logits
    monkeypatch.setattr(module, "forward", None)
    monkeypatch.setattr(module, "utterance_logits", lambda rows: lengths.append(len(rows)) or evaluate(rows))
    with torch.inference_mode():
        assert window_logits(module, utterance(25), batch=10).shape == (25, 7)
    assert lengths == [50, 50, 45]

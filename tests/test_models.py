"""Networks: sizes, the LSTM's equations, windows and padding, directories and ensembles."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from conftest import ROOT
from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.options import record
from pytorch_nnet.models import load_model, products
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.model_dir import make_ensemble, save_model
from pytorch_nnet.models.networks.blstm import BidirectionalLayer, Blstm, Recurrence
from pytorch_nnet.models.registry import build_network, count_parameters

TINY = {"dnn": dict(hidden=[8, 8], splice=2), "vision": dict(channels=[3, 4, 5], hidden=[8, 8]),
        "sainath": dict(channels=[3, 4], hidden=[8]), "blstm": dict(hidden=[6, 6])}


@pytest.mark.parametrize("arch, hidden, expected", [
    ("vision", None, 76_765_704), ("sainath", None, 74_678_468), ("blstm", [512] * 4, 30_352_168),
    ("blstm", [800] * 4, 65_852_200)])
def test_paper_sizes(arch, hidden, expected):
    with torch.device("meta"):
        network = build_network(Architecture(arch, "paper", hidden=hidden), 9000)
    assert count_parameters(network) == expected


def naive_blstm(network: Blstm, window: torch.Tensor) -> torch.Tensor:
    """The supplement's equations, one window (T, dim), one frame and one direction at a time, over the whole window."""
    sequence = list(window)
    for layer in network.layers:
        directions = []
        for d in range(2):
            w, r, b, p = layer.weight[d], layer.recurrent[d], layer.bias[d], layer.peepholes[d]
            (wi, wf, wc, wo), (ri, rf, rc, ro), (bi, bf, bc, bo) = w.chunk(4), r.chunk(4), b.chunk(4)
            h = c = window.new_zeros(layer.recurrent.shape[2])
            outputs = []
            for x in sequence if d == 0 else sequence[::-1]:
                i = torch.sigmoid(wi @ x + ri @ h + p[0] * c + bi)
                f = torch.sigmoid(wf @ x + rf @ h + p[1] * c + bf)
                c = f * c + i * torch.tanh(wc @ x + rc @ h + bc)
                o = torch.sigmoid(wo @ x + ro @ h + p[2] * c + bo)
                h = o * torch.tanh(c)
                outputs.append(h)
            directions.append(outputs if d == 0 else outputs[::-1])
        sequence = [torch.cat(pair) for pair in zip(*directions)]
    return network.output(sequence[len(sequence) // 2][None])[0]


@pytest.fixture
def small_blstm():
    torch.manual_seed(1)
    network = Blstm([5, 4, 3], num_classes=7, dim=6).double()
    with torch.no_grad():
        for layer in network.layers:
            layer.peepholes.normal_()  # zero at the start, which would hide a mistake
            layer.bias.normal_()
    return network


def test_blstm_equals_the_equations(small_blstm):
    # The reference runs the last layer over the whole window: the truncation at the middle frame must not show.
    windows = torch.randn(3, 9, 6, dtype=torch.double)
    expected = torch.stack([naive_blstm(small_blstm, window) for window in windows])
    torch.testing.assert_close(small_blstm(windows), expected, rtol=1e-12, atol=1e-12)


def test_blstm_gradients_equal_autograd_of_the_equations(small_blstm):
    windows, labels = torch.randn(3, 9, 6, dtype=torch.double), torch.tensor([0, 3, 6])
    losses = [cross_entropy(small_blstm(windows), labels),
              cross_entropy(torch.stack([naive_blstm(small_blstm, window) for window in windows]), labels)]
    ours, theirs = (torch.autograd.grad(loss, list(small_blstm.parameters())) for loss in losses)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_recurrence_gradcheck():
    torch.manual_seed(0)
    shapes = ((5, 3, 2), (2, 8, 3), (2, 8), (2, 8, 2), (2, 3, 2))  # x, weight, bias, recurrent, peepholes
    inputs = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in shapes]
    for steps in (5, 3):
        assert torch.autograd.gradcheck(Recurrence.apply, (*inputs, steps))


@pytest.mark.parametrize("frames", [41, 21])
def test_large_and_small_layers_agree(monkeypatch, frames):
    """The two ways to multiply, one for each step by oneDNN and one for all steps, at a size that both take."""
    torch.manual_seed(0)
    layer = BidirectionalLayer(60, 64)
    results = []
    for small in (products.SMALL, 0):
        monkeypatch.setattr(products, "SMALL", small)
        assert products.onednn_pays(layer.weight[0], 16) == (products.ONEDNN and small == 0)
        x = torch.linspace(-1, 1, frames * 60 * 16).view(frames, 60, 16).sin().requires_grad_()
        for last in (False, True):
            y = layer(x, last)
            results.append([y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    for one, other in zip(results[:2], results[2:]):
        for a, b in zip(one, other):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_products_of_any_size_and_layout_are_torchs():
    torch.manual_seed(0)
    for rows, inner, columns in ((3, 5, 2), (256, 200, 130), (2048, 31, 128)):
        assert (rows * inner * columns >= products.SMALL) == (rows > 3)
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        expected = (a.double() @ b.double()).float()
        torch.testing.assert_close(products.product(a, b), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(products.product(a.t().contiguous().t(), b.t().contiguous().t()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_networks_on_the_meta_device_need_no_compiler():
    """What `load_network` begins with: every command that loads a network would start 1.6 s later."""
    code = """
import sys, torch
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.model_dir import Undrawn
from pytorch_nnet.models.networks import KINDS
from pytorch_nnet.models.registry import build_network
before = torch.random.get_rng_state()
for kind in KINDS:
    with torch.device("meta"), Undrawn():
        network = build_network(Architecture(kind, "mini").resolved(), 50)
    assert all(weight.is_meta for weight in network.parameters()), kind
    assert "torch._dynamo" not in sys.modules, kind
assert torch.equal(before, torch.random.get_rng_state())
print(*KINDS)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert set(TINY) < set(result.stdout.split())


def tiny_network(tmp_path, arch="vision", name="net", seed=0, label_map="tree", counts=(5, 0, 3, 2)):
    torch.manual_seed(seed)
    shape = Architecture(arch, **TINY[arch]).resolved()
    save_model(tmp_path / name, build_network(shape, 4), options=record(shape), counts=np.array(counts), info={
        "num_classes": 4, "dim": DIM, "cmvn": {"norm_means": True, "norm_vars": True}, "label_map": label_map})
    return load_model(tmp_path / name)


@pytest.mark.parametrize("arch", TINY)
@pytest.mark.parametrize("frames", [1, 3, 60])
def test_posteriors_are_those_of_zero_padded_windows(tmp_path, arch, frames):
    network = tiny_network(tmp_path, arch)
    features = np.random.default_rng(frames).standard_normal((frames, DIM)).astype(np.float32)
    padded = np.concatenate([np.zeros((CONTEXT, DIM)), features, np.zeros((CONTEXT, DIM))]).astype(np.float32)
    windows = torch.from_numpy(np.stack([padded[t:t + WINDOW] for t in range(frames)]))
    with torch.no_grad():
        expected = torch.softmax(network.module(windows), 1).numpy()
    found = network.posteriors(features)
    assert found.shape == (frames, 4) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("arch", TINY)
def test_every_parameter_learns(arch):
    network = build_network(Architecture(arch, **TINY[arch]), 4)
    cross_entropy(network(torch.randn(16, WINDOW, DIM)), torch.arange(16) % 4).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("arch", ["dnn", "vision"])
def test_medium_precision_is_close(arch):
    # 'medium' may multiply in bfloat16: 8 bits of mantissa.
    torch.manual_seed(0)
    network, windows = build_network(Architecture(arch), 50), torch.randn(8, WINDOW, DIM)
    with torch.no_grad():
        exact = network(windows)
        torch.set_float32_matmul_precision("medium")
        try:
            close = network(windows)
        finally:
            torch.set_float32_matmul_precision("highest")
    assert (close - exact).abs().max() < 0.05 * exact.std()


def test_priors_and_unseen_class(tmp_path):
    network = tiny_network(tmp_path)
    np.testing.assert_allclose(network.priors, np.array([5, 1, 3, 2]) / 11)


def test_ensemble_averages_posteriors(tmp_path):
    one, two = tiny_network(tmp_path, "vision", "one"), tiny_network(tmp_path, "blstm", "two", seed=1)
    made = make_ensemble(tmp_path / "both", [f"{tmp_path}/one:3", f"{tmp_path}/two"])
    features = np.random.default_rng(0).standard_normal((5, DIM)).astype(np.float32)
    expected = 0.75 * one.posteriors(features) + 0.25 * two.posteriors(features)
    loaded = load_model(tmp_path / "both")
    for ensemble in (made, loaded):
        np.testing.assert_allclose(ensemble.posteriors(features), expected, rtol=1e-5, atol=1e-7)
        assert ensemble.parameters == one.parameters + two.parameters
    # An ensemble of an ensemble weighs the members of members.
    nested = make_ensemble(tmp_path / "nested", [f"{tmp_path}/both", f"{tmp_path}/one"])
    np.testing.assert_allclose([weight for _, weight in nested.members], [0.375, 0.125, 0.5])
    # Member names are relative, so that an exp/ can be moved as a whole.
    (tmp_path / "moved").mkdir()
    for name in ("one", "two", "both"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    np.testing.assert_array_equal(load_model(tmp_path / "moved" / "both").posteriors(features),
                                  loaded.posteriors(features))


def test_ensemble_refuses_other_labels(tmp_path):
    tiny_network(tmp_path, name="one")
    tiny_network(tmp_path, name="two", label_map="another tree")
    with pytest.raises(RecipeError, match="label_map"):
        make_ensemble(tmp_path / "both", [str(tmp_path / "one"), str(tmp_path / "two")])
    assert not (tmp_path / "both").exists()


def test_damaged_directories_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="missing input"):
        load_model(tmp_path / "nothing")
    tiny_network(tmp_path)
    weights = tmp_path / "net" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-20])
    with pytest.raises(RecipeError, match="damaged"):
        load_model(tmp_path / "net")
    weights.write_bytes(whole)
    info = json.loads((tmp_path / "net" / "info.json").read_text())
    (tmp_path / "net" / "info.json").write_text(json.dumps({**info, "num_classes": 5}))
    with pytest.raises(RecipeError, match="head.output"):
        load_model(tmp_path / "net")


def test_devices_that_are_not_there_are_refused(tmp_path):
    tiny_network(tmp_path)
    for device in ("gpu", "cpu:x"):
        with pytest.raises(RecipeError, match="device") as error:
            load_model(tmp_path / "net", device)
        assert error.value.found == device


def test_features_of_the_wrong_width_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="wrong shape"):
        tiny_network(tmp_path).posteriors(np.zeros((5, 13), np.float32))


def test_shapes_are_checked():
    with pytest.raises(RecipeError, match="unknown arch"):
        Architecture("transformer").resolved()
    with pytest.raises(RecipeError, match="impossible network shape"):
        Architecture("vision", channels=[16, 32]).resolved()
    with pytest.raises(RecipeError, match="more context"):
        Architecture("dnn", splice=21).resolved()
    assert Architecture("blstm", "paper").display_name() == "BLSTM 4x512"

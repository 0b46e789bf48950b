"""pytorch-nnet export: what onnxruntime computes of the file is what torch computes of the directory."""

import json

import numpy as np
import pytest
import torch

from pytorch_nnet.decoding.forward import POSTERIOR_FLOOR, PRIOR_FLOOR, scaled_loglikes
from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.options import record
from pytorch_nnet.models import load_model
from pytorch_nnet.models.architecture import Architecture
from pytorch_nnet.models.model_dir import make_ensemble, save_model
from pytorch_nnet.models.registry import build_network
from pytorch_nnet.recognition.cli import main
from test_models import TINY, tiny_network

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements/dev.txt)")
pytest.importorskip("onnx", reason="onnx is not installed (requirements/dev.txt)")


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture
def exported(tmp_path):
    """Exports a directory as the command does and opens the file."""

    def export(folder, *options):
        main(["export", "--model", str(folder), *map(str, options), str(tmp_path / "out.onnx")])
        return session(tmp_path / "out.onnx")

    return export


def with_peepholes(folder, arch):
    """A network whose peepholes and biases are not the zeros they start from, which would hide a gate in the wrong place."""
    torch.manual_seed(3)
    shape = Architecture(arch, **TINY[arch]).resolved()
    network = build_network(shape, 4)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1 or "peepholes" in name or "bias" in name:
                parameter.normal_()
    save_model(folder, network, options=record(shape), counts=np.array([5, 0, 3, 2]), info={
        "num_classes": 4, "dim": DIM, "cmvn": {"norm_means": True, "norm_vars": True}, "label_map": "tree",
        "extractor": {"feature_type": "root-fbank"}})
    return load_model(folder)


@pytest.mark.parametrize("arch", TINY)
def test_every_network_computes_the_same(tmp_path, exported, arch):
    model = with_peepholes(tmp_path / "net", arch)
    runtime = exported(tmp_path / "net", "--prior-scale", 0.5)
    for batch in (1, 7):
        windows = np.random.default_rng(batch).standard_normal((batch, WINDOW, DIM)).astype(np.float32)
        with torch.no_grad():
            posteriors = torch.softmax(model.module(torch.from_numpy(windows)), 1).numpy()
        log_posteriors, loglikes = runtime.run(["log_posteriors", "log_likelihoods"], {"windows": windows})
        np.testing.assert_allclose(log_posteriors, np.log(np.maximum(posteriors, POSTERIOR_FLOOR)), atol=1e-4)
        expected = scaled_loglikes(posteriors, 0.5 * np.log(np.maximum(model.priors, PRIOR_FLOOR)))
        np.testing.assert_allclose(loglikes, expected, atol=1e-4)


def test_a_file_scores_an_utterance_as_the_recipe_does(tmp_path, exported):
    for name, arch in (("cnn", "vision"), ("lstm", "blstm")):
        tiny_network(tmp_path, arch, name)
    make_ensemble(tmp_path / "both", [f"{tmp_path}/cnn:3", f"{tmp_path}/lstm"])
    features = np.random.default_rng(0).standard_normal((30, DIM)).astype(np.float32)
    padded = np.pad(features, ((CONTEXT, CONTEXT), (0, 0)))
    windows = np.stack([padded[t:t + WINDOW] for t in range(len(features))])
    found, = exported(tmp_path / "both").run(["log_posteriors"], {"windows": windows})
    np.testing.assert_allclose(np.exp(found), load_model(tmp_path / "both").posteriors(features), atol=1e-5)


def test_the_file_says_what_it_is(tmp_path, exported):
    model = with_peepholes(tmp_path / "net", "dnn")
    runtime = exported(tmp_path / "net")
    facts = runtime.get_modelmeta().custom_metadata_map
    assert facts["format"] == "pytorch_nnet onnx 1" and facts["label_map"] == "tree" and facts["sha256"] == model.sha256
    assert json.loads(facts["classes"]) == 4 and json.loads(facts["extractor"]) == {"feature_type": "root-fbank"}
    np.testing.assert_array_equal(json.loads(facts["priors"]), model.priors)
    assert runtime.get_inputs()[0].shape == ["windows", WINDOW, DIM]
    assert [(output.name, output.shape) for output in runtime.get_outputs()] == [
        ("log_posteriors", ["windows", 4]), ("log_likelihoods", ["windows", 4])]
    first = (tmp_path / "out.onnx").read_bytes()
    exported(tmp_path / "net")
    assert (tmp_path / "out.onnx").read_bytes() == first


def test_mistakes_are_named(tmp_path):
    for arguments, message in (([], "which network"), (["--model", "none"], "missing input")):
        with pytest.raises(RecipeError, match=message):
            main(["export", *arguments, str(tmp_path / "x.onnx")])
        assert not (tmp_path / "x.onnx").exists()

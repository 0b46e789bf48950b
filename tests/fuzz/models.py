"""Networks, ensembles, packages and checkpoints."""

import json

import numpy as np
import torch

from fuzz.corpus import temporary
from fuzz.harness import target
from pytorch_nnet.decoding.search import SearchOptions
from pytorch_nnet.features.fbank import FbankConfig
from pytorch_nnet.io.options import record
from pytorch_nnet.models.model_dir import load_model, save_model
from pytorch_nnet.models.registry import build_network
from pytorch_nnet.recognition.package import Package, open_package, write_package
from pytorch_nnet.training.checkpoint import load_checkpoint, save_checkpoint
from pytorch_nnet.training.options import TrainOptions

ENSEMBLE = "members:\n- one\n- two\nweights:\n- 0.25\n- 0.75\n"


def write_networks(folder) -> None:
    options = TrainOptions(arch="dnn", hidden=[4], splice=1).resolved()
    extractor = {"feature_type": FbankConfig.feature_type, "frame_shift": 10.0}
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)
        save_model(
            folder / "exp" / name,
            build_network(options, 3, 31),
            options=record(options),
            counts=np.array([3, 4, 5]),
            info={"num_classes": 3, "dim": 31, "cmvn": {"norm_means": True, "norm_vars": False}, "label_map": "", "extractor": extractor},
        )
    (folder / "exp/both").mkdir()
    (folder / "exp/both/ensemble.yaml").write_text(ENSEMBLE)


def computes(network) -> None:
    posteriors = network.posteriors(np.ones((4, 31), np.float32))
    assert (
        posteriors.shape == (4, 3)
        and np.isfinite(posteriors).all()
        and np.allclose(posteriors.sum(1), 1, atol=1e-4)
        and np.isfinite(network.priors).all()
    )
    assert (network.priors > 0).all()


@target(lambda: temporary(write_networks), cost=3)
def networks():
    computes(load_model("exp/both"))


def write_system(folder) -> None:
    write_networks(folder)
    graph = folder / "graph"
    graph.mkdir()
    for name, content in (("graph.npz", "arcs"), ("words.txt", "<eps> 0\nyes 1\n"), ("phones.txt", "<eps> 0\n"), ("num_pdfs", "3\n")):
        (graph / name).write_text(content)
    write_package(Package("x", load_model(folder / "exp/both"), graph, 9.0, 0.5, SearchOptions(beam=11.0)), folder / "package")
    facts = json.loads((folder / "package/package.json").read_text())
    (folder / "package/package.json").write_text(json.dumps(facts, indent=1) + "\n")
    for path in sorted([*(folder / "exp").rglob("*"), *graph.rglob("*")], reverse=True):
        if path.is_file():
            path.unlink()


@target(lambda: temporary(write_system), cost=3)
def package():
    made = open_package("package")
    computes(made.model)
    assert made.lmwt > 0


def write_checkpoint(folder) -> None:
    values = torch.arange(20, dtype=torch.float64)
    save_checkpoint(folder, {"weights": {"w": values}, "velocity": {"w": values + 1}}, torch.zeros(7, dtype=torch.uint8), {"epoch": 3})


@target(lambda: temporary(write_checkpoint))
def checkpoint():
    found = load_checkpoint(".")
    if found:
        groups, _, state = found
        assert groups["weights"]["w"].tolist() == list(range(20)) and state == {"epoch": 3}

"""Directories of models, written and loaded for evaluation. A network's:

    model.safetensors   weights          config.yaml   every option of the training, and the resolved shape
    prior_counts        label counts, a Kaldi text vector
    info.json           kind, parameters, display name, num_classes, dim, cmvn, label_map; of a CTC network its units and subsampling

An ensemble's holds one file, ensemble.yaml:

    members: [lstm1, lstm2]     directories, relative to the parent of the ensemble's own
    weights: [0.5, 0.5]         sum to 1
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..frames.store import MAX_CLASSES
from ..io.errors import RecipeError, reading, require_file
from ..io.options import load_config
from ..io.publish import publish
from .architecture import shape_from
from .ensemble import Ensemble
from .network import Network, subsampling
from .registry import build_network, count_parameters

INFO_KEYS = ("kind", "parameters", "display", "num_classes", "dim", "cmvn", "label_map")


def save_model(folder, module: nn.Module, *, options: dict[str, Any], counts: np.ndarray, info: dict[str, Any]) -> None:
    """Publishes a network's files, the weights last: a directory with model.safetensors is complete.

    Args:
      options: the training's options, the resolved shape among them. counts: (K,) label counts of the training set.
      info: num_classes, dim, cmvn, label_map, and anything else worth keeping.
    """
    import yaml
    from safetensors.torch import save

    folder = Path(folder)
    weights = save({key: value.contiguous() for key, value in module.state_dict().items()})
    shape = shape_from(options)
    info = {"kind": shape.arch, "parameters": count_parameters(module), "display": shape.display_name(), **info,
            "sha256": hashlib.sha256(weights).hexdigest()}
    with publish(folder / "config.yaml") as file:
        yaml.safe_dump(options, file, sort_keys=False, default_flow_style=None)
    with publish(folder / "prior_counts") as file:
        file.write(" [ " + " ".join(str(int(count)) for count in counts) + " ]\n")
    with publish(folder / "info.json") as file:
        json.dump(info, file, indent=1)
        file.write("\n")
    with publish(folder / "model.safetensors", "wb") as file:
        file.write(weights)


def load_model(folder, device: str = "cpu") -> Network | Ensemble:
    """Loads a network (model.safetensors) or an ensemble (ensemble.yaml) for evaluation on a device, cpu or cuda.

    Returns:
      Network or Ensemble: `.posteriors(features)`, `.priors`, `.num_classes`, `.config`, `.cmvn`, `.label_map`.
    Raises:
      RecipeError: not a model's directory, a missing or damaged file, weights that do not fit the configuration.
    """
    folder = Path(folder)
    if (folder / "ensemble.yaml").exists():
        return load_ensemble(folder, device)
    return load_network(folder, device)


def load_network(folder, device: str = "cpu") -> Network:
    folder = Path(folder)
    for name in ("model.safetensors", "config.yaml", "prior_counts", "info.json"):
        require_file(folder / name, next="train it first (steps/train_nnet), or make it (steps/make_ensemble)")
    config = load_config(folder / "config.yaml")
    with reading(folder / "info.json", next="train it again (steps/train_nnet)"):
        info = dict(json.loads((folder / "info.json").read_text()))
    missing = [key for key in INFO_KEYS if key not in info]
    if missing:
        raise RecipeError("info.json lacks an entry", file=folder / "info.json", id=missing[0],
                          next="train it again (steps/train_nnet)")
    check_info(info, folder / "info.json")
    shape = shape_from(config, where=str(folder / "config.yaml"))
    with torch.device("meta"), Undrawn():  # no memory is taken for weights before those in the file are known to fit
        compare_shapes(build_network(shape, info["num_classes"], info["dim"]), folder / "model.safetensors")
    module = build_network(shape, info["num_classes"], info["dim"])
    load_weights(module, folder / "model.safetensors")
    if subsampling(module) != info.get("subsampling", 1):
        raise RecipeError("info.json and config.yaml of a network differ", file=folder / "info.json", id="subsampling",
                          expected=subsampling(module), found=info.get("subsampling", 1), next="train it again (steps/train_nnet)")
    counts = read_counts(folder / "prior_counts")
    if len(counts) != info["num_classes"]:
        raise RecipeError("prior counts do not fit the network", file=folder / "prior_counts",
                          expected=f"{info['num_classes']} counts",
                          found=len(counts))
    with open(folder / "model.safetensors", "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if info.get("sha256", sha256) != sha256:
        raise RecipeError("weights file is damaged, or another network's", file=folder / "model.safetensors",
                          expected=f"sha256 {info['sha256']}, as in info.json", found=sha256, next="train it again (steps/train_nnet)")
    return Network(folder, module, counts, config, info, sha256, device)


def load_ensemble(folder, device: str = "cpu") -> Ensemble:
    folder = Path(folder)
    config = load_config(folder / "ensemble.yaml")
    members, weights = config.get("members"), config.get("weights")
    if not isinstance(members, list) or not isinstance(weights, list) or not members or len(members) != len(weights):
        raise RecipeError("ensemble.yaml needs as many members as weights", file=folder / "ensemble.yaml",
                          expected="members: [...], weights: [...]", found=config, next="steps/make_ensemble")
    base = folder.absolute().parent
    with reading(folder / "ensemble.yaml", next="steps/make_ensemble"):
        shares = [float(weight) for weight in weights]
        if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
            raise RecipeError("weights of an ensemble are no shares", file=folder / "ensemble.yaml", expected="numbers above 0 that sum to 1",
                              found=" ".join(map(str, weights))[:200], next="steps/make_ensemble")
    return Ensemble(folder, [(load_network(base / str(name), device), share) for name, share in zip(members, shares)])


def make_ensemble(folder, models: Sequence[str]) -> Ensemble:
    """Publishes `folder`/ensemble.yaml from 'directory' or 'directory:weight' arguments; returns the ensemble.

    Weights default to 1 and are divided by their sum. An ensemble among the models is replaced by its members.
    """
    folder, networks = Path(folder), []
    for argument in models:
        name, _, weight = argument.rpartition(":") if ":" in argument else (argument, "", "")
        try:
            share = float(weight or 1)
        except ValueError:
            share = 0.0
        if share <= 0:
            raise RecipeError("bad weight of an ensemble's member", id=argument,
                              expected="<directory>:<weight above 0>", found=weight)
        networks += [(network, share * inner) for network, inner in load_model(name).members]
    total = sum(weight for _, weight in networks)
    ensemble = Ensemble(folder, [(network, weight / total) for network, weight in networks])
    base = folder.absolute().parent
    with publish(folder / "ensemble.yaml") as file:
        file.write("members:\n")
        file.writelines(f"- {os.path.relpath(network.path.absolute(), base)}\n" for network, _ in networks)
        file.write("weights:\n")
        file.writelines(f"- {weight!r}\n" for _, weight in ensemble.members)
    return ensemble


class Undrawn(TorchFunctionMode):
    """Leaves out what initialises weights at random. On the meta device torch would load its compiler for it: 1.6 s to do nothing."""

    DRAWS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_")  # methods of tensors, and those of torch.nn.init that modes see

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in self.DRAWS:
            return func(*args, **kwargs)
        return args[0] if args else kwargs["tensor"]


def check_info(info: dict[str, Any], path) -> None:
    """Raises RecipeError where an entry of info.json is of another type than `save_model` writes."""
    types = {"kind": str, "parameters": int, "display": str, "num_classes": int, "dim": int, "cmvn": dict, "label_map": str, "extractor": dict,
             "sha256": str, "subsampling": int, "units": dict}
    for name in types.keys() & info.keys():
        value, kind = info[name], types[name]
        limit = MAX_CLASSES if name == "num_classes" else 1 << 40
        if type(value) is not kind or isinstance(value, int) and not 0 < value <= limit:
            raise RecipeError("bad entry of info.json", file=path, id=name, expected=kind.__name__, found=repr(value)[:80],
                              next="train it again (steps/train_nnet)")


def compare_shapes(module: nn.Module, path) -> None:
    """Raises RecipeError if names or shapes of the weights in a safetensors file are not those of a network."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(require_file(path), "pt") as file:
            weights = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except SafetensorError as error:
        raise RecipeError("weights file is damaged", file=path, found=str(error),
                          next="train it again (steps/train_nnet)") from None
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name in sorted(own.keys() | weights.keys()):
        expected, found = (group.get(name, "absent") for group in (own, weights))
        if expected != found:
            raise RecipeError("weights do not fit the network", file=path, id=name, expected=expected, found=found,
                              next="compare config.yaml: architecture, widths, number of classes")


def load_weights(module: nn.Module, path) -> None:
    """Copies weights from a safetensors file. Raises RecipeError if names or shapes differ."""
    from safetensors.torch import load_file

    compare_shapes(module, path)
    module.load_state_dict(load_file(path))


def read_counts(path) -> np.ndarray:
    """Reads a Kaldi text vector: ' [ 12 3 4 ]'."""
    with reading(path):
        words = Path(require_file(path)).read_text().split()
    if words[:1] != ["["] or words[-1:] != ["]"]:
        raise RecipeError("not a Kaldi text vector", file=path, expected="[ counts ]", found=" ".join(words[:4]))
    with reading(path):
        counts = np.array([float(word) for word in words[1:-1]])
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise ValueError("counts that are not finite, or below 0")
        return counts

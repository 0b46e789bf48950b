"""A network's directory, and loading one for evaluation.

    model.safetensors   weights          config.yaml   every option of the training, and the resolved shape
    prior_counts        label counts, a Kaldi text vector
    info.json           kind, parameters, display name, num_classes, dim, cmvn, label_map; of a CTC network its units and subsampling

An ensemble's directory holds ensemble.yaml instead (models.ensemble).
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

from ..frames.store import CONTEXT, MAX_CLASSES, WINDOW
from ..io.errors import RecipeError, reading, require_file
from ..io.options import load_config
from ..io.publish import publish
from ..lang.units import Units
from .architecture import shape_from
from .facts import units_in
from .registry import build_network, count_parameters
from .sequence import SequenceNetwork

BATCH = 512  # windows evaluated at once: large enough for full speed, small enough for the cache
INFO_KEYS = ("kind", "parameters", "display", "num_classes", "dim", "cmvn", "label_map")


class Network:
    """A trained network.

    priors: (K,) float64, sums to 1. num_classes: K. config: the training's options. label_map: what its classes mean.
    cmvn: how to normalise the features given to it. parameters, display: for tables. sha256: of its weights.
    subsampling: frames to an output. units: of a CTC network, what its classes are; None: they are pdfs.
    """

    def __init__(self, folder, module: nn.Module, counts: np.ndarray, config: dict[str, Any], info: dict[str, Any],
                 sha256: str, device: str = "cpu"):
        self.device = usable_device(device)
        module = module.to(self.device)
        self.path, self.module, self.config, self.info, self.sha256 = Path(folder), module.eval(), config, info, sha256
        self.num_classes: int = info["num_classes"]
        self.dim: int = info["dim"]
        self.parameters: int = info["parameters"]
        self.display: str = info["display"]
        self.cmvn: dict[str, bool] = info["cmvn"]
        self.label_map: str = info["label_map"]
        self.extractor: dict[str, Any] = info.get("extractor", {})
        self.subsampling: int = subsampling(module)
        self.units: Units | None = units_in(info, self.path / "info.json")
        self.priors = priors(counts)

    @property
    def members(self) -> list[tuple["Network", float]]:
        """Itself, as an ensemble of one."""
        return [(self, 1.0)]

    def mix(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """What an ensemble of one makes of its members' posteriors."""
        return posteriors[0]

    @torch.inference_mode()
    def posteriors(self, features: np.ndarray) -> np.ndarray:
        """Normalised features (T, dim) -> (outputs(T, subsampling), num_classes) float32 class probabilities, of every frame unless it
        subsamples.

        Every frame sees what it saw in training: a window of 41 rows, with zeros beyond the utterance, or the utterance.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.dim or not len(features):
            raise RecipeError("features of the wrong shape", file=self.path, expected=f"(frames, {self.dim})",
                              found=features.shape)
        rows = torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(self.device)
        padded = pad(rows, (0, 0, CONTEXT, CONTEXT))
        return torch.softmax(window_logits(self.module, padded), 1).cpu().numpy()


def usable_device(name: str) -> torch.device:
    """Raises RecipeError if torch cannot compute there."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise RecipeError("bad value for an option", id="device", expected="cpu, cuda or cuda:<number>", found=name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RecipeError("no GPU that torch can use", id="device", expected="cuda", found="none",
                          next="--device cpu; at the paper's sizes that takes weeks, --preset mini minutes")
    return torch.device(name)


def window_logits(module: nn.Module, padded: Tensor, batch: int = BATCH) -> Tensor:
    """Padded utterance (T + 40, dim) float32 -> logits (T, K) of all its windows, `batch` of them at a time; of a network over utterances
    that subsamples so many fewer.

    A network whose windows share work has `utterance_logits`, which gives the same in less time. One over utterances sees no padding.
    """
    frames, dim = len(padded) - 2 * CONTEXT, padded.shape[1]
    if isinstance(module, SequenceNetwork):
        return module.utterance_logits(padded[CONTEXT:-CONTEXT])
    shared: Callable[[Tensor], Tensor] | None = getattr(module, "utterance_logits", None)
    if shared is not None:
        return torch.cat([shared(padded[start:start + batch + 2 * CONTEXT]) for start in range(0, frames, batch)])
    windows = padded.as_strided((frames, WINDOW, dim), (dim, dim, 1))
    return torch.cat([module(part) for part in windows.split(batch)])


def priors(counts: np.ndarray) -> np.ndarray:
    """Class priors from label counts. A class never seen counts once, so that dividing by its prior stays finite."""
    counts = np.maximum(counts, 1).astype(np.float64)
    return counts / counts.sum()


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


def load_model(folder, device: str = "cpu"):
    """Loads a network (model.safetensors) or an ensemble (ensemble.yaml) for evaluation on a device, cpu or cuda.

    Returns:
      Network or Ensemble: `.posteriors(features)`, `.priors`, `.num_classes`, `.config`, `.cmvn`, `.label_map`.
    Raises:
      RecipeError: not a model's directory, a missing or damaged file, weights that do not fit the configuration.
    """
    folder = Path(folder)
    if (folder / "ensemble.yaml").exists():
        from .ensemble import load_ensemble

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


def subsampling(module: nn.Module) -> int:
    """Frames to an output."""
    return module.subsampling if isinstance(module, SequenceNetwork) else 1


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

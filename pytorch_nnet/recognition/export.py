"""A network or an ensemble as an ONNX file, for programs without torch.

    input   windows (windows, 41, dim)        normalised features around each frame, zeros beyond the utterance
    outputs log_posteriors (windows, classes)   logarithms of the classes' probabilities, floored at 1e-20 as decoding.forward floors them
            log_likelihoods (windows, classes)  the same less prior_scale times log priors: what a decoder takes

The number of windows is free. The file's metadata says how to make the features and what the classes are.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .. import __version__
from ..decoding.forward import POSTERIOR_FLOOR, PRIOR_FLOOR
from ..frames.store import CONTEXT, WINDOW
from ..io.errors import RecipeError
from ..io.publish import publish
from ..models.onnx_graph import OnnxGraph

FORMAT = "pytorch_nnet onnx 1"


def export_onnx(model: Any, path, prior_scale: float = 1.0) -> int:
    """Publishes the file of a Network or Ensemble; returns its size in bytes. The same model gives the same bytes.

    Raises:
      RecipeError: the package onnx is missing; a network over utterances, which has no ONNX form here.
    """
    graph = OnnxGraph()
    shares = []
    for network, weight in model.members:
        if not hasattr(network.module, "onnx"):
            raise RecipeError("this kind of network has no ONNX form", file=network.path, id=network.config.get("arch"),
                              expected="a network over windows", found=network.display)
        posteriors = graph.add("Softmax", network.module.onnx(graph, "windows"), axis=1)
        shares.append(graph.add("Mul", posteriors, graph.constant(np.array(weight, np.float32))) if len(model.members) > 1 else posteriors)
    posteriors = graph.add("Sum", *shares) if len(shares) > 1 else shares[0]
    floored = graph.add("Max", posteriors, graph.constant(np.array(POSTERIOR_FLOOR, np.float32)))
    log_posteriors = graph.add("Log", floored, output="log_posteriors")
    offset = prior_scale * np.log(np.maximum(model.priors, PRIOR_FLOOR))
    graph.add("Sub", log_posteriors, graph.constant(offset), output="log_likelihoods")
    classes: list[int | str] = ["windows", model.num_classes]
    content = graph.model({"windows": ["windows", WINDOW, model.dim]}, {"log_posteriors": classes, "log_likelihoods": classes},
                          metadata(model, prior_scale))
    with publish(path, "wb") as file:
        file.write(content)
    return len(content)


def metadata(model: Any, prior_scale: float) -> dict[str, str]:
    """What a program needs beside the graph; values that are no text are JSON."""
    facts = {"classes": model.num_classes, "dim": model.dim, "window": WINDOW, "context": CONTEXT, "priors": model.priors.tolist(),
             "prior_scale": prior_scale, "extractor": model.extractor, "cmvn": model.cmvn, "parameters": model.parameters}
    return {"format": FORMAT, "version": __version__, "name": model.display, "label_map": model.label_map, "sha256": model.sha256,
            **{name: json.dumps(value, sort_keys=True) for name, value in facts.items()}}

"""An ONNX graph, built node by node: each network says in its own file, in `onnx`, which nodes it is.

Tracing would spell a recurrent layer out step by step, and cannot look into its hand-written derivative; ONNX has that very layer as one
operator, peepholes included (https://onnx.ai/onnx/operators/onnx__LSTM.html).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..io.errors import RecipeError

OPSET = 17
IR_VERSION = 8  # of the same year, so that older runtimes read the file


class OnnxGraph:
    """Nodes in order and the constants that they use; values are known by name, v1, v2, ..."""

    def __init__(self) -> None:
        try:
            from onnx import helper, numpy_helper
        except ImportError:
            raise RecipeError("the package onnx is not installed", expected="onnx, of requirements/dev.txt",
                              next="utils/setup_env.sh --dev true, or pip install onnx") from None
        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, value: Tensor | np.ndarray) -> str:
        """A weight, float32, or a list of int64 that an operator wants as an input."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        wanted = np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
        name = self.name()
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(array, wanted), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """One node with one output, whose name is returned."""
        output = output or self.name()
        self.nodes.append(self.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def add_last(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A recurrent node; returns its second output, the hidden vector after the last step."""
        output = self.name()
        self.nodes.append(self.helper.make_node(operator, inputs, ["", output], **attributes))
        return output

    def slice(self, value: str, axis: int, begin: int, end: int) -> str:
        return self.add("Slice", value, self.integers(begin), self.integers(end), self.integers(axis))

    def model(self, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]], metadata: dict[str, str]) -> bytes:
        """The file's bytes, the same for the same graph. inputs, outputs: {name: shape}; a word is an axis of any length."""
        from onnx import checker
        from onnx.onnx_pb import TensorProto

        taken, given = ([self.helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
                        for side in (inputs, outputs))
        graph = self.helper.make_graph(self.nodes, "pytorch_nnet", taken, given, self.constants)
        model = self.helper.make_model(graph, opset_imports=[self.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                       producer_name="pytorch-nnet")
        self.helper.set_model_props(model, metadata)
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

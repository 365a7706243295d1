"""What graphs for ONNX Runtime are written with, whatever network they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

MICROSOFT = "com.microsoft"
_OPSET, _IR_VERSION = 20, 10  # as of ONNX Runtime 1.18
_ERRORS_ONLY = 3

Shape = Sequence[int | str] | None


class OnnxNodes:
    """Nodes and constants so far; what adds some returns the name of what they put out."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        (output,) = self.add_many(operator, inputs, 1, domain, **attributes)
        return output

    def add_many(
        self, operator: str, inputs: Sequence[str], count: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with ``count`` outputs."""
        outputs = [f"v{len(self._nodes)}_{number}" for number in range(count)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return outputs

    def constant(self, values: NDArray[Any]) -> str:
        """Add numbers that the graph holds."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def serialised(self, taken: str, taken_shape: Shape, outputs: Sequence[str], output_shape: Shape = None) -> bytes:
        """Return the model that takes float32 ``taken`` and puts out ``outputs``, float32 of one shape (None: any)."""

        def value(name: str, shape: Shape) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

        found = [value(name, output_shape) for name in outputs]
        graph = helper.make_graph(self._nodes, "graph", [value(taken, taken_shape)], found, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        written: bytes = model.SerializeToString()
        return written


def open_session(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a serialised model for the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that wait would take what decoding needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def numbers(values: Tensor) -> NDArray[np.float32]:
    """Return a parameter's values."""
    found: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return found

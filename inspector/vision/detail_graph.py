"""The network of details as ONNX graphs, written from its torch modules: on a CPU a quarter of torch's time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

_INPUT = "images"
_OPSET, _IR_VERSION = 20, 10  # as of ONNX Runtime 1.18
_ERRORS_ONLY = 3
_MOST = 6.0  # of ReLU6


class OnnxStages:
    """Runs images through the stages of a ``DetailNet``: each alone on one thread, several side by side.

    One that comes alone, as a block of a large frame, has all threads.
    """

    def __init__(self, stem: nn.Conv2d, stages: nn.ModuleList, kinds: Sequence[Sequence[int]]) -> None:
        """``kinds``: of runs, by the numbers of the stages whose output is returned, in rising order."""
        self.threads = torch.get_num_threads()
        # One graph runs to its end, whichever of its outputs is asked for: each kind of run has one of its own.
        graphs = {tuple(kind): _graph(stem, stages, kind) for kind in kinds}
        self._side_by_side = {kind: _session(graph, 1) for kind, graph in graphs.items()}
        self._alone = {kind: _session(graph, self.threads) for kind, graph in graphs.items()}
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="onnx-details")

    def __call__(self, images: Tensor, kind: Sequence[int]) -> list[Tensor]:
        """Return what comes out of the stages of a ``kind`` of run, [B, channels, rows, columns] each.

        Args:
            images: float32 [B, 3, H, W] on the CPU, normalised as the network was trained.
        """
        sessions = self._side_by_side if len(images) > 1 else self._alone
        by_image = self._pool.map(partial(_run, sessions[tuple(kind)]), np.ascontiguousarray(images.numpy()))
        return [torch.from_numpy(np.concatenate(stage)) for stage in zip(*by_image, strict=True)]


def _run(session: onnxruntime.InferenceSession, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = session.run(None, {_INPUT: image[None]})
    return found


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that wait would take what decoding needs; an arena would keep what the largest frame took.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _graph(stem: nn.Conv2d, stages: nn.ModuleList, wanted: Sequence[int]) -> bytes:
    graph = _Graph()
    x, outputs = graph.limited(graph.convolved(_INPUT, stem)), []
    stage: Any
    for number, stage in enumerate(stages[: wanted[-1] + 1]):
        for block in stage:
            x = graph.through(x, block)
        if number in wanted:
            outputs.append(x)
    return graph.serialised(outputs)


class _Graph:
    """Nodes and constants so far; each method adds some and returns the name of what they put out."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._least, self._most = (self._constant(np.array(bound, np.float32)) for bound in (0, _MOST))

    def through(self, x: str, block: Any) -> str:
        wide = x if block.widen is None else self.limited(self.convolved(x, block.widen))
        narrow = self.convolved(self.limited(self.convolved(wide, block.filter)), block.narrow)
        return self._add("Add", [narrow, x]) if block.adds else narrow

    def convolved(self, x: str, convolution: Any) -> str:
        parameters = [self._constant(_numbers(part)) for part in (convolution.weight, convolution.bias)]
        left, right, top, bottom = convolution.around
        return self._add(
            "Conv",
            [x, *parameters],
            strides=list(convolution.stride),
            pads=[top, left, bottom, right],
            group=convolution.groups,
        )

    def limited(self, x: str) -> str:
        return self._add("Clip", [x, self._least, self._most])

    def serialised(self, outputs: Sequence[str]) -> bytes:
        images = helper.make_tensor_value_info(_INPUT, onnx.TensorProto.FLOAT, ["images", 3, "height", "width"])
        found = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "details", [images], found, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        written: bytes = model.SerializeToString()
        return written

    def _add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, values: NDArray[np.float32]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _numbers(values: Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return numbers

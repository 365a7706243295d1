"""The network of details as ONNX graphs, written from its torch modules: on a CPU a quarter of torch's time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inspector.dapo.onnx_nodes import OnnxNodes, numbers, open_session

_INPUT = "images"
_MOST = 6.0  # of ReLU6
# What an image of at most so many pixels takes is kept for the next one, which saves a quarter of its time; what a
# larger one takes goes back, or an inspector would hold what its largest frame took.
_KEPT_PX = 640 * 640


class OnnxStages:
    """Runs images through the stages of a ``DetailNet``: each alone on one thread, several side by side.

    One that comes alone, as a block of a large frame, has all threads.
    """

    def __init__(self, stem: nn.Conv2d, stages: nn.ModuleList, kinds: Sequence[Sequence[int]]) -> None:
        """``kinds``: of runs, by the numbers of the stages whose output is returned, in rising order."""
        self.threads = torch.get_num_threads()
        # One graph runs to its end, whichever of its outputs is asked for: each kind of run has one of its own.
        graphs = {tuple(kind): _graph(stem, stages, kind) for kind in kinds}
        self._side_by_side = {kind: open_session(graph) for kind, graph in graphs.items()}
        self._alone = {kind: open_session(graph, self.threads) for kind, graph in graphs.items()}
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
    options = onnxruntime.RunOptions()
    if image[0].size > _KEPT_PX:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    found: list[NDArray[np.float32]] = session.run(None, {_INPUT: image[None]}, options)
    return found


def _graph(stem: nn.Conv2d, stages: nn.ModuleList, wanted: Sequence[int]) -> bytes:
    graph = _Graph()
    x, outputs = graph.limited(graph.convolved(_INPUT, stem)), []
    stage: Any
    for number, stage in enumerate(stages[: wanted[-1] + 1]):
        for block in stage:
            x = graph.through(x, block)
        if number in wanted:
            outputs.append(x)
    return graph.serialised(_INPUT, ("images", 3, "height", "width"), outputs)


class _Graph(OnnxNodes):
    """The operators that a stage is made of."""

    def __init__(self) -> None:
        super().__init__()
        self._least, self._most = (self.constant(np.array(bound, np.float32)) for bound in (0, _MOST))

    def through(self, x: str, block: Any) -> str:
        wide = x if block.widen is None else self.limited(self.convolved(x, block.widen))
        narrow = self.convolved(self.limited(self.convolved(wide, block.filter)), block.narrow)
        return self.add("Add", [narrow, x]) if block.adds else narrow

    def convolved(self, x: str, convolution: Any) -> str:
        parameters = [self.constant(numbers(part)) for part in (convolution.weight, convolution.bias)]
        left, right, top, bottom = convolution.around
        return self.add(
            "Conv",
            [x, *parameters],
            strides=list(convolution.stride),
            pads=[top, left, bottom, right],
            group=convolution.groups,
        )

    def limited(self, x: str) -> str:
        return self.add("Clip", [x, self._least, self._most])

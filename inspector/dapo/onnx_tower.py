"""The visual tower with its blocks in ONNX Runtime, on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.onnx_graph import INPUT, blocks_graph
from inspector.dapo.visual_tower import VisualFeatures, VisualTower

_ERRORS_ONLY = 3


class OnnxTower:
    """Encodes images as ``tower`` with ``layer_tokens`` does.

    Each image runs alone on one thread, several side by side: on two cores that is a fifth faster than all threads on
    one batch, which wait for each other at every operator, and an image's features do not depend on its batch.
    """

    def __init__(self, tower: VisualTower, layer_tokens: Tensor, *, int8: bool, threads: int) -> None:
        """Write the graphs and load them, a tenth of a second each for 5 M parameters. Raises NoGraphError."""
        self._tower = tower
        self._skip = 1 + layer_tokens.shape[1]
        self._layers = sorted({*tower.shape.taps, tower.shape.visual_layers})
        self._all = _session(tower, layer_tokens, self._layers, int8=int8)
        # A graph of its own: one graph runs to its end, whichever of its outputs is asked for.
        self._detailed = _session(tower, layer_tokens, [tower.shape.detail_layer], int8=int8)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx-tower")

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> VisualFeatures:
        """Encode ``images``, float32 [B, 3, S, S] normalised, on the CPU."""
        by_layer = self._run(self._all, images)
        outputs = dict(zip(self._layers, by_layer, strict=True))
        taps = tuple(outputs[layer][:, self._skip :] for layer in self._tower.shape.taps)
        return VisualFeatures(self._tower.pool(by_layer[-1], self._skip), taps)

    @torch.inference_mode()
    def detail(self, images: Tensor) -> Tensor:
        """Return the patch tokens of the tower's ``detail_layer``, float32 [B, P, D_v], of images as above."""
        return self._run(self._detailed, images)[0][:, self._skip :]

    def _run(self, session: onnxruntime.InferenceSession, images: Tensor) -> list[Tensor]:
        """Return each output of a session, [B, 1 + n + P, D_v]."""

        def run(embedded: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            outputs: list[NDArray[np.float32]] = session.run(None, {INPUT: embedded[None]})
            return outputs

        by_image = list(self._pool.map(run, self._tower.embed(images).numpy()))
        return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*by_image, strict=True)]


def _session(
    tower: VisualTower, layer_tokens: Tensor, outputs: list[int], *, int8: bool
) -> onnxruntime.InferenceSession:
    """Load the blocks up to the last of ``outputs``, layers counted from 1."""
    depth = outputs[-1]
    tokens = 1 + tower.shape.grid[0] * tower.shape.grid[1]
    blocks = tower.vit.transformer.resblocks[:depth]
    graph = blocks_graph(blocks, layer_tokens[:depth], tokens, outputs, int8=int8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

"""The visual tower with its blocks in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

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
        """Write the graphs and load them, a tenth of a second for 5 M parameters. Raises NoGraphError."""
        self._tower = tower
        self._skip = 1 + layer_tokens.shape[1]
        # One graph runs to its end, whichever of its outputs is asked for: what ends half way has one of its own.
        self._parts = [
            _Part(tower, layer_tokens, first, last, int8=int8)
            for first, last in pairwise((0, tower.shape.detail_layer, tower.shape.visual_layers))
        ]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx-tower")

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> VisualFeatures:
        """Encode ``images``, float32 [B, 3, S, S] normalised, on the CPU."""
        outputs = self._run(self._parts, images)
        taps = tuple(outputs[layer][:, self._skip :] for layer in self._tower.shape.taps)
        return VisualFeatures(self._tower.pool(outputs[self._tower.shape.visual_layers], self._skip), taps)

    @torch.inference_mode()
    def detail(self, images: Tensor) -> Tensor:
        """Return the patch tokens of the tower's ``detail_layer``, float32 [B, P, D_v], of images as above."""
        return self._run(self._parts[:1], images)[self._tower.shape.detail_layer][:, self._skip :]

    def _run(self, parts: Sequence[_Part], images: Tensor) -> dict[int, Tensor]:
        """Return the outputs [B, 1 + n + P, D_v] of parts that follow each other, by layer."""

        def run(embedded: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            outputs = [embedded[None]]
            for part in parts:
                outputs += part.run(outputs[-1])
            return outputs[1:]

        by_image = list(self._pool.map(run, self._tower.embed(images).numpy()))
        layers = [layer for part in parts for layer in part.layers]
        by_layer = (torch.from_numpy(np.concatenate(of_layer)) for of_layer in zip(*by_image, strict=True))
        return dict(zip(layers, by_layer, strict=True))


class _Part:
    """The blocks after layer ``first`` (counted from 1; 0: from the beginning) up to ``last``, in one session."""

    def __init__(self, tower: VisualTower, layer_tokens: Tensor, first: int, last: int, *, int8: bool) -> None:
        self.layers = sorted(layer for layer in {*tower.shape.taps, last} if first < layer <= last)
        tokens = 1 + tower.shape.grid[0] * tower.shape.grid[1]
        blocks = tower.vit.transformer.resblocks[first:last]
        outputs = [layer - first for layer in self.layers]
        graph = blocks_graph(blocks, layer_tokens[first:last], tokens, outputs, int8=int8, begins=first == 0)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, sequence: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs of ``layers`` for one image, [1, 1 + n + P, D_v] each; the last one goes on."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {INPUT: sequence})
        return outputs

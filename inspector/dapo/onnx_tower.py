"""The visual tower with its blocks in ONNX Runtime, on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.onnx_graph import INPUT, blocks_graph
from inspector.dapo.onnx_nodes import open_session
from inspector.dapo.visual_tower import VisualFeatures, VisualTower


class OnnxTower:
    """Encodes images as ``tower`` with ``layer_tokens`` does.

    Each image runs alone on one thread, several side by side: on two cores that is a fifth faster than all threads on
    one batch, which wait for each other at every operator, and an image's features do not depend on its batch.
    """

    def __init__(self, tower: VisualTower, layer_tokens: Tensor, *, int8: bool, threads: int) -> None:
        """Write the graph and load it, a tenth of a second for 5 M parameters. Raises NoGraphError."""
        self._tower = tower
        self._skip = 1 + layer_tokens.shape[1]
        shape = tower.shape
        self._layers = sorted({*shape.taps, shape.visual_layers})
        tokens = 1 + shape.grid[0] * shape.grid[1]
        graph = blocks_graph(tower.vit.transformer.resblocks, layer_tokens, tokens, self._layers, int8=int8)
        self._session = open_session(graph)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx-tower")

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> VisualFeatures:
        """Encode ``images``, float32 [B, 3, S, S] normalised, on the CPU."""
        by_image = list(self._pool.map(self._run, self._tower.embed(images).numpy()))
        by_layer = (torch.from_numpy(np.concatenate(of_layer)) for of_layer in zip(*by_image, strict=True))
        outputs = dict(zip(self._layers, by_layer, strict=True))
        taps = tuple(outputs[layer][:, self._skip :] for layer in self._tower.shape.taps)
        return VisualFeatures(self._tower.pool(outputs[self._tower.shape.visual_layers], self._skip), taps)

    def _run(self, embedded: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the outputs [1, 1 + n + P, D_v] of ``_layers`` for one image, [1 + P, D_v]."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {INPUT: embedded[None]})
        return outputs

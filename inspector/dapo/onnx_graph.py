"""The visual transformer's blocks with their layer tokens as an ONNX graph, written from the torch modules themselves.

Written by hand: it takes a tenth of a second, so that weights can be swapped while serving, and uses ONNX Runtime's own
operators for attention and 8-bit products, which an exporter does not. One image a run: what an image is quantised by
must not depend on the images that happen to share its batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import open_clip.transformer
from numpy.typing import NDArray
from torch import Tensor, nn

from inspector.dapo.layer_tokens import PROGRESSIVE_ALPHA
from inspector.dapo.onnx_nodes import MICROSOFT, OnnxNodes, numbers

INPUT = "embedded"
# Weights stay within 7 bits: processors without VNNI add two products of a byte and a weight in 16 bits, which
# 2 x 255 x 64 just fits; with 127 they would clip unnoticed.
_LARGEST_WEIGHT = 64

Array = NDArray[np.float32]


class NoGraphError(ValueError):
    """The blocks hold something that no graph is written for; the message names it."""


def blocks_graph(blocks: nn.ModuleList, layer_tokens: Tensor, tokens: int, outputs: list[int], *, int8: bool) -> bytes:
    """Return the graph of ``run_with_layer_tokens`` over ``blocks`` as a serialised ONNX model.

    Its input ``embedded`` is float32 [1, tokens, D]; its outputs, float32 [1, tokens + n, D], are those of the layers
    ``outputs``, counted from 1. ``int8`` quantises the four linear maps of each block: weights by output channel,
    their inputs by the largest and smallest value of the image. Attention, norms and sums stay float32.

    Raises:
        NoGraphError: a block is not open_clip's common one.
    """
    graph = _Graph(int8)
    slots = numbers(layer_tokens)
    sequence, length = INPUT, tokens + slots.shape[1]
    named = []
    for layer, block in enumerate(blocks, start=1):
        _check(block)
        sequence = graph.mix(sequence, slots[layer - 1], length, first=layer == 1)
        sequence = _block(graph, block, sequence)
        if layer in outputs:
            named.append(sequence)
    width = slots.shape[2]
    return graph.serialised(INPUT, (1, tokens, width), named, (1, length, width))


def _block(graph: _Graph, block: Any, x: str) -> str:
    attention = block.attn
    projected = graph.linear(graph.norm(x, block.ln_1), attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = graph.split(projected, 3)
    mixed = graph.add("MultiHeadAttention", [query, key, value], MICROSOFT, num_heads=attention.num_heads)
    out, scale = attention.out_proj, getattr(block.ls_1, "gamma", None)
    x = graph.add("Add", [x, graph.linear(mixed, out.weight, out.bias, scale)])
    first, second, scale = block.mlp.c_fc, block.mlp.c_proj, getattr(block.ls_2, "gamma", None)
    hidden = graph.activation(graph.linear(graph.norm(x, block.ln_2), first.weight, first.bias), block.mlp.gelu)
    return graph.add("Add", [x, graph.linear(hidden, second.weight, second.bias, scale)])


def _check(block: Any) -> None:
    parts: dict[str, tuple[object, type | tuple[type, ...]]] = {
        "attention": (block.attn, nn.MultiheadAttention),
        "norm": (block.ln_1, nn.LayerNorm),
        "second norm": (block.ln_2, nn.LayerNorm),
        "activation": (getattr(block.mlp, "gelu", None), (nn.GELU, open_clip.transformer.QuickGELU)),
        "scale": (block.ls_1, (nn.Identity, open_clip.transformer.LayerScale)),
        "second scale": (block.ls_2, (nn.Identity, open_clip.transformer.LayerScale)),
    }
    for name, (part, kinds) in parts.items():
        if not isinstance(part, kinds):
            raise NoGraphError(f"no graph is written for a block whose {name} is {type(part).__name__}")


class _Graph(OnnxNodes):
    """The operators that a block is made of."""

    def __init__(self, int8: bool) -> None:
        super().__init__()
        self._int8 = int8

    def split(self, x: str, parts: int) -> list[str]:
        return self.add_many("Split", [x], parts, axis=-1, num_outputs=parts)

    def mix(self, x: str, slots: Array, length: int, *, first: bool) -> str:
        """Put this layer's tokens into the slots after the first position, as ``run_with_layer_tokens`` does."""
        count = len(slots)
        if count == 0:
            return x
        if first:
            head, rest = self._rows(x, 0, 1), self._rows(x, 1, length)
            return self.add("Concat", [head, self.constant(slots[None]), rest], axis=1)
        kept, learnt = np.ones((1, length, 1), np.float32), np.zeros((1, length, slots.shape[1]), np.float32)
        kept[:, 1 : 1 + count] = PROGRESSIVE_ALPHA
        learnt[:, 1 : 1 + count] = (1 - PROGRESSIVE_ALPHA) * slots
        return self.add("Add", [self.add("Mul", [x, self.constant(kept)]), self.constant(learnt)])

    def norm(self, x: str, norm: nn.LayerNorm) -> str:
        parameters = [self.constant(numbers(norm.weight)), self.constant(numbers(norm.bias))]
        return self.add("LayerNormalization", [x, *parameters], epsilon=norm.eps, axis=-1)

    def linear(self, x: str, weight: Tensor, bias: Tensor, scale: Tensor | None = None) -> str:
        """Add ``scale * (weight @ x + bias)``; weight [out, in]."""
        columns, offset = numbers(weight).T, numbers(bias)
        if scale is not None:
            columns, offset = columns * numbers(scale), offset * numbers(scale)
        if not self._int8:
            return self.add("Add", [self.add("MatMul", [x, self.constant(columns)]), self.constant(offset)])
        whole, steps = _quantised(columns)
        zeros = np.zeros(steps.shape, np.int8)
        inputs = [x, *(self.constant(part) for part in (whole, steps, zeros, offset))]
        return self.add("DynamicQuantizeMatMul", inputs, MICROSOFT)

    def activation(self, x: str, activation: nn.Module) -> str:
        if isinstance(activation, open_clip.transformer.QuickGELU):
            return self.add("QuickGelu", [x], MICROSOFT, alpha=1.702)
        # Its error, 1e-3 at most, is far below that of the next quantisation, and it takes two thirds of the time.
        return self.add("FastGelu", [x], MICROSOFT) if self._int8 else self.add("Gelu", [x])

    def _rows(self, x: str, start: int, stop: int) -> str:
        bounds = [self.constant(np.array([number], np.int64)) for number in (start, stop, 1)]
        return self.add("Slice", [x, *bounds])


def _quantised(columns: Array) -> tuple[NDArray[np.int8], Array]:
    """Return whole numbers and the size of a step of each column, whose product is nearest to ``columns``."""
    steps = np.maximum(np.abs(columns).max(axis=0) / _LARGEST_WEIGHT, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(columns / steps).astype(np.int8), steps

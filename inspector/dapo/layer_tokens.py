"""Progressive tuning (DAPO): learnable tokens that ride along in every layer of a tower."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

PROGRESSIVE_ALPHA = 0.01
"""How much of what the layer below put into the token slots is kept (arXiv 2512.09446)."""


def run_with_layer_tokens(
    blocks: nn.ModuleList, sequence: Tensor, layer_tokens: Tensor, attn_mask: Tensor | None = None
) -> Iterator[Tensor]:
    """Run transformer blocks with learnable tokens inserted after the first position; yield each block's output.

    Before block 0 the slots hold ``layer_tokens[0]``; before block i > 0 they become
    ``alpha * (what block i-1 put out there) + (1 - alpha) * layer_tokens[i]``.

    Args:
        blocks: open_clip residual attention blocks, batch first.
        sequence: float [B, L, D], positions already added.
        layer_tokens: float [blocks, n, D].
        attn_mask: additive float [L + n, L + n], or None for full attention.

    Yields:
        float [B, 1 + n + (L - 1), D], the output of each block.
    """
    count = layer_tokens.shape[1]
    slots, rest = layer_tokens[0].expand(len(sequence), -1, -1), sequence[:, 1:]
    for index, block in enumerate(blocks):
        if index > 0:
            slots = PROGRESSIVE_ALPHA * sequence[:, 1 : 1 + count] + (1 - PROGRESSIVE_ALPHA) * layer_tokens[index]
            rest = sequence[:, 1 + count :]
        sequence = run_block(block, torch.cat([sequence[:, :1], slots, rest], dim=1), attn_mask)
        yield sequence


def run_block(block: Any, x: Tensor, attn_mask: Tensor | None) -> Tensor:
    """Run one open_clip residual block on ``x`` [B, L, D].

    The common block's attention goes straight to torch's fused kernel: ``nn.MultiheadAttention`` transposes to
    sequence-first around it, which costs up to three times the block under bf16 on a CPU.
    """
    if not isinstance(block.attn, nn.MultiheadAttention):
        result: Tensor = block(x, attn_mask=attn_mask)
        return result
    x = x + block.ls_1(_attend(block.attn, block.ln_1(x), attn_mask))
    mixed: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return mixed


def _attend(attention: nn.MultiheadAttention, x: Tensor, attn_mask: Tensor | None) -> Tensor:
    batch, length, width = x.shape
    projected = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = projected.view(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    mask = None if attn_mask is None else attn_mask.to(query.dtype)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    attended: Tensor = attention.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))
    return attended

"""DAPO scoring as the paper tells it: one image, fp32, loops. Slow on purpose; the serving path is checked against it.

Written from the description in arXiv 2512.09446. Of the package it takes the trained tensors and nothing that scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import open_clip
import torch
import torch.nn.functional as F

TAU = 0.07
ALPHA = 0.01


@dataclass(frozen=True)
class ReferenceScores:
    """``image_score`` 0..1; ``type_map`` [1+K, S, S] with row 0 normal; ``anomaly_map`` [S, S]."""

    image_score: float
    type_map: torch.Tensor
    anomaly_map: torch.Tensor


def score_image(clip: Any, weights: Any, text: torch.Tensor, image: torch.Tensor) -> ReferenceScores:
    """Score one normalised ``image`` [3, S, S] against ``text`` [1+K, D]."""
    visual, size = clip.visual, image.shape[-1]
    layers = len(visual.transformer.resblocks)
    grid = size // visual.conv1.kernel_size[0]

    # Patches, CLS, positions; then the learnable tokens, which carry no position, between CLS and the patches.
    patches = visual.conv1(image[None]).reshape(1, -1, grid * grid).permute(0, 2, 1)
    sequence = torch.cat([visual.class_embedding[None, None], patches], dim=1) + visual.positional_embedding
    sequence = visual.ln_pre(sequence)
    outputs = _layers(visual.transformer.resblocks, sequence, weights.visual_tokens, mask=None)
    inserted = weights.visual_tokens.shape[1]
    cls = F.normalize(visual.ln_post(outputs[-1][0, 0]) @ visual.proj, dim=0)

    maps = []
    for quarter, adapter in zip((1, 2, 3, 4), weights.adapters, strict=True):
        tapped = outputs[layers * quarter // 4 - 1][0, 1 + inserted :]
        similarity = torch.empty(grid * grid, len(text))
        for p in range(grid * grid):
            feature = F.normalize(adapter(tapped[p]), dim=0)
            for k in range(len(text)):
                similarity[p, k] = torch.dot(feature, text[k]) / TAU
        probability = similarity.softmax(dim=1).T.reshape(1, len(text), grid, grid)
        maps.append(F.interpolate(probability, size=(size, size), mode="bilinear", align_corners=False)[0])
    type_map = sum(maps) / len(maps)

    abnormal = F.normalize(text[1:].mean(0), dim=0)
    logits = torch.stack([cls @ text[0], cls @ abnormal]) / TAU
    return ReferenceScores(float(logits.softmax(0)[1]), type_map, type_map[1:].sum(0))


def encode_text(
    clip: Any, weights: Any, defect_types: tuple[str, ...], object_word: str, causal: bool = True
) -> torch.Tensor:
    """Return T [1+K, D]: E x (1+K) prompts, each encoded by itself at the full context length."""
    rows = []
    for phrase, contexts in [
        (f"normal {object_word}", weights.normal_context),
        *((f"{name} anomaly {object_word}", weights.abnormal_context) for name in defect_types),
    ]:
        variants = [_encode_prompt(clip, weights.text_tokens, context, phrase, causal) for context in contexts]
        rows.append(F.normalize(torch.stack(variants).mean(0), dim=0))
    return torch.stack(rows)


def _encode_prompt(
    clip: Any, text_tokens: torch.Tensor, context: torch.Tensor, phrase: str, causal: bool
) -> torch.Tensor:
    # One stand-in word for each context token ("x" is one token of CLIP's), then the phrase.
    ids = open_clip.tokenize([" ".join(["x"] * len(context)) + " " + phrase], context_length=clip.context_length)
    embedded = clip.token_embedding(ids).clone()
    embedded[0, 1 : 1 + len(context)] = context
    sequence = embedded + clip.positional_embedding
    inserted = text_tokens.shape[1]
    length = clip.context_length + inserted
    mask = None
    if causal:
        mask = torch.zeros(length, length)
        for query in range(length):
            mask[query, query + 1 :] = -torch.inf
    output = _layers(clip.transformer.resblocks, sequence, text_tokens, mask)[-1]
    end = int(ids[0].argmax()) + inserted  # EOT has the largest id
    return clip.ln_final(output[0, end]) @ clip.text_projection


def _layers(
    blocks: Any, sequence: torch.Tensor, learnable: torch.Tensor, mask: torch.Tensor | None
) -> list[torch.Tensor]:
    """Outputs of all blocks; the token slots before block i > 0 mix what came out of block i-1 with learnable_i."""
    n = learnable.shape[1]
    x = torch.cat([sequence[:, :1], learnable[0][None], sequence[:, 1:]], dim=1)
    outputs = []
    for i, block in enumerate(blocks):
        if i > 0:
            x = x.clone()
            x[:, 1 : 1 + n] = ALPHA * x[:, 1 : 1 + n] + (1 - ALPHA) * learnable[i]
        x = block(x, attn_mask=mask)
        outputs.append(x)
    return outputs

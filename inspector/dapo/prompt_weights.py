"""The trained parts of DAPO: hybrid-prompt contexts, layer tokens of both towers, adapters. Nothing else is trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inspector.dapo.backbone import backbone_id
from inspector.dapo.clip import ModelShape, build_clip, model_shape
from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary
from inspector.domain.records import to_json
from inspector.domain.weights import WeightsManifest

CONTEXTS = 10
CONTEXT_TOKENS = 5
LAYER_TOKENS = 4


class PromptWeights(nn.Module):
    """Trainable parameters, float32.

    ``normal_context`` and ``abnormal_context`` [E, l, D_text] (one abnormal set for all defect types, so a new type
    needs no training), ``text_tokens`` [L_t, n, D_text], ``visual_tokens`` [L_v, n, D_v], ``adapters`` one
    Linear(D_v -> D) for each tapped layer.
    """

    def __init__(
        self, shape: ModelShape, contexts: int, context_tokens: int, text_layer_tokens: int, visual_layer_tokens: int
    ) -> None:
        super().__init__()
        self.normal_context = nn.Parameter(torch.empty(contexts, context_tokens, shape.text_width))
        self.abnormal_context = nn.Parameter(torch.empty(contexts, context_tokens, shape.text_width))
        self.text_tokens = nn.Parameter(torch.empty(shape.text_layers, text_layer_tokens, shape.text_width))
        self.visual_tokens = nn.Parameter(torch.empty(shape.visual_layers, visual_layer_tokens, shape.visual_width))
        self.adapters = nn.ModuleList(nn.Linear(shape.visual_width, shape.embed_dim) for _ in shape.taps)


def init_prompt_weights(
    spec: ModelSpec, vocabulary: Vocabulary, seed: int, layer_tokens: int = LAYER_TOKENS
) -> tuple[PromptWeights, WeightsManifest]:
    """Return fresh, untrained weights for ``spec`` and their manifest (``trained=False``), the same for a seed.

    ``layer_tokens`` ride along in each layer of both towers, but of no convolutional one; 0 leaves the towers as they
    are (the paper's ablation).

    Contexts and text tokens are drawn from N(mean, std) of CLIP's token embeddings (the paper says so of the contexts;
    the text tokens live in the same space), visual tokens uniformly within +-sqrt(6 / (3 P^2 + D_v)) as in visual
    prompt tuning, adapters as ``nn.Linear`` draws them.

    Raises:
        InspectorError: as ``build_clip``.
    """
    shape = model_shape(spec)
    embeddings = token_embeddings(build_clip(spec))
    mean, deviation = _mean_and_deviation(embeddings)
    bound = math.sqrt(6 / (3 * shape.patch_size_px**2 + shape.visual_width))
    visual_tokens = 0 if shape.convolutional else layer_tokens
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = PromptWeights(shape, CONTEXTS, CONTEXT_TOKENS, layer_tokens, visual_tokens)
        for parameter in (weights.normal_context, weights.abnormal_context, weights.text_tokens):
            nn.init.normal_(parameter, mean, deviation)
        nn.init.uniform_(weights.visual_tokens, -bound, bound)
    manifest = WeightsManifest(
        model=spec.name,
        pretrained=spec.pretrained,
        backbone=backbone_id(spec),
        image_size_px=shape.image_size_px,
        contexts=CONTEXTS,
        context_tokens=CONTEXT_TOKENS,
        text_layer_tokens=layer_tokens,
        visual_layer_tokens=visual_tokens,
        taps=shape.taps,
        vocabulary=vocabulary.defect_types,
    )
    return weights, seal(weights, manifest)


def _mean_and_deviation(table: Tensor) -> tuple[float, float]:
    """Return both as float32, the same whatever the number of threads, of which torch's own sums are not free."""
    values = table.detach().cpu().float().numpy()
    return float(np.float32(values.mean(dtype=np.float64))), float(np.float32(values.std(dtype=np.float64, ddof=1)))


def seal(weights: PromptWeights, manifest: WeightsManifest) -> WeightsManifest:
    """Return ``manifest`` with ``version`` set to the content hash of ``weights`` and ``manifest``."""
    return replace(manifest, version=content_version(weights.state_dict(), manifest))


def content_version(tensors: Mapping[str, Tensor], manifest: WeightsManifest) -> str:
    """Return the SHA-256 (hex) over the manifest without its version, and each tensor's name, type, shape and bytes."""
    return content_hash(tensors, to_json(replace(manifest, version="")))


def content_hash(tensors: Mapping[str, Tensor], manifest: bytes) -> str:
    """Return the SHA-256 (hex) as ``content_version`` does, over a manifest as it is written, without its version."""
    digest = hashlib.sha256(manifest)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        # Reshaped first: a tensor of no dimensions cannot be viewed as bytes. As bytes, because numpy has no bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def token_embeddings(clip: nn.Module) -> Tensor:
    """Return the token embedding table [vocabulary, D_text] of a model as ``build_clip`` returns it."""
    text: Any = getattr(clip, "text", clip)
    table: Tensor = text.token_embedding.weight
    return table

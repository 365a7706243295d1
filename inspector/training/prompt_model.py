"""The differentiable path: frozen towers, prompt weights and embedded images -> what the loss compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import pad_text
from inspector.dapo.similarity import image_logits, type_probabilities
from inspector.dapo.spec import ModelSpec, Precision
from inspector.dapo.text import encode_vocabulary
from inspector.dapo.text_tower import TextTower
from inspector.dapo.visual_tower import VisualTower
from inspector.domain.product import Vocabulary
from inspector.domain.weights import TextMode
from inspector.vision.detail_net import DetailNet
from inspector.vision.preprocess import preprocess


@dataclass(frozen=True, slots=True)
class PromptScores:
    """Scores of B images: ``image_logits`` [B, 2], ``type_grids`` [B, 1+K, gh, gw] of each tap, real rows [B, 1+K]."""

    image_logits: Tensor
    type_grids: tuple[Tensor, ...]
    text_mask: Tensor


class FrozenTowers:
    """Both towers of one CLIP model on the device of ``spec``. Nothing here ever changes."""

    def __init__(self, spec: ModelSpec) -> None:
        """Build the model once for both towers. Raises as ``build_clip``."""
        clip = build_clip(spec).to(spec.device)
        shape = model_shape(spec)
        self.device = torch.device(spec.device)
        self.visual = VisualTower(clip.visual, shape).eval()
        self._details = DetailNet.load(self.visual.mean, self.visual.std, self.device)
        text = getattr(clip, "text", clip)
        self.text = TextTower(text, open_clip.get_tokenizer(spec.name), shape.context_length).eval()

    @torch.no_grad()
    def embed(self, image: Tensor) -> Tensor:
        """Return what layer tokens leave untouched of one normalised image [3, S, S]: float32 [1 + P, D_v] on the CPU.

        One at a time and in fp32: the numbers must not hang on what else is in a batch.
        """
        return self.visual.embed(image[None].to(self.device))[0].float().cpu()

    @torch.no_grad()
    def looks(self, pixels: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Return what the contrast of one image, uint8 [S, S, 3], is made of, on the CPU: see ``DetailNet.looks``."""
        alone, around = self._details.looks(preprocess([pixels], self.visual.mean, self.visual.std, self.device))
        return alone[0].cpu(), around[0].cpu()

    def scores(
        self,
        weights: PromptWeights,
        embedded: Tensor,
        vocabularies: Sequence[Vocabulary],
        text_mode: TextMode,
        precision: Precision,
    ) -> PromptScores:
        """Score embedded images [B, 1 + P, D_v], each by its vocabulary; differentiable in ``weights``."""
        text, mask = pad_text(encode_each(self.text, weights, vocabularies, text_mode))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16"):
            features = self.visual.forward_embedded(embedded, weights.visual_tokens)
            adapted = [adapter(tap) for adapter, tap in zip(weights.adapters, features.taps, strict=True)]
        grids = [type_probabilities(tap, text, mask).transpose(1, 2) for tap in adapted]
        patches = self.visual.shape.grid
        return PromptScores(
            image_logits(features.image, text, mask),
            tuple(grid.reshape(len(embedded), -1, *patches) for grid in grids),
            mask,
        )


def encode_each(
    tower: TextTower, weights: PromptWeights, vocabularies: Sequence[Vocabulary], text_mode: TextMode
) -> list[Tensor]:
    """Return T of each image, [1+K_i, D], each different prompt encoded once: images of a batch share most of them."""
    union: dict[str, dict[str, int]] = {}
    for vocabulary in vocabularies:
        rows = union.setdefault(vocabulary.object_word, {})
        for name in vocabulary.defect_types:
            rows.setdefault(name, 1 + len(rows))  # row 0 is "normal"
    encoded = {
        word: encode_vocabulary(tower, weights, Vocabulary(tuple(rows), word), text_mode)
        for word, rows in union.items()
    }
    return [encoded[v.object_word][[0, *(union[v.object_word][name] for name in v.defect_types)]] for v in vocabularies]

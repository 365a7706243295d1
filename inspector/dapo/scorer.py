"""The serving side of DAPO: visual tower, visual tokens and adapters against a ready-made T, in batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.similarity import image_probability, type_probabilities
from inspector.dapo.spec import Engine, ModelSpec
from inspector.dapo.visual_tower import VisualTower, load_visual_tower

if TYPE_CHECKING:
    from inspector.dapo.onnx_tower import OnnxTower

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchScores:
    """Scores of a batch of B images at patch resolution, float32, on the scorer's device.

    ``image_scores`` [B], 0..1. ``type_grid`` [B, 1+K, gh, gw]: probability of "normal" (row 0) and of each defect
    type, mean over the taps; the rows of a patch sum to 1, padding rows are 0. ``taps``: patch tokens [B, P, D_v] of
    each tapped layer before the adapters, for a reference bank; ``adapted`` [B, P, D]: after them, of any length.
    """

    image_scores: Tensor
    type_grid: Tensor
    taps: tuple[Tensor, ...]
    adapted: tuple[Tensor, ...] = ()


class VisualScorer:
    """Scores batches of images; holds no text tower."""

    def __init__(self, tower: VisualTower, weights: PromptWeights, spec: ModelSpec) -> None:
        self._tower = tower
        self._bf16 = spec.precision == "bf16"
        tokens = weights.visual_tokens.detach().clone().to(spec.device)
        self._device = tokens.device
        in_onnx = onnx_tower(tower, tokens, spec) if spec.engine == "onnx" else None
        self._engine: Engine = "torch" if in_onnx is None else "onnx"
        self._encode = in_onnx or partial(tower, layer_tokens=tokens)
        # Copied: the caller may go on training the weights, or want them where they are.
        self._adapters = deepcopy(weights.adapters).requires_grad_(False).to(spec.device)

    @classmethod
    def load(cls, spec: ModelSpec, weights: PromptWeights) -> VisualScorer:
        """Build the visual tower of ``spec`` for ``weights`` (made for the same model). Raises as ``build_clip``."""
        tower = load_visual_tower(spec)
        scorer = cls(tower, weights, spec)
        if scorer.engine == "onnx":
            tower.vit.transformer.resblocks = nn.ModuleList()  # the graph has weights of its own
        return scorer

    @property
    def engine(self) -> Engine:
        """What runs the tower's blocks: that of the model's spec, or torch where it cannot be used."""
        return self._engine

    @property
    def image_size_px(self) -> int:
        """Side of the square input."""
        return self._tower.shape.image_size_px

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self._tower.shape.grid

    @property
    def device(self) -> torch.device:
        """Where images are scored."""
        return self._device

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the model's image normalisation, RGB in 0..1."""
        return self._tower.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the model's image normalisation, RGB in 0..1."""
        return self._tower.std

    @torch.inference_mode()
    def score(self, images: Tensor, text: Tensor, text_mask: Tensor) -> BatchScores:
        """Score a batch, each image against its own T.

        Args:
            images: float32 [B, 3, S, S], normalised with ``mean`` and ``std``.
            text: float32 [B, 1+Kmax, D], padded (see ``pad_text``).
            text_mask: bool [B, 1+Kmax], True for real rows.
        """
        images, text, text_mask = (t.to(self.device) for t in (images, text, text_mask))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            features = self._encode(images)
            adapted = [adapter(tap) for adapter, tap in zip(self._adapters, features.taps, strict=True)]
        probabilities = torch.stack([type_probabilities(a, text, text_mask) for a in adapted]).mean(0)
        return BatchScores(
            image_scores=image_probability(features.image, text, text_mask),
            type_grid=probabilities.transpose(1, 2).reshape(len(images), -1, *self.grid),
            taps=tuple(tap.float() for tap in features.taps),
            adapted=tuple(adapted),
        )


def onnx_tower(tower: VisualTower, tokens: Tensor, spec: ModelSpec) -> OnnxTower | None:
    """Return what encodes images with the layer tokens in ONNX Runtime; None, with a warning, where that cannot be."""
    try:
        # Here, not above: both are slow to load, and a machine may be without them.
        from inspector.dapo.onnx_graph import NoGraphError
        from inspector.dapo.onnx_tower import OnnxTower
    except ImportError as error:
        _log.warning("the model runs in torch at fp32, ONNX Runtime cannot be loaded: %s", error)
        return None
    try:
        return OnnxTower(tower, tokens, int8=spec.precision == "int8", threads=torch.get_num_threads())
    except NoGraphError as error:
        _log.warning("the model runs in torch at fp32, not in ONNX Runtime: %s", error)
        return None


def pad_text(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack the T of each image of a batch, [1+K_i, D] with different K_i.

    Returns:
        float32 [B, 1+Kmax, D] padded with zero rows, and bool [B, 1+Kmax], True for real rows.
    """
    lengths = torch.tensor([len(text) for text in texts])
    padded = pad_sequence(list(texts), batch_first=True)
    mask = torch.arange(padded.shape[1])[None, :] < lengths[:, None]
    return padded, mask.to(padded.device)


def patch_embeddings(adapted: Sequence[Tensor]) -> Tensor:
    """Return what text is compared with, float32 [..., D]: the mean over the taps of each patch at length 1.

    ``adapted``: [..., D] of each tap, as in ``BatchScores``. The mean's dot product with a row of T is the mean of the
    taps' cosines.
    """
    return torch.stack([functional.normalize(tap.float(), dim=-1) for tap in adapted]).mean(0)


def anomaly_grid(type_grid: Tensor) -> Tensor:
    """Return the anomaly map [B, gh, gw], 0..1: the sum over the defect types of ``type_grid`` [B, 1+K, gh, gw]."""
    return type_grid[:, 1:].sum(1)


@torch.inference_mode()
def anomaly_by_words(adapted: Sequence[Tensor], text: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the anomaly map [B, gh, gw], 0..1, of patches by other words than they were scored with.

    Args:
        adapted: [B, P, D] of each tap, as in ``BatchScores``.
        text: T of those words, float32 [1+K, D].
        grid: gh and gw.
    """
    images = len(adapted[0])
    padded, mask = pad_text([text.to(adapted[0].device)] * images)
    probabilities = torch.stack([type_probabilities(tap, padded, mask) for tap in adapted]).mean(0)
    return anomaly_grid(probabilities.transpose(1, 2).reshape(images, -1, *grid))


def upsample(grid: Tensor, size_px: int) -> Tensor:
    """Upsample [B, C, gh, gw] bilinearly to [B, C, size_px, size_px].

    Corners are not aligned: a patch's value stands at the patch's centre.
    """
    return functional.interpolate(grid, (size_px, size_px), mode="bilinear", align_corners=False)

"""A batch of decoded frames -> raw scores: the tower, T of each frame's vocabulary, and the cameras' banks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import BatchScores, VisualScorer, anomaly_grid, pad_text, patch_embeddings, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.domain.product import ProductSettings, Vocabulary
from inspector.domain.weights import TextMode
from inspector.vision.bank_features import bank_features
from inspector.vision.camera_book import BankInUse, Plan
from inspector.vision.judge import RawScores
from inspector.vision.polygons import inspected_area
from inspector.vision.preprocess import preprocess
from inspector.vision.texture import TextureFeatures

Pixels = NDArray[np.uint8]


def frame_digest(pixels: Pixels) -> str:
    """Return what recognises a decoded frame (uint8 [S, S, 3]) again: 128 bits of its SHA-256 in hex."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:32]


class RawScorer:
    """Holds the visual tower and T of every vocabulary in use. Not thread-safe: one thread scores."""

    def __init__(
        self, spec: ModelSpec, weights: PromptWeights, text_mode: TextMode, vocabularies: Collection[Vocabulary]
    ) -> None:
        self._spec = spec
        self._weights = weights
        self._text_mode = text_mode
        # Text first: its tower leaves memory before the visual one comes.
        self._text: dict[Vocabulary, Tensor] = {}
        self.learn_words(vocabularies)
        self._visual = VisualScorer.load(spec, weights)
        rows, columns = self._visual.grid
        # Finer than the tower's patches: small defects fill a cell of half the side.
        texture = TextureFeatures((2 * rows, 2 * columns), self._visual.mean, self._visual.std)
        self._texture = texture.to(self._visual.device)

    @property
    def image_size_px(self) -> int:
        """Side S of the square the tower takes."""
        return self._visual.image_size_px

    def level_widths(self) -> Mapping[str, int]:
        """Features of a patch on each level of a bank."""
        blank = np.zeros((self.image_size_px, self.image_size_px, 3), np.uint8)
        return {level: values.shape[-1] for level, values in self.features([blank]).items()}

    def learn_words(self, vocabularies: Collection[Vocabulary]) -> None:
        """Encode T of the vocabularies not seen before. Raises as ``encode_vocabularies``."""
        new = {vocabulary for vocabulary in vocabularies if vocabulary not in self._text}
        self._text.update(encode_vocabularies(self._spec, self._weights, new, self._text_mode))

    def score(
        self, pixels: Sequence[Pixels], plans: Sequence[Plan], *, embed: bool = False
    ) -> tuple[list[RawScores], dict[str, float]]:
        """Score frames (uint8 [S, S, 3]), each by its plan; also ms per frame of ``preprocess``, ``score``, ``bank``.

        A frame that is in its camera's bank is left out of the bank while it is scored. ``embed`` adds embedding grids.
        """
        started = time.perf_counter()
        images = self._images(pixels)
        ready = time.perf_counter()
        try:
            scores = self._forward(images, [plan.product.vocabulary for plan in plans])
        except torch.OutOfMemoryError as error:
            raise MemoryError(f"too little device memory for {len(pixels)} frames at once") from error
        zero_shot = upsample(anomaly_grid(scores.type_grid)[:, None], self.image_size_px)[:, 0].cpu().numpy()
        grids = scores.type_grid[:, 1:].cpu().numpy()
        image_scores = scores.image_scores.cpu().tolist()
        embeddings = self._embeddings(scores) if embed else [None] * len(plans)
        scored = time.perf_counter()
        banked = self._bank_maps(pixels, images, scores, plans)
        raw = []
        for i, plan in enumerate(plans):
            types = grids[i, : len(plan.product.defects)]
            if i in banked:
                raw.append(RawScores(peak(banked[i], plan.product), banked[i], types, embeddings[i]))
            else:
                image_score = _zero_shot(image_scores[i], zero_shot[i], plan.product)
                raw.append(RawScores(image_score, zero_shot[i], types, embeddings[i]))
        ended = time.perf_counter()
        spans = {"preprocess": ready - started, "score": scored - ready}
        if banked:
            spans["bank"] = ended - scored
        return raw, {stage: span * 1e3 / len(pixels) for stage, span in spans.items()}

    def features(self, pixels: Sequence[Pixels], batch: int = 16) -> Mapping[str, Tensor]:
        """Return each bank level's features [F, rows, columns, D_level] on the CPU, of frames of any camera."""
        any_text = next(iter(self._text))
        parts = []
        for start in range(0, len(pixels), batch):
            images = self._images(pixels[start : start + batch])
            taps = self._forward(images, [any_text] * len(images)).taps
            parts.append(bank_features(taps, self._visual.grid, images, self._texture))
        return {level: torch.cat([part[level].cpu() for part in parts]) for level in parts[0]}

    def to_maps(self, patch_scores: Tensor) -> NDArray[np.float32]:
        """Return maps float32 [B, S, S] of patch scores [B, rows, columns]."""
        maps: NDArray[np.float32] = upsample(patch_scores[:, None], self.image_size_px)[:, 0].cpu().numpy()
        return maps

    def _images(self, pixels: Sequence[Pixels]) -> Tensor:
        return preprocess(pixels, self._visual.mean, self._visual.std, self._visual.device)

    def _embeddings(self, scores: BatchScores) -> Sequence[NDArray[np.float16]]:
        embeddings: NDArray[np.float16] = patch_embeddings(scores.adapted, self._visual.grid).half().cpu().numpy()
        return list(embeddings)

    def _forward(self, images: Tensor, vocabularies: Sequence[Vocabulary]) -> BatchScores:
        text, mask = pad_text([self._text[vocabulary] for vocabulary in vocabularies])
        return self._visual.score(images, text, mask)

    @torch.inference_mode()
    def _bank_maps(
        self, pixels: Sequence[Pixels], images: Tensor, scores: BatchScores, plans: Sequence[Plan]
    ) -> dict[int, NDArray[np.float32]]:
        """Return the maps of the frames that have a bank, by position, matching all frames of a bank at once."""
        users: dict[str, tuple[BankInUse, list[int]]] = {}
        for i, plan in enumerate(plans):
            if plan.bank is not None:
                users.setdefault(plan.bank.version, (plan.bank, []))[1].append(i)
        if not users:
            return {}
        features = bank_features(scores.taps, self._visual.grid, images, self._texture)
        maps: dict[int, NDArray[np.float32]] = {}
        for in_use, positions in users.values():
            known = {digest: frame for frame, digest in enumerate(in_use.info.frame_digests)}
            own = torch.tensor([known.get(frame_digest(pixels[i]), -1) for i in positions])
            chosen = {level: values[positions] for level, values in features.items()}
            bank = in_use.bank.to(self._visual.device)
            leave_out = own.to(self._visual.device) if bool((own >= 0).any()) else None
            maps.update(zip(positions, self.to_maps(bank.score(chosen, leave_out)), strict=True))
        return maps


def peak(anomaly_map: NDArray[np.float32], product: ProductSettings) -> float:
    """Return the score of a frame by its map: the largest value where the product is inspected."""
    area = inspected_area(product.region_of_interest, product.ignore, anomaly_map.shape[0])
    return float(anomaly_map[area].max()) if area.any() else float(anomaly_map.min())


def _zero_shot(image_score: float, anomaly_map: NDArray[np.float32], product: ProductSettings) -> float:
    """Return the image score (0..1), limited by the map where only a part of the frame is inspected.

    The image score is of the whole frame: alone, it would report what lies in an ignored zone.
    """
    if not product.region_of_interest and not product.ignore:
        return image_score
    area = inspected_area(product.region_of_interest, product.ignore, anomaly_map.shape[0])
    return min(image_score, float(anomaly_map[area].max(initial=0.0)))

"""A batch of decoded frames -> raw scores: the tower, T of each frame's vocabulary, and the cameras' banks."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import BatchScores, VisualScorer, anomaly_by_words, anomaly_grid, pad_text, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import serving_texts
from inspector.domain.product import Vocabulary
from inspector.domain.release import GoldenScores
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import BY_TUNED_WORDS, ScoringSettings
from inspector.domain.weights import TextMode
from inspector.pipeline.calibration import DEFAULT_FALSE_ALARM_RATE
from inspector.vision.bank_features import (
    DETAIL,
    FINE,
    ZERO_SHOT,
    bank_features,
    chosen_levels,
    fine_features,
    peak_fraction,
)
from inspector.vision.bank_scoring import bank_scores
from inspector.vision.detail_net import DetailNet
from inspector.vision.frame_pixels import FINE_PX, FramePixels, is_finer
from inspector.vision.golden_batch import golden_scores
from inspector.vision.image_score import peaks, zero_shot_score
from inspector.vision.judge import RawScores
from inspector.vision.mutual_rings import MutualRings
from inspector.vision.mutual_scoring import Scored, mutual_frame, mutual_scores, score_set
from inspector.vision.normal_map import logit_of
from inspector.vision.plan import Plan
from inspector.vision.preprocess import preprocess
from inspector.vision.region_embeddings import Patches
from inspector.vision.texture import TextureFeatures
from inspector.vision.tiled_scorer import TiledScorer
from inspector.vision.tiling import Tiling

DEFAULT_MAX_TILES = 16


def frame_digest(pixels: FramePixels) -> str:
    """Return what recognises a decoded frame again: 128 bits of the SHA-256 of its square, in hex."""
    return hashlib.sha256(np.ascontiguousarray(pixels.square).data).hexdigest()[:32]


class RawScorer:
    """Holds the visual tower and T of every vocabulary in use. Not thread-safe: one thread scores."""

    def __init__(
        self,
        spec: ModelSpec,
        weights: PromptWeights,
        text_mode: TextMode,
        vocabularies: Collection[Vocabulary],
        scoring: ScoringSettings | None = None,
        false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
        max_tiles: int = DEFAULT_MAX_TILES,
        texts: Mapping[Vocabulary, Tensor] | None = None,
        image_words: Vocabulary | None = None,
    ) -> None:
        """``max_tiles``: how many tiles of frames that are larger than the tower's square it takes at once.

        ``texts``: T of vocabularies, made with these weights; what is there needs no text tower. ``image_words``: what
        zero-shot image scores from the map's mean ask for; None: the words of each product.
        """
        self._spec = spec
        self._weights = weights
        self._text_mode = text_mode
        self._scoring = scoring or ScoringSettings()
        self._false_alarm_rate = false_alarm_rate
        self._rings = MutualRings(self._scoring, false_alarm_rate)
        # Text first: its tower leaves memory before the visual one comes.
        self._text: dict[Vocabulary, Tensor] = dict(texts or {})
        self._image_words = image_words if self._scoring.image_score in BY_TUNED_WORDS else None
        self.learn_words([*vocabularies, *(() if self._image_words is None else (self._image_words,))])
        self._visual = VisualScorer.load(spec, weights)
        self._tiled = TiledScorer(self._visual, max_tiles)
        self._texture = TextureFeatures(self._visual.mean, self._visual.std).to(self._visual.device)
        self._details_of = DetailNet.load(self._visual.mean, self._visual.std, self._visual.device, self._visual.engine)

    @property
    def image_size_px(self) -> int:
        """Side S of the square the tower takes."""
        return self._visual.image_size_px

    @property
    def tile(self) -> Tiling:
        """The tiling of a frame of one tile."""
        return self._tiled.tile

    @property
    def scoring(self) -> ScoringSettings:
        """Which variants of the scores are in use."""
        return self._scoring

    def level_widths(self) -> Mapping[str, int]:
        """Features of a patch on each level of a bank that counts."""
        square = np.zeros((self.image_size_px, self.image_size_px, 3), np.uint8)
        fine = np.zeros((FINE_PX, FINE_PX, 3), np.uint8) if is_finer(self.image_size_px) else None
        features = self.features([FramePixels(square, fine)], next(iter(self._text)))
        names = chosen_levels(self._scoring.bank_levels, self._scoring.bank_fusion)
        return {level: features[level].shape[-1] for level in names if level in features}

    def text(self, vocabulary: Vocabulary) -> Tensor:
        """Return T of a vocabulary that was learnt, float32 [1+K, D]."""
        return self._text[vocabulary]

    def texts(self) -> Mapping[Vocabulary, Tensor]:
        """Return T of every vocabulary that was learnt."""
        return dict(self._text)

    def learn_words(self, vocabularies: Collection[Vocabulary]) -> None:
        """Encode T of the vocabularies not seen before. Raises as ``encode_vocabularies``."""
        new = {vocabulary for vocabulary in vocabularies if vocabulary not in self._text}
        self._text.update(serving_texts(self._spec, self._weights, new, self._text_mode))

    def score(
        self, pixels: Sequence[FramePixels], plans: Sequence[Plan], *, embed: bool = False
    ) -> tuple[list[RawScores], dict[str, float]]:
        """Score frames, each by its plan; also ms per frame of ``preprocess``, ``score``, ``bank``.

        S may differ from frame to frame: it is the side of some number of tiles. A frame that is in its camera's bank
        is left out of the bank while it is scored. ``embed`` adds what regions are embedded from.
        """
        raw: dict[int, RawScores] = {}
        spans: Counter[str] = Counter()
        for group in self.together(pixels):
            try:
                scored, taken_s = self._score_alike([pixels[i] for i in group], [plans[i] for i in group], embed)
            except torch.OutOfMemoryError as error:
                raise MemoryError(f"too little device memory for {len(group)} frames at once") from error
            raw.update(zip(group, scored, strict=True))
            spans.update(taken_s)
        return [raw[i] for i in range(len(pixels))], {stage: s * 1e3 / len(pixels) for stage, s in spans.items()}

    def together(self, pixels: Sequence[FramePixels]) -> list[list[int]]:
        """Say which frames, by position, are scored at once; see ``TiledScorer.together``."""
        return self._tiled.together([frame.side_px for frame in pixels])

    def _score_alike(
        self, pixels: Sequence[FramePixels], plans: Sequence[Plan], embed: bool
    ) -> tuple[list[RawScores], dict[str, float]]:
        """Score frames of one size; also seconds of each stage."""
        started = time.perf_counter()
        images = self._images(pixels)
        ready = time.perf_counter()
        scores = self._forward(images, [plan.product.vocabulary for plan in plans])
        zero_shot = self.to_maps(anomaly_grid(scores.type_grid), pixels[0].side_px)
        grids = scores.type_grid[:, 1:].cpu().numpy()
        image_scores = scores.image_scores.cpu().tolist()
        patches = _patches(scores) if embed else [None] * len(plans)
        scored = time.perf_counter()
        references = self._references(pixels, images, scores, plans)
        looks = self._looks(images, [i for i in range(len(plans)) if i not in references])
        overall = self._asked_overall(scores, zero_shot) if len(references) < len(plans) else zero_shot
        raw = []
        for i, plan in enumerate(plans):
            if i in references:
                found = references[i]
            else:
                seen = looks.get(i, ())
                image_score = zero_shot_score(image_scores[i], overall[i], plan.product, self._scoring, seen)
                found = Scored(image_score, zero_shot[i], ScoreMode.ZERO_SHOT)
            types = grids[i, : len(plan.product.defects)]
            raw.append(_with_types(found, types, patches[i]))
        ended = time.perf_counter()
        spans = {"preprocess": ready - started, "score": scored - ready}
        if looks or any(plan.mode is not ScoreMode.ZERO_SHOT for plan in plans):
            spans["bank"] = ended - scored
        return raw, spans

    def score_set(
        self, pixels: Sequence[FramePixels], plans: Sequence[Plan], batch: int = 16, finer: bool | None = None
    ) -> list[RawScores]:
        """Score frames of one size, all of them each other's reference whatever their cameras' modes.

        ``finer``: whether fine texture counts; None: the frames decide.

        Raises:
            BadInputError: as ``mutual_scoring.score_set``.
        """
        frames, types = [], []
        batch = self._tiled.at_once(pixels[0].side_px, batch) if pixels else batch
        for start in range(0, len(pixels), batch):
            some, theirs = pixels[start : start + batch], plans[start : start + batch]
            images = self._images(some)
            scores = self._forward(images, [plan.product.vocabulary for plan in theirs])
            features = self._features(scores, images, range(len(some)))
            features |= self._fine(some, range(len(some)))
            grids = scores.type_grid[:, 1:].cpu().numpy()
            for i, plan in enumerate(theirs):
                frames.append(mutual_frame(self._scoring, frame_digest(some[i]), plan.product, features, i))
                types.append(grids[i, : len(plan.product.defects)])
        to_maps = partial(self.to_maps, size_px=pixels[0].side_px if pixels else 0)
        found = score_set(self._scoring, self._false_alarm_rate, frames, to_maps, finer)
        return [_with_types(each, grid, None) for each, grid in zip(found, types, strict=True)]

    def forget_neighbours(self, camera_id: str) -> None:
        """Drop the last frames of a camera, where mutual scoring keeps them."""
        self._rings.forget(camera_id)

    def features(self, pixels: Sequence[FramePixels], vocabulary: Vocabulary, batch: int = 16) -> Mapping[str, Tensor]:
        """Return each bank level's features [F, rows, columns, D_level] on the CPU, of frames of one size.

        ``vocabulary``, one that was learnt, is what their zero-shot maps are of.
        """
        batch = self._tiled.at_once(pixels[0].side_px, batch)
        parts = []
        for start in range(0, len(pixels), batch):
            images = self._images(pixels[start : start + batch])
            scores = self._forward(images, [vocabulary] * len(images))
            features = self._features(scores, images, range(len(images)))
            parts.append(features | self._fine(pixels[start : start + batch], range(len(images))))
        common = [level for level in parts[0] if all(level in part for part in parts)]
        return {level: torch.cat([part[level].cpu() for part in parts]) for level in common}

    def golden(self, pixels: Sequence[FramePixels], vocabulary: Vocabulary) -> GoldenScores:
        """Return what golden pictures (one tile each) score, looking for a vocabulary, which is learnt if need be."""
        self.learn_words([vocabulary])
        return golden_scores(self._forward(self._images(pixels), [vocabulary] * len(pixels)), vocabulary)

    def tiles(self, pixels: Sequence[FramePixels]) -> int:
        """Return how many tiles a side frames of one size have. Raises ValueError as ``Tiling.of_side``."""
        return self._tiled.tiling(pixels[0].side_px).tiles

    def to_maps(self, patch_scores: Tensor, size_px: int) -> NDArray[np.float32]:
        """Return maps float32 [B, size_px, size_px] of patch scores [B, rows, columns]."""
        maps: NDArray[np.float32] = upsample(patch_scores[:, None], size_px)[:, 0].cpu().numpy()
        return maps

    def _images(self, pixels: Sequence[FramePixels]) -> Tensor:
        return preprocess([frame.square for frame in pixels], self._visual.mean, self._visual.std, self._visual.device)

    def _features(self, scores: BatchScores, images: Tensor, wanted: Sequence[int]) -> dict[str, Tensor]:
        """Return the features of each level of a batch, its zero-shot maps by the frames' own vocabularies.

        The level of details costs more than all others: images that are not ``wanted`` have zeros there.
        """
        features = bank_features(scores.taps, _grid(scores), images, self._texture)
        features[ZERO_SHOT] = logit_of(anomaly_grid(scores.type_grid))[..., None]
        if DETAIL in chosen_levels(self._scoring.bank_levels, "none"):
            chosen = list(wanted)
            found = self._details_of(images[chosen])
            features[DETAIL] = found.new_zeros(len(images), *found.shape[1:])
            features[DETAIL][chosen] = found
        return features

    def _compares_finer(self, plan: Plan) -> bool:
        if plan.mode is ScoreMode.MUTUAL:
            return self._rings.may_stand_still(plan.camera_id, plan.product_name)
        return FINE in _levels(plan)

    def _fine(self, pixels: Sequence[FramePixels], wanted: Sequence[int]) -> dict[str, Tensor]:
        """Return the level FINE of a batch, with zeros for frames that are not ``wanted``; none without fine pixels."""
        squares = [fine for i in wanted if (fine := pixels[i].fine) is not None]
        if not squares or len(squares) < len(wanted) or FINE not in chosen_levels(self._scoring.bank_levels, "none"):
            return {}
        norm = (self._visual.mean, self._visual.std)
        found = fine_features(squares, self._texture, norm, self._visual.device)
        features = found.new_zeros(len(pixels), *found.shape[1:])
        features[list(wanted)] = found
        return {FINE: features}

    def _looks(self, images: Tensor, wanted: Sequence[int]) -> dict[int, tuple[Tensor, Tensor]]:
        """Return what the contrasts of the ``wanted`` images are made of, where zero-shot image scores ask for them."""
        if self._scoring.image_score != "contrast" or not wanted:
            return {}
        pairs = zip(*self._details_of.looks(images[list(wanted)]), strict=True)
        return dict(zip(wanted, pairs, strict=True))

    def _asked_overall(self, scores: BatchScores, zero_shot: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps [B, S, S] that image scores are made of, from those by each product's own words.

        A mean over a whole frame moves with the words that are asked for, and its threshold does not: both are by the
        words that the weights were tuned with. Which words a product has decides where something is shown, and as what.
        """
        if self._image_words is None:
            return zero_shot
        grid = anomaly_by_words(scores.adapted, self._text[self._image_words], _grid(scores))
        return self.to_maps(grid, zero_shot.shape[-1])

    def _forward(self, images: Tensor, vocabularies: Sequence[Vocabulary]) -> BatchScores:
        text, mask = pad_text([self._text[vocabulary] for vocabulary in vocabularies])
        return self._tiled.score(images, text, mask)

    def _references(
        self, pixels: Sequence[FramePixels], images: Tensor, scores: BatchScores, plans: Sequence[Plan]
    ) -> dict[int, Scored]:
        """Return what the frames with a bank, and those with enough neighbours, score against them, by position."""
        wanted = [i for i, plan in enumerate(plans) if plan.mode is not ScoreMode.ZERO_SHOT]
        if not wanted:
            return {}
        features = self._features(scores, images, wanted)
        finer = [i for i in wanted if self._compares_finer(plans[i]) and pixels[i].fine is not None]
        features |= self._fine(pixels, finer)
        digests = [frame_digest(frame) for frame in pixels]
        to_maps = partial(self.to_maps, size_px=pixels[0].side_px)
        found = {}
        if banked := bank_scores(plans, features, scores.adapted, _grid(scores), digests):
            for i, anomaly_map in zip(banked, to_maps(torch.stack(list(banked.values()))), strict=True):
                fraction = peak_fraction(self._scoring, _levels(plans[i]))
                highest = peaks(anomaly_map, plans[i].product, fraction)
                found[i] = Scored(highest.image, anomaly_map, ScoreMode.BANK)
        squares = [frame.square for frame in pixels]
        found |= mutual_scores(self._rings, plans, features, digests, squares, to_maps, frozenset(finer))
        return found


def _levels(plan: Plan) -> Collection[str]:
    return () if plan.bank is None else plan.bank.bank.levels


def _grid(scores: BatchScores) -> tuple[int, int]:
    rows, columns = scores.type_grid.shape[-2:]
    return rows, columns


def _patches(scores: BatchScores) -> Sequence[Patches]:
    grid = _grid(scores)
    return [Patches(tuple(tap[i] for tap in scores.adapted), grid) for i in range(len(scores.image_scores))]


def _with_types(found: Scored, types: NDArray[np.float32], patches: Patches | None) -> RawScores:
    return RawScores(found.image_score, found.anomaly_map, types, patches, found.mode, found.score_maps)

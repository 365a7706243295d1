"""Thresholds that travel with the weights, from the good images they were trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import anomaly_grid, upsample
from inspector.domain.product import ProductSettings, Vocabulary
from inspector.domain.scoring import BY_TUNED_WORDS, ScoringSettings
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import MEDIAN_SCORE, MIN_FRAMES, threshold
from inspector.training.options import TrainingOptions
from inspector.training.prepared import PreparedExamples
from inspector.training.prompt_model import FrozenTowers
from inspector.vision.image_score import zero_shot_score

_ANY_PRODUCT = ProductSettings()
UNMEASURED = 0.5
"""Thresholds of weights that too few good images were there for, as of fresh ones."""

# Raw scores are float32: the largest of them that a score can still exceed.
_BELOW_ONE = 1 - 2**-24
# Good images beyond these, evenly spread, would cost a pass over the data set and hardly move a quantile.
_MOST = 1000


@torch.no_grad()
def with_thresholds(
    manifest: WeightsManifest,
    weights: PromptWeights,
    towers: FrozenTowers,
    examples: PreparedExamples,
    options: TrainingOptions,
    step: Callable[[int, int], None],
) -> WeightsManifest:
    """Return ``manifest`` with the image score and the map's peak that good training images exceed at the wanted rate.

    Raw zero-shot scores, each image by its own class's vocabulary (image scores of ``BY_TUNED_WORDS`` by the
    manifest's), and the scales that make the median good image's 0.1 (see ``pipeline.calibration``). With fewer than 8
    good images it stays as it is.
    """
    good = [position for position, label in enumerate(examples.labels) if not label.anomalous]
    if len(good) < MIN_FRAMES:
        return manifest
    good = [good[i * len(good) // min(len(good), _MOST)] for i in range(min(len(good), _MOST))]
    scoring = ScoringSettings(image_score=manifest.image_score)
    overall_words = Vocabulary(manifest.vocabulary) if scoring.image_score in BY_TUNED_WORDS else None

    def mapped(embedded: Tensor, words: Vocabulary) -> tuple[float, NDArray[np.float32]]:
        scores = towers.scores(weights, embedded, [words], options.text_mode, options.precision)
        grid = anomaly_grid(torch.stack(scores.type_grids).mean(0))
        anomaly_map = upsample(grid[:, None], towers.visual.shape.image_size_px)[0, 0]
        return scores.image_logits.softmax(-1)[0, 1].item(), anomaly_map.cpu().numpy()

    image_scores, peaks = [], []
    for done, position in enumerate(good, start=1):
        embedded = examples.get(position)[0][None].to(towers.device)
        vocabulary = examples.labels[position].vocabulary
        cls, anomaly_map = mapped(embedded, vocabulary)
        asked = overall_words or vocabulary
        overall = anomaly_map if asked == vocabulary else mapped(embedded, asked)[1]
        looks = towers.looks(examples.pixels(position)) if scoring.image_score == "contrast" else ()
        image_scores.append(zero_shot_score(cls, overall, _ANY_PRODUCT, scoring, looks))
        peaks.append(float(anomaly_map.max()))
        step(done, len(good))
    return measured(manifest, image_scores, peaks, options.false_alarm_rate)


def measured(
    manifest: WeightsManifest, image_scores: Sequence[float], peaks: Sequence[float], false_alarm_rate: float
) -> WeightsManifest:
    """Return ``manifest`` with thresholds and scales from good images' scores and their maps' peaks, 0..1.

    Raises as ``threshold``.
    """
    image, pixel = (probability_threshold(scores, false_alarm_rate) for scores in (image_scores, peaks))
    return replace(
        manifest,
        image_threshold=image,
        pixel_threshold=pixel,
        image_scale=probability_scale(image_scores, image),
        pixel_scale=probability_scale(peaks, pixel),
    )


def probability_threshold(scores: Sequence[float], false_alarm_rate: float) -> float:
    """Return what a good image's score, a probability, exceeds at the wanted rate: at least 0, and always below 1.

    The law is fitted to ``-log(1 - p)``, the softplus of the logit: it is ``p`` where that is small, and the logit
    near 1, where a law of ``p`` itself would reach beyond what any score can. Raises as ``threshold``.
    """
    stretched = -np.log1p(-np.minimum(np.asarray(scores, np.float64), _BELOW_ONE))
    return min(_BELOW_ONE, max(0.0, -math.expm1(-threshold(stretched.tolist(), false_alarm_rate))))


def probability_scale(scores: Sequence[float], midpoint: float) -> float:
    """Return the scale of the score map that sends ``midpoint`` to 0.5 and the median of good images' scores to 0.1.

    Where the two hardly differ, a thousandth of the midpoint is taken to lie between them, and 0 where that is 0.
    """
    apart = max(midpoint - float(np.median(scores)), 1e-3 * midpoint)
    return min(1.0, apart / math.log((1 - MEDIAN_SCORE) / MEDIAN_SCORE))

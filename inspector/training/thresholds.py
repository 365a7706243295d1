"""Thresholds that travel with the weights, from the good images they were trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import anomaly_grid, upsample
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import MIN_FRAMES, threshold
from inspector.training.options import TrainingOptions
from inspector.training.prepared import PreparedExamples
from inspector.training.prompt_model import FrozenTowers

UNMEASURED = 0.5
"""Thresholds of weights that too few good images were there for, as of fresh ones."""

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

    Raw zero-shot scores, each image by its own class's vocabulary. With fewer than 8 good images it stays as it is.
    """
    good = [position for position, label in enumerate(examples.labels) if not label.anomalous]
    if len(good) < MIN_FRAMES:
        return manifest
    good = [good[i * len(good) // min(len(good), _MOST)] for i in range(min(len(good), _MOST))]
    image_scores, peaks = [], []
    for done, position in enumerate(good, start=1):
        embedded = examples.get(position)[0][None].to(towers.device)
        vocabulary = examples.labels[position].vocabulary
        scores = towers.scores(weights, embedded, [vocabulary], options.text_mode, options.precision)
        grid = torch.stack(scores.type_grids).mean(0)
        anomaly_map = upsample(anomaly_grid(grid)[:, None], towers.visual.shape.image_size_px)
        image_scores.append(scores.image_logits.softmax(-1)[0, 1].item())
        peaks.append(anomaly_map.max().item())
        step(done, len(good))
    return replace(
        manifest,
        image_threshold=_within(threshold(image_scores, options.false_alarm_rate)),
        pixel_threshold=_within(threshold(peaks, options.false_alarm_rate)),
    )


def _within(value: float) -> float:
    """Scores are 0..1; the law fitted to few of them may reach beyond."""
    return min(1.0, max(0.0, value))

"""The score of a frame as a whole, from its map and, zero-shot, from its CLS probability."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inspector.domain.artefact import ScoreMap
from inspector.domain.product import ProductSettings
from inspector.domain.scoring import ScoringSettings
from inspector.vision.polygons import inspected_area
from inspector.vision.score_map import ScoreMaps
from inspector.vision.self_contrast import highest_contrast


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a map says of a frame: ``image``, its image score, and ``pixel``, its highest value."""

    image: float
    pixel: float


def peaks(anomaly_map: NDArray[np.float32], product: ProductSettings, fraction: float) -> Peaks:
    """Return the peaks of a map where the product is inspected; the lowest value where it is inspected nowhere.

    The image score is the mean of the highest ``fraction`` of the inspected pixels, of one at least.
    """
    area = inspected_area(product.region_of_interest, product.ignore, anomaly_map.shape[0])
    if not area.any():
        lowest = float(anomaly_map.min())
        return Peaks(lowest, lowest)
    inspected = anomaly_map[area]
    return Peaks(_top_mean(inspected, fraction), float(inspected.max()))


def fit_score_maps(found: Sequence[Peaks], fit: Callable[[Sequence[float]], ScoreMap]) -> ScoreMaps:
    """Return the score maps that ``fit`` makes of frames' image scores, and of their maps' highest values."""
    return ScoreMaps(fit([each.image for each in found]), fit([each.pixel for each in found]))


def zero_shot_score(
    cls_probability: float,
    anomaly_map: NDArray[np.float32],
    product: ProductSettings,
    scoring: ScoringSettings,
    looks: Sequence[Tensor] = (),
) -> float:
    """Return the image score, 0..1, of a CLS probability and an anomaly map [S, S], both 0..1.

    ``cls`` is the probability, limited by the map's maximum where only a part of the frame is inspected: it is of the
    whole frame, and alone it would report what lies in an ignored zone. ``fused`` is the mean of that and of the mean
    of the map's highest inspected pixels (``fused_top_fraction``): half text score, half map, as WinCLIP fuses its
    few-shot scores (Jeong et al., CVPR 2023, section 4.3), with more than one pixel in the place of the maximum.
    ``mean`` is the mean of the inspected pixels, 0 where there are none. ``contrast`` is the geometric mean of that and
    of ``highest_contrast`` of ``looks`` (``DetailNet.looks``), [rows, columns, D] each: the
    mean tells of defects that are everywhere, the contrast of those in one spot, and neither's scale counts.

    Raises:
        ValueError: ``contrast`` without ``looks``.
    """
    whole = not product.region_of_interest and not product.ignore
    area = inspected_area(product.region_of_interest, product.ignore, anomaly_map.shape[0])
    inspected = anomaly_map[area]
    if scoring.image_score in ("mean", "contrast"):
        mean = float(inspected.mean(dtype=np.float64)) if inspected.size else 0.0
        if scoring.image_score == "mean":
            return mean
        if not looks:
            raise ValueError("expected how the frame looks for its contrast, got nothing")
        return math.sqrt(mean * highest_contrast(looks, area))
    cls = cls_probability if whole else min(cls_probability, float(inspected.max(initial=0.0)))
    return cls if scoring.image_score == "cls" else (cls + _top_mean(inspected, scoring.fused_top_fraction)) / 2


def _top_mean(values: NDArray[np.float32], fraction: float) -> float:
    if not len(values):
        return 0.0
    count = max(1, round(fraction * len(values)))
    return float(np.partition(values, -count)[-count:].mean(dtype=np.float64))

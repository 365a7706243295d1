"""Scored maps -> defect instances: what, how sure, how bad, where on the frame as captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box, Defect, Point
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.pipeline.severity import severity
from inspector.vision.describe import describe
from inspector.vision.opencv import cv2
from inspector.vision.polygons import inspected_area

FloatMap = NDArray[np.float32]

# How far a simplified outline may leave the true one, in pixels of the map.
_OUTLINE_TOLERANCE_PX = 0.75


@dataclass(frozen=True, slots=True)
class FrameSize:
    """The frame as captured."""

    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Regions:
    """``defects``, gravest first, at most as many as asked for; ``omitted`` counts the rest.

    ``mask`` is bool [S, S]: every reported region, on the map.
    """

    defects: tuple[Defect, ...]
    omitted: int
    mask: NDArray[np.bool_]


def find_regions(
    anomaly_map: FloatMap,
    type_map: FloatMap,
    product: ProductSettings,
    pixel_threshold: float,
    frame: FrameSize,
    max_regions: int = 32,
) -> Regions:
    """Find connected regions of pixels at or above their type's threshold.

    Args:
        anomaly_map: [S, S], calibrated score 0..1 of each map pixel; the frame was squeezed to the square.
        type_map: [K, S, S], relative weight of each defect type (order of ``product.defects``); K may be 0 only if
            the product lists no defects.
        product: Types with thresholds and minimum areas, polygons, mm per pixel.
        pixel_threshold: Threshold of types that have none of their own, 0..1.
        frame: Size to which coordinates are scaled.
        max_regions: Cap on the number of reported regions.

    A pixel belongs to the type with the largest weight there, and is defective if its score reaches that type's
    threshold. Defective pixels that touch, also diagonally, are one region, whatever their types; the region's type
    is the one with the largest mean in it, and the region is kept if its area reaches that type's ``min_area_px``.
    Its score is the largest score in it.
    """
    size_px = anomaly_map.shape[0]
    thresholds = _threshold_map(type_map, product.defects, pixel_threshold, size_px)
    defective = (anomaly_map >= thresholds) & inspected_area(product.region_of_interest, product.ignore, size_px)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(defective.astype(np.uint8), connectivity=8)
    found: list[tuple[Defect, int]] = []
    for label in range(1, count):
        x, y, w, h = (int(v) for v in stats[label, :4])
        window = (slice(y, y + h), slice(x, x + w))
        inside = labels[window] == label
        defect = _measure(inside, (x, y), anomaly_map[window], type_map[:, *window], product, frame, size_px)
        if defect is not None:
            found.append((defect, label))
    found.sort(key=lambda item: (-item[0].severity, -item[0].score, item[0].box))
    reported = found[:max_regions]
    mask = np.isin(labels, [label for _, label in reported])
    return Regions(tuple(defect for defect, _ in reported), len(found) - len(reported), mask)


def _threshold_map(
    type_map: FloatMap, specs: Sequence[DefectSpec], pixel_threshold: float, size_px: int
) -> NDArray[np.float32]:
    if not specs or all(spec.threshold is None for spec in specs):
        return np.full((size_px, size_px), pixel_threshold, np.float32)
    per_type = [pixel_threshold if spec.threshold is None else spec.threshold for spec in specs]
    thresholds: NDArray[np.float32] = np.array(per_type, np.float32)[type_map.argmax(axis=0)]
    return thresholds


def _measure(
    inside: NDArray[np.bool_],
    corner: tuple[int, int],
    scores: FloatMap,
    types: FloatMap,
    product: ProductSettings,
    frame: FrameSize,
    size_px: int,
) -> Defect | None:
    """Describe one region (``inside`` its window at ``corner`` x, y); None if it is smaller than its type allows."""
    spec = product.defects[int(types[:, inside].mean(axis=1).argmax())] if product.defects else DefectSpec("defect")
    area_fraction = int(inside.sum()) / size_px**2
    area_px = max(1, round(area_fraction * frame.width_px * frame.height_px))
    if area_px < spec.min_area_px:
        return None
    score = min(1.0, max(0.0, float(scores[inside].max())))
    box = _to_frame_box(corner, inside.shape, frame, size_px)
    area_mm2 = None if product.mm_per_px is None else area_px * product.mm_per_px**2
    return Defect(
        defect_type=spec.name,
        score=score,
        severity=severity(spec.severity_weight, area_fraction, score),
        area_px=area_px,
        area_fraction=area_fraction,
        box=box,
        polygon=_outline(inside, corner, frame, size_px),
        description=describe(spec.name, box, frame.width_px, frame.height_px, product.mm_per_px),
        area_mm2=area_mm2,
    )


def _to_frame_box(corner: tuple[int, int], shape: Sequence[int], frame: FrameSize, size_px: int) -> Box:
    """Scale a box of the map to the frame, rounding outwards, at least one pixel, never beyond the frame."""
    (left, top), (h, w) = corner, shape
    x0, x1 = left * frame.width_px // size_px, -(-(left + w) * frame.width_px // size_px)
    y0, y1 = top * frame.height_px // size_px, -(-(top + h) * frame.height_px // size_px)
    return Box(x0, y0, x1 - x0, y1 - y0)


def _outline(inside: NDArray[np.bool_], corner: tuple[int, int], frame: FrameSize, size_px: int) -> tuple[Point, ...]:
    """Outer outline of the region, simplified, through the outer corners of its pixels, in the frame's pixels."""
    # cv2 traces pixel centres, which loses half a pixel all around and gives a line no area. Doubled and padded,
    # centres of the doubled pixels lie a quarter outside instead of half inside.
    doubled = np.pad(inside.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1), 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    # Doubled pixel i (after the pad of 1) has its centre at (i - 0.5) / 2 map pixels.
    simplified = cv2.approxPolyDP(largest, 2 * _OUTLINE_TOLERANCE_PX, closed=True)
    vertices = (simplified if len(simplified) >= 3 else largest)[:, 0, :]
    on_map = (vertices - 0.5) / 2 + np.array(corner)
    scale = np.array([frame.width_px, frame.height_px]) / size_px
    on_frame = np.clip(np.rint(on_map * scale), 0, [frame.width_px - 1, frame.height_px - 1]).astype(int)
    return tuple(Point(int(x), int(y)) for x, y in on_frame)

"""Scored maps -> defect instances: what, how sure, how bad, where on the frame as captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box, Defect, Point
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.pipeline.severity import severity
from inspector.vision.describe import describe
from inspector.vision.opencv import cv2
from inspector.vision.polygons import inspected_area
from inspector.vision.region_types import NameRegions

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

    ``labels`` is int32 [S, S] on the map: k where the k-th of ``defects`` lies (1-based), 0 elsewhere.
    """

    defects: tuple[Defect, ...]
    omitted: int
    labels: NDArray[np.int32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Every reported region, bool [S, S]."""
        return self.labels > 0


def find_regions(
    anomaly_map: FloatMap,
    type_map: FloatMap,
    product: ProductSettings,
    pixel_threshold: float,
    frame: FrameSize,
    max_regions: int = 32,
    name_regions: NameRegions | None = None,
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
        name_regions: Says which types regions show; None: the type map does.

    A pixel belongs to the type with the largest weight there, and is defective if its score reaches that type's
    threshold. Defective pixels that touch, also diagonally, are one region, whatever their types; the region's type
    is the one with the largest mean in it, and the region is kept if its area reaches that type's ``min_area_px``.
    Its score is the largest score in it. A type's probability is its mean over the sum of all types' means.

    Where regions are named, pixels are defective that reach the lowest threshold of any type, the gravest regions are
    named, ``max_regions`` of them, and one is kept if it reaches area and threshold of the type it is named.
    """
    size_px = anomaly_map.shape[0]
    named = name_regions is not None and len(product.defects) > 1
    thresholds = _thresholds(type_map, product.defects, pixel_threshold, size_px, lowest=named)
    defective = (anomaly_map >= thresholds) & inspected_area(product.region_of_interest, product.ignore, size_px)
    count, found_labels, stats, _ = cv2.connectedComponentsWithStats(defective.astype(np.uint8), connectivity=8)
    labels = cast(NDArray[np.int32], found_labels)
    shares, scores = _type_shares(labels, count, type_map), _scores(labels, count, anomaly_map)

    def region(label: int) -> _Region:
        spec = product.defects[int(shares[:, label].argmax())] if product.defects else DefectSpec("defect")
        return _Region(label, spec, scores[label], stats[label, :4], int(stats[label, 4]), frame, size_px)

    found = sorted((region(label) for label in range(1, count)), key=_gravest_first)
    if named and name_regions is not None:
        least_px = min(spec.min_area_px for spec in product.defects)
        chosen = [each.label for each in found if each.area_px >= least_px][:max_regions]
        if chosen:
            shares[:, chosen] = name_regions([(labels == label).astype(np.uint8) for label in chosen])
        again = [region(each.label) for each in found]
        found = sorted((each for each in again if each.reaches(pixel_threshold)), key=_gravest_first)
    found = [each for each in found if each.area_px >= each.spec.min_area_px]
    reported = found[:max_regions]
    defects = tuple(
        _describe(each, labels, _likeliest(shares[:, each.label], product), product.mm_per_px, frame, size_px)
        for each in reported
    )
    places = np.zeros(count, np.int32)
    places[[each.label for each in reported]] = range(1, len(reported) + 1)
    return Regions(defects, len(found) - len(reported), places[labels])


class _Region:
    """What decides whether a region is reported, and before which others; it costs little for each of thousands."""

    def __init__(
        self,
        label: int,
        spec: DefectSpec,
        score: float,
        on_map: NDArray[Any],
        map_area_px: int,
        frame: FrameSize,
        size_px: int,
    ) -> None:
        """``on_map`` is left, top, width, height on the map, whose side is ``size_px``."""
        self.label = label
        self.spec = spec
        self.score = min(1.0, max(0.0, score))
        self.left, self.top, self.width, self.height = (int(value) for value in on_map)
        self.area_fraction = map_area_px / size_px**2
        self.area_px = max(1, round(self.area_fraction * frame.width_px * frame.height_px))
        self.severity = severity(spec.severity_weight, self.area_fraction, self.score)
        self.box = _to_frame_box((self.left, self.top), (self.height, self.width), frame, size_px)

    def reaches(self, pixel_threshold: float) -> bool:
        """Tell whether the score reaches the threshold of the region's type."""
        return self.score >= (pixel_threshold if self.spec.threshold is None else self.spec.threshold)


def _gravest_first(region: _Region) -> tuple[float, float, Box]:
    return -region.severity, -region.score, region.box


def _type_shares(labels: NDArray[np.int32], count: int, type_map: FloatMap) -> NDArray[np.float64]:
    """Return each type's mean in each label's region over the sum of all types' means, [K, count]; 0 for a sum of 0."""
    inside = labels > 0
    flat = labels[inside]
    # The area, the same for all types of a region, cancels out.
    sums = np.zeros((len(type_map), count))
    for row, weight in zip(sums, type_map, strict=True):
        row[:] = np.bincount(flat, weights=weight[inside], minlength=count)
    total = sums.sum(axis=0)
    shares: NDArray[np.float64] = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
    return shares


def _scores(labels: NDArray[np.int32], count: int, anomaly_map: FloatMap) -> list[float]:
    """Return the largest score in each label's region."""
    inside = labels > 0
    scores = np.zeros(count, np.float32)
    np.maximum.at(scores, labels[inside], anomaly_map[inside])
    found: list[float] = scores.tolist()
    return found


class _Likeliest(NamedTuple):
    """How sure a region's type is, and the second in line; None where the types say nothing."""

    type_probability: float | None = None
    runner_up: str | None = None
    runner_up_probability: float | None = None


def _likeliest(shares: NDArray[np.float64], product: ProductSettings) -> _Likeliest:
    if not shares.any():
        return _Likeliest()
    first, *others = np.argsort(-shares, kind="stable")
    if not others:
        return _Likeliest(float(shares[first]))
    second = others[0]
    return _Likeliest(float(shares[first]), product.defects[second].name, float(shares[second]))


def _thresholds(
    type_map: FloatMap, specs: Sequence[DefectSpec], pixel_threshold: float, size_px: int, *, lowest: bool
) -> NDArray[np.float32]:
    """Return the threshold of each pixel, [S, S]: that of its type, or the ``lowest`` of all types."""
    per_type = [pixel_threshold if spec.threshold is None else spec.threshold for spec in specs]
    if not specs or lowest or all(spec.threshold is None for spec in specs):
        return np.full((size_px, size_px), min(per_type, default=pixel_threshold), np.float32)
    thresholds: NDArray[np.float32] = np.array(per_type, np.float32)[type_map.argmax(axis=0)]
    return thresholds


def _describe(
    region: _Region,
    labels: NDArray[np.int32],
    likeliest: _Likeliest,
    mm_per_px: float | None,
    frame: FrameSize,
    size_px: int,
) -> Defect:
    corner = (region.left, region.top)
    window = labels[region.top : region.top + region.height, region.left : region.left + region.width]
    return Defect(
        defect_type=region.spec.name,
        score=region.score,
        severity=region.severity,
        area_px=region.area_px,
        area_fraction=region.area_fraction,
        box=region.box,
        polygon=_outline(window == region.label, corner, frame, size_px),
        description=describe(region.spec.name, region.box, frame.width_px, frame.height_px, mm_per_px),
        area_mm2=None if mm_per_px is None else region.area_px * mm_per_px**2,
        **likeliest._asdict(),
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

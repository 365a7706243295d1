"""Raw scores of one frame -> its verdict: calibrated score, label, defects, pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inspector.domain.artefact import ScoreMap
from inspector.domain.defect import Point
from inspector.domain.outcome import Evidence
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.vision.closer_look import Inside, pixels_to_look_at
from inspector.vision.decode import decode_view, in_turn
from inspector.vision.opencv import cv2
from inspector.vision.overlay import draw_mask, draw_overlay, picture_size
from inspector.vision.plan import Plan
from inspector.vision.polygons import inspected_area
from inspector.vision.region_embeddings import MadeWith, Patches, RegionEmbeddings, dump_regions, embed_regions
from inspector.vision.region_types import NameRegions, RegionTypes
from inspector.vision.regions import FrameSize, Regions, find_regions
from inspector.vision.score_map import ScoreMaps, apply_score_map

_LOG = logging.getLogger(__name__)
# What drawing a frame holds: pixels, canvas and Pillow's copy. Frames too large for two at a time are drawn in turn.
_BYTES_A_PIXEL = 10


@dataclass(frozen=True, slots=True)
class RawScores:
    """One frame before it is judged.

    ``image_score`` in the mode's own unit; ``anomaly_map`` float32 [S, S] likewise; ``type_grid`` float32 [K, gh, gw],
    probability of each type of the product's vocabulary at each patch. ``patches``: what
    regions are embedded from; None where nobody asked for it. ``mode`` is what the scores were made
    from, and ``score_maps`` what mutual scoring calibrates them with.
    """

    image_score: float
    anomaly_map: NDArray[np.float32] = field(repr=False)
    type_grid: NDArray[np.float32] = field(repr=False)
    patches: Patches | None = field(default=None, repr=False)
    mode: ScoreMode = ScoreMode.ZERO_SHOT
    score_maps: ScoreMaps | None = None


def judge(
    frame: DecodedFrame,
    raw: RawScores,
    plan: Plan,
    timings_ms: dict[str, float],
    made_with: MadeWith,
    region_types: RegionTypes | None = None,
) -> Verdict:
    """Judge one frame; adds ``regions`` and, for an anomalous frame, ``overlay`` to ``timings_ms``.

    ``region_types`` says which type each region shows; None: the type map does.

    A frame whose score reaches its threshold is anomalous; a score equal to it counts as above.

    Defects are listed whatever the verdict: a frame can be normal as a whole and still have a region above the pixel
    threshold, or the reverse. Pictures are made only of anomalous frames; what the listed defects look like to words is
    kept of all, marked with the weights they were ``made_with``.
    """
    started = time.perf_counter()
    plan = plan.settled(raw.mode, raw.score_maps)
    image_score = float(_mapped(plan.image_map, np.full((), raw.image_score, np.float32)))
    anomaly_map = _mapped(plan.pixel_map, raw.anomaly_map)
    size = FrameSize(frame.width_px, frame.height_px)
    named = None if region_types is None else partial(name_regions, region_types, frame, plan)
    regions = _regions(anomaly_map, raw.type_grid, plan, size, named)
    timings_ms["regions"] = _ms_since(started)
    label = PredLabel.ANOMALOUS if image_score >= plan.image_threshold else PredLabel.NORMAL
    evidence = Evidence(regions=_embeddings(regions, raw, made_with))
    if label is PredLabel.ANOMALOUS:
        started = time.perf_counter()
        evidence = replace(_evidence(frame, regions, raw, image_score, plan), regions=evidence.regions)
        timings_ms["overlay"] = _ms_since(started)
    return Verdict(
        anomaly_score=image_score,
        pred_label=label,
        image_threshold=plan.image_threshold,
        mode=plan.mode,
        defects=regions.defects,
        evidence=evidence,
        timings_ms=timings_ms,
        bank_version=None if plan.bank is None else plan.bank.version,
        calibration_version=plan.calibration_version,
        weights_trained=made_with.trained,
    )


def name_regions(
    region_types: RegionTypes, frame: DecodedFrame, plan: Plan, regions: Sequence[Inside]
) -> NDArray[np.float32]:
    """Return how likely each type of the plan's product is in regions of a frame, as ``RegionTypes.name``."""
    sharp = pixels_to_look_at(frame)
    return region_types.name(plan.camera_id, frame.pixels.square, sharp, plan.product.vocabulary, regions)


def _regions(
    anomaly_map: NDArray[np.float32],
    type_grid: NDArray[np.float32],
    plan: Plan,
    size: FrameSize,
    named: NameRegions | None,
) -> Regions:
    own = (spec.threshold for spec in plan.product.defects if spec.threshold is not None)
    lowest = min((plan.pixel_threshold, *own))
    if anomaly_map.max() < lowest:  # most frames: spare them the upsampling of every type
        return Regions((), 0, np.zeros(anomaly_map.shape, np.int32))
    side = anomaly_map.shape[::-1]
    type_map = np.stack([cv2.resize(grid, side, interpolation=cv2.INTER_LINEAR) for grid in type_grid])
    found = (anomaly_map, type_map, plan.product, plan.pixel_threshold, size)
    if named is not None:
        try:
            return find_regions(*found, name_regions=named)
        except Exception:  # a verdict stands, whatever becomes of the names; memory may be short, too
            _LOG.warning("regions keep the types of the map: the closer look at them failed", exc_info=True)
    return find_regions(*found)


def _embeddings(regions: Regions, raw: RawScores, made_with: MadeWith) -> bytes | None:
    if not regions.defects or raw.patches is None:
        return None
    return dump_regions(RegionEmbeddings(embed_regions(regions.labels, len(regions.defects), raw.patches), made_with))


def _highest(anomaly_map: NDArray[np.float32], plan: Plan, size: FrameSize) -> Point | None:
    """Return where on the frame the map is highest of what is inspected; None where nothing is."""
    area = inspected_area(plan.product.region_of_interest, plan.product.ignore, anomaly_map.shape[0])
    if not area.any():
        return None
    row, column = np.unravel_index(np.where(area, anomaly_map, -np.inf).argmax(), anomaly_map.shape)
    rows, columns = anomaly_map.shape
    return Point(int((column + 0.5) * size.width_px / columns), int((row + 0.5) * size.height_px / rows))


def _evidence(frame: DecodedFrame, regions: Regions, raw: RawScores, score: float, plan: Plan) -> Evidence:
    """Return the frame and the pictures of it; the frame alone where they cannot be made.

    A frame that is anomalous as a whole, without a region, has no mask: an empty one would say that all of it is good.

    Whatever fails, the verdict and its alert stand: pictures are an extra, and three libraries draw them from bytes
    that come from outside.
    """
    try:
        with in_turn(_BYTES_A_PIXEL * frame.width_px * frame.height_px):
            # Of the raw map: far below the threshold, calibrated scores have too few digits to tell places apart.
            size = FrameSize(frame.width_px, frame.height_px)
            highest = None if regions.defects else _highest(raw.anomaly_map, plan, size)
            overlay = _overlay(frame, regions, score, plan, highest)
            mask = draw_mask(regions.mask, frame.width_px, frame.height_px) if regions.defects else None
        return Evidence(frame=frame.frame.image, overlay=overlay, mask=mask)
    except Exception:
        _LOG.warning("no pictures of frame %s: they could not be drawn", frame.frame.meta.frame_id, exc_info=True)
        return Evidence(frame=frame.frame.image)


def _overlay(frame: DecodedFrame, regions: Regions, score: float, plan: Plan, highest: Point | None) -> bytes:
    size = (frame.width_px, frame.height_px)
    meta = frame.frame.meta
    return draw_overlay(
        decode_view(frame.frame.image, picture_size(*size)),
        size,
        regions.defects,
        PredLabel.ANOMALOUS,
        score,
        plan.image_threshold,
        caption=f"{meta.camera_id}  {meta.captured_at:%Y-%m-%d %H:%M:%S} UTC",
        omitted=regions.omitted,
        types=plan.product.vocabulary.defect_types,
        highest=highest,
    )


def _mapped(score_map: ScoreMap | None, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    return raw if score_map is None else apply_score_map(score_map, raw)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3

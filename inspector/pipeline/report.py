"""A result and the camera's frames before it -> the report of the frame. Pure: what it says, the evidence says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inspector.domain.defect import Box, Defect
from inspector.domain.product import ProductSettings
from inspector.domain.report import DefectReport, FrameReport, RecentFrames, Whole
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline import report_text as text
from inspector.pipeline.places import inspected_box, near_edge, ninth

# Severity (1..1000) from which a word holds; the last is `severity.ACT_NOW`.
SEVERITY_WORDS = ((667, "act now"), (334, "serious"), (1, "minor"))
# How likely the type is, given that the region is a defect.
TYPE_WORDS = ((0.8, "almost certainly"), (0.5, "probably"), (0.0, "possibly"))
# Share of the way from the threshold to the end of the scale (1 for an anomalous frame, 0 for a normal one).
MARGIN_WORDS = ((0.5, "clearly"), (0.1, ""), (0.0, "barely"))


def report(
    result: InspectionResult, recent: Sequence[InspectionResult], product: ProductSettings, file: str | None = None
) -> FrameReport:
    """Report on one frame.

    Args:
        result: what is reported on.
        recent: results of the same camera, in any order; those captured later, and the frame itself, do not count.
        product: says where the part lies in the frame (region of interest).
        file: the image file that the frame was read from, if no camera took it; no frames came before it.
    """
    before = [other for other in recent if _is_earlier(other, result)]
    alike = [other for other in before if _judged_by(other) == _judged_by(result)]
    defects = tuple(_defect(defect, result, alike, product) for defect in result.defects)
    compared = RecentFrames(
        earlier=len(alike),
        earlier_anomalous=sum(other.pred_label is PredLabel.ANOMALOUS for other in alike),
        rank=1 + sum(other.anomaly_score > result.anomaly_score for other in alike),
        left_out=len(before) - len(alike),
        ties=sum(other.anomaly_score == result.anomaly_score for other in alike),
    )
    verdict, limits = _verdict(result), text.limits(result)
    return FrameReport(
        frame_id=result.frame_id,
        camera_id=result.camera_id,
        pred_label=result.pred_label,
        anomaly_score=result.anomaly_score,
        image_threshold=result.image_threshold,
        verdict_word=verdict,
        whole=_whole(product),
        defects=defects,
        recent=compared,
        limits=limits,
        text=text.frame(result, verdict, defects, compared, limits, file),
    )


def _is_earlier(other: InspectionResult, result: InspectionResult) -> bool:
    own = (result.captured_at, result.frame_id)
    return other.camera_id == result.camera_id and (other.captured_at, other.frame_id) < own


def _judged_by(result: InspectionResult) -> tuple[str | None, ...]:
    """Return all that gives a score its scale; scores compare only where it is the same."""
    return (
        *(result.product, result.mode, result.model, result.weights_version),
        *(result.bank_version, result.calibration_version),
    )


def _defect(
    defect: Defect, result: InspectionResult, alike: Sequence[InspectionResult], product: ProductSettings
) -> DefectReport:
    whole = inspected_box(product.region_of_interest, result.width_px, result.height_px)
    place = ninth(defect.box, whole)
    # The result's own scale: the product's settings may have changed since.
    scale = 1.0 if defect.area_mm2 is None else math.sqrt(defect.area_mm2 / max(1, defect.area_px))
    severity_word = _word(SEVERITY_WORDS, defect.severity)
    # The only type there is has all the probability, which is not to be sure of it.
    told_apart = None if defect.runner_up_probability is None else defect.type_probability
    type_word = None if told_apart is None else _word(TYPE_WORDS, told_apart)
    earlier = sum(_has(other, defect.defect_type, place, product) for other in alike)
    unit = text.unit(defect)
    said = text.DefectFacts(
        defect=defect,
        place=place,
        near_edge=near_edge(defect.box, whole),
        whole=_whole(product),
        width=defect.box.w * scale,
        height=defect.box.h * scale,
        unit=unit,
        severity_word=severity_word,
        type_word=type_word,
        earlier_alike=earlier,
        earlier=len(alike),
    )
    return DefectReport(
        defect_type=defect.defect_type,
        place=place,
        near_edge=said.near_edge,
        width=said.width,
        height=said.height,
        unit=unit,
        share=defect.area_fraction,
        severity=defect.severity,
        severity_word=severity_word,
        score=defect.score,
        type_probability=defect.type_probability,
        type_word=type_word,
        runner_up=defect.runner_up,
        runner_up_probability=defect.runner_up_probability,
        earlier_alike=earlier,
        sentence=text.sentence(said),
    )


def _has(other: InspectionResult, defect_type: str, place: str, product: ProductSettings) -> bool:
    whole = inspected_box(product.region_of_interest, other.width_px, other.height_px)
    return any(d.defect_type == defect_type and ninth(Box(*d.box), whole) == place for d in other.defects)


def _whole(product: ProductSettings) -> Whole:
    return "inspected area" if product.region_of_interest else "frame"


def _verdict(result: InspectionResult) -> str:
    score, threshold = result.anomaly_score, result.image_threshold
    room = 1 - threshold if result.pred_label is PredLabel.ANOMALOUS else threshold
    margin = min(1.0, abs(score - threshold) / room) if room > 0 else 0.0
    return f"{_word(MARGIN_WORDS, margin)} {result.pred_label.value}".strip()


def _word(bands: Sequence[tuple[float, str]], value: float) -> str:
    return next((word for low, word in bands if value >= low), bands[-1][1])

"""What one result says, for a person: structured, and as text made from nothing but the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inspector.domain.result import PredLabel

REPORT_SCHEMA = "inspection.report/1"


@dataclass(frozen=True, slots=True)
class DefectReport:
    """One defect. ``place`` is a ninth of the ``Whole`` that the report names, such as "upper left".

    ``width`` and ``height`` of its box are in ``unit``; ``share`` (0..1) is of the frame's area. ``severity_word`` and
    ``type_word`` are the words for the bands of ``severity`` (1..1000) and ``type_probability`` (0..1, None where
    nothing told the types apart; no word either where one type alone was looked for). ``earlier_alike`` counts the
    earlier frames compared with that have a defect of this type in this place.
    """

    defect_type: str
    place: str
    near_edge: bool
    width: float
    height: float
    unit: Literal["px", "mm"]
    share: float
    severity: int
    severity_word: str
    score: float
    type_probability: float | None
    type_word: str | None
    runner_up: str | None
    runner_up_probability: float | None
    earlier_alike: int
    sentence: str


@dataclass(frozen=True, slots=True)
class RecentFrames:
    """The frame among the camera's frames before it that were judged the same way.

    ``earlier`` frames were compared with, ``earlier_anomalous`` of them were anomalous; ``rank`` is the place of the
    frame's anomaly score among them and itself, 1 the highest, and ``ties`` of them have that very score. ``left_out``
    earlier frames are of another product or were judged in another mode or with other weights, bank or calibration:
    their scores do not compare.
    """

    earlier: int
    earlier_anomalous: int
    rank: int
    left_out: int
    ties: int = 0


Whole = Literal["frame", "inspected area"]


@dataclass(frozen=True, slots=True)
class FrameReport:
    """One frame. ``verdict_word`` says how far the score is from the threshold; places are those of ``whole``.

    ``limits`` say what the result cannot tell. ``text`` holds it all, a sentence or two a line.
    """

    frame_id: str
    camera_id: str
    pred_label: PredLabel
    anomaly_score: float
    image_threshold: float
    verdict_word: str
    whole: Whole
    defects: tuple[DefectReport, ...]
    recent: RecentFrames
    limits: tuple[str, ...]
    text: str
    schema: str = REPORT_SCHEMA

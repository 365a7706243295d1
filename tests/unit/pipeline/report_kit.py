"""Results for tests of what is said about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from inspector.domain.defect import Box, Defect
from inspector.domain.frame import FrameSource
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
SCRATCH = Defect(
    defect_type="scratch",
    score=0.91,
    severity=712,
    area_px=1500,
    area_fraction=0.0015,
    box=Box(40, 60, 155, 10),
    polygon=(),
    description="scratch, upper left, 12.4 x 0.8 mm",
    area_mm2=1500 * 0.08**2,
    type_probability=0.62,
    runner_up="dent",
    runner_up_probability=0.21,
)


def result(number: int = 0, *defects: Defect, score: float = 0.83, **changes: Any) -> InspectionResult:
    """The camera's frame of that number, 1000 x 1000 px; anomalous from a score of 0.5."""
    made = InspectionResult(
        frame_id=f"f{number:04}",
        camera_id="cam1",
        line_id="line-1",
        product="default",
        captured_at=START + timedelta(seconds=number),
        inspected_at=START + timedelta(seconds=number + 1),
        anomaly_score=score,
        pred_label=PredLabel.ANOMALOUS if score >= 0.5 else PredLabel.NORMAL,
        image_threshold=0.5,
        mode=ScoreMode.BANK,
        weights_version="w1",
        model="m",
        source=FrameSource("frames", 0, number),
        timings_ms={},
        width_px=1000,
        height_px=1000,
        defects=defects,
        weights_trained=True,
    )
    return replace(made, **changes)

"""What drift compares is read from what is kept: alike results only, frames apart from each other, all of them once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector import settings as settings_module
from inspector.apps.drift_views import KeptFrame, views
from inspector.apps.kept_results import KeptResults, kept_results
from inspector.domain.defect import Box, Defect
from inspector.domain.drift import FrameQuality
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import RejectReason
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.vision.region_embeddings import MadeWith, RegionEmbeddings, dump_regions

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DENT = Defect("dent", 0.9, 700, 40, 0.01, Box(1, 2, 3, 4), (), "a dent")


def result(number: int, score: float = 0.1, **changes: Any) -> InspectionResult:
    """The frame captured so many minutes ago, backwards from 1000."""
    label = PredLabel.ANOMALOUS if score >= 0.5 else PredLabel.NORMAL
    made: dict[str, Any] = {
        "frame_id": f"f{number:04}", "camera_id": "cam1", "line_id": "line-1", "product": "plate",
        "captured_at": NOW - timedelta(minutes=1000 - number), "inspected_at": NOW, "anomaly_score": score,
        "pred_label": label, "image_threshold": 0.5, "mode": ScoreMode.BANK, "weights_version": "w1", "model": "m",
        "source": FrameSource("frames", 0, number), "timings_ms": {}, "width_px": 100, "height_px": 100,
        "bank_version": "b1",
    }  # fmt: skip
    return InspectionResult(**{**made, **changes})


@dataclass
class Kept:
    """What Redis would hold."""

    results: list[InspectionResult] = field(default_factory=list)
    embeddings: dict[str, bytes] = field(default_factory=dict)

    def last(
        self, camera_id: str, n: int, defects_only: bool = False, until: datetime | None = None
    ) -> list[InspectionResult]:
        return sorted((r for r in self.results if r.camera_id == camera_id), key=lambda r: r.captured_at)[::-1][:n]

    def cameras(self) -> dict[str, datetime]:
        return {r.camera_id: r.captured_at for r in self.results}

    def frame(self, frame_id: str) -> bytes | None:
        return frame_id.encode()

    def regions(self, frame_id: str) -> bytes | None:
        return self.embeddings.get(frame_id)


def measure(image: bytes) -> FrameQuality:
    """A frame whose brightness is its number, so that a test sees which ones were looked at."""
    if image == b"broken":
        raise FrameRejectedError(RejectReason.UNDECODABLE, "broken")
    return FrameQuality(0, 0, 0, 0, float(image[1:]), 0, 0, ())


def frame(number: int, label: PredLabel = PredLabel.NORMAL, image: bytes | None = b"") -> KeptFrame:
    data = f"f{number}".encode() if image == b"" else image
    return KeptFrame(f"f{number:04}", NOW - timedelta(minutes=1000 - number), label, lambda: data)


def numbers(frames: Sequence[FrameQuality]) -> list[int]:
    return [int(f.brightness) for f in frames]


def test_the_first_and_the_last_results_alike_are_compared_and_the_others_counted() -> None:
    results = [result(i, i / 1000) for i in range(100)]
    results += [result(i, i / 1000, bank_version="b2") for i in range(100, 400)]
    found = views("cam1", KeptResults(results, NOW - timedelta(days=9)), Kept(), [], measure, 100)
    assert [found.oldest.scores[0], found.oldest.scores[-1]] == [0.1, 0.199]
    assert [found.latest.scores[0], found.latest.scores[-1]] == [0.3, 0.399]
    assert found.latest.basis is not None
    assert found.latest.basis.bank_version == "b2"
    assert any("100 results of other weights" in remark for remark in found.remarks)


def test_where_there_are_few_each_half_is_one_side_and_no_result_is_on_both() -> None:
    found = views(
        "cam1", KeptResults([result(i, i / 1000) for i in range(7)], NOW - timedelta(days=9)), Kept(), [], measure, 100
    )
    assert (found.oldest.scores, found.latest.scores) == ((0, 0.001, 0.002), (0.004, 0.005, 0.006))


def test_pictures_are_the_oldest_and_the_latest_of_each_verdict_and_none_is_then_and_now() -> None:
    kept = [frame(i) for i in range(200)] + [frame(i, PredLabel.ANOMALOUS) for i in range(300, 305)]
    found = views("cam1", KeptResults([], NOW), Kept(), kept, measure, 100)
    assert numbers(found.oldest.normal_frames) == list(range(60))
    assert numbers(found.latest.normal_frames) == list(range(199, 139, -1))
    assert numbers(found.oldest.anomalous_frames) == [300, 301]
    assert numbers(found.latest.anomalous_frames) == [304, 303, 302]


def test_frames_that_are_gone_make_room_for_others_and_broken_ones_are_counted() -> None:
    kept = [frame(0, image=None), frame(1, image=b"broken"), frame(2), *(frame(i) for i in range(3, 6))]
    found = views("cam1", KeptResults([], NOW), Kept(), kept, measure, 100)
    assert numbers(found.oldest.normal_frames) == [2]
    assert found.remarks == ("1 kept frames are no pictures and were left out",)


def test_regions_of_other_weights_and_damaged_ones_are_left_out() -> None:
    rows = np.eye(8, dtype=np.float16)[:2]
    own, other = (dump_regions(RegionEmbeddings(rows, MadeWith("m", version, True))) for version in ("w1", "w2"))
    results = [result(i, 0.9, defects=(DENT, DENT)) for i in range(4)]
    kept = Kept(embeddings={"f0000": own, "f0001": other, "f0002": b"damaged"})
    found = views("cam1", KeptResults(results, NOW - timedelta(days=9)), kept, [], measure, 2)
    assert len(found.oldest.embeddings) == 2
    assert found.latest.embeddings == ()


@pytest.mark.parametrize(
    ("yaml", "since_minutes"),
    [
        ("", 24 * 60),
        ("retention: {good_hours: 3}", 3 * 60),
        ("retention: {good_per_camera: 200}", 200),
        ("retention: {good_per_camera: 201}", 24 * 60),
    ],
)
def test_all_frames_are_there_since_neither_age_nor_number_let_a_good_one_go(
    tmp_path: Path, yaml: str, since_minutes: int
) -> None:
    path = tmp_path / "inspector.yaml"
    path.write_text(yaml)
    store = Kept([result(i) for i in range(800, 1000)] + [result(5, 0.9)])
    kept = kept_results(settings_module.load(path), store, "cam1", NOW)
    assert kept.complete_since == NOW - timedelta(minutes=since_minutes)
    assert len(kept.results) == 201


def test_another_cameras_name_is_a_mistake_and_a_camera_without_results_is_none(tmp_path: Path) -> None:
    path = tmp_path / "inspector.yaml"
    path.write_text("cameras: {cam7: {}}")
    settings = settings_module.load(path)
    store = Kept([result(1)])
    with pytest.raises(BadInputError, match="there are cam1"):
        kept_results(settings, store, "cam9", NOW)
    assert kept_results(settings, store, "cam7", NOW).results == []
    assert kept_results(settings, Kept(), "cam9", NOW).results == []

"""A newer minor version is read and what it adds ignored; another major version is refused in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from inspector.domain.artefact import Announcement, ArtefactKind, Calibration, ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.product import CameraSettings, DefectSpec, ProductSettings
from inspector.domain.records import from_json, to_json
from inspector.domain.reject_alert import RejectAlert, RejectCause, RejectEvent
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.domain.schema_version import readable
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.alert_record import make_alert
from inspector.training.checkpoint import Position

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RESULT = InspectionResult(
    "f1", "cam1", "line-1", "plate", NOW, NOW, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "w1", "m",
    FrameSource("frames", 1, 42), {"decode": 1.0}, 1280, 1024,
)  # fmt: skip
ALERT = make_alert(RESULT)
RECORDS = [
    RESULT,
    ALERT,
    Announcement(ArtefactKind.BANK, "cam1", "ab" * 32, NOW),
    Calibration("cam1", ScoreMode.BANK, "ab" * 32, ScoreMap(-1, 0.5), ScoreMap(2, 0.5), 9, 0.01, NOW),
    Position("run", 7),
    RejectAlert(
        "a1", "e1", RejectEvent.START, RejectCause.SHARE, "cam1", 11, 1000, NOW, FrameSource("frames", 1, 42), "words"
    ),
    WeightsManifest("m", "random", "ab" * 32, 64, 10, 5, 4, 4, (1, 2), ("scratch",)),
    ProductSettings(defects=(DefectSpec("dent", 0.5),), tiles=2),
    CameraSettings("plate", image_threshold=0.7),
    TrainerRun("r1", TrainerOutcome.REFUSED, NOW, NOW, "t1", 1, "w1", "w2", ("no better",)),
    Feedback("f1", "cam1", "w1", FeedbackVerdict.WRONG, "anna", NOW, PredLabel.ANOMALOUS, "dent"),
]


def written_by_another(record: Any, version: str, **changes: object) -> bytes:
    """Return the record as a release of another version writes it."""
    name = record.schema.partition("/")[0]
    return json.dumps({**json.loads(to_json(record)), "schema": f"{name}/{version}", **changes}).encode()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_record_says_its_schema_and_a_newer_minor_one_is_read(record: Any) -> None:
    assert json.loads(to_json(record))["schema"].startswith("inspection.")
    newer = written_by_another(record, "1.7", colour="blue", nested={"deep": [1, 2]})
    read = from_json(type(record), newer)
    assert json.loads(to_json(read)) == json.loads(to_json(record)) | {"schema": read.schema}
    assert read.schema.endswith("/1.7")


@pytest.mark.parametrize("version", ["2", "2.0", "0", "1.x", "x", "1/1", "11"])
@pytest.mark.parametrize("record", [RESULT, ALERT], ids=["result", "alert"])
def test_another_major_version_is_refused_by_name_whatever_else_is_in_it(record: Any, version: str) -> None:
    for changes in ({}, {"source": None, "anomaly_score": "high"}):
        with pytest.raises(BadInputError) as caught:
            from_json(type(record), written_by_another(record, version, **changes))
        assert caught.value.expected == f"schema {record.schema}"
        assert version in caught.value.got
        assert "upgrade" in caught.value.do


@pytest.mark.parametrize("record", [ALERT, *RECORDS[-2:]], ids=lambda record: type(record).__name__)
def test_a_record_that_says_no_schema_is_of_the_first_version(record: Any) -> None:
    document = json.loads(to_json(record))
    del document["schema"]
    assert from_json(type(record), json.dumps(document)) == record


@pytest.mark.parametrize("found", ["inspection.alert/1", "inspection.result/01", "inspection.result", "", "\n", "é/1"])
def test_another_records_schema_is_not_readable(found: str) -> None:
    assert not readable(found, "inspection.result/1")

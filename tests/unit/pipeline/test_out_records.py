import hashlib
import json
from datetime import UTC, datetime

import jsonschema
import pytest

from inspector.domain.alert import Alert, alert_id
from inspector.domain.defect import Box, Defect, Point
from inspector.domain.errors import BadInputError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Rejected, RejectReason
from inspector.domain.records import SCHEMAS, from_json, json_schema, to_json
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline import alert_record, dead_letter

SOURCE = FrameSource("frames", 1, 42)


def defect(name: str, severity: int) -> Defect:
    box = Box(10, 20, 30, 40)
    return Defect(name, 0.9, severity, 900, 0.001, box, (Point(10, 20), Point(40, 60), Point(10, 60)), f"a {name}")


def result(*defects: Defect, label: PredLabel = PredLabel.ANOMALOUS) -> InspectionResult:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    return InspectionResult(
        "f1", "cam1", "line-1", "plate", moment, moment, 0.9, label, 0.5, ScoreMode.BANK, "w1", "m", SOURCE,
        {"decode": 1.0}, 1280, 1024, defects, part_id="p-9",
    )  # fmt: skip


def test_only_an_anomalous_frame_makes_an_alert_and_it_names_the_gravest_defect() -> None:
    assert alert_record.make_alert(result(label=PredLabel.NORMAL)) is None
    alert = alert_record.make_alert(result(defect("scratch", 200), defect("crack", 800)))
    assert alert is not None
    assert (alert.defect_type, alert.severity, alert.defect_types) == ("crack", 800, ("crack", "scratch"))
    assert alert.part_id == "p-9"
    assert alert.result_key == "inspection:result:f1"


def test_an_alerts_id_depends_on_the_frame_alone() -> None:
    assert alert_id(SOURCE) == alert_id(FrameSource("frames", 1, 42))
    assert alert_id(SOURCE) != alert_id(FrameSource("frames", 1, 43))


def test_an_alert_travels_as_a_cloud_event_keyed_by_camera() -> None:
    alert = alert_record.make_alert(result(defect("crack", 800)))
    assert alert is not None
    record = alert_record.encode(alert, "alerts")
    headers = dict(record.headers)
    assert record.key == b"cam1"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"].decode() == alert.alert_id
    assert headers["ce_subject"] == b"f1"
    assert alert_record.decode(record.value) == alert


def test_records_fit_their_published_schemas_and_survive_json() -> None:
    res = result(defect("crack", 800))
    alert = alert_record.make_alert(res)
    for name, record in {"result": res, "alert": alert}.items():
        jsonschema.validate(json.loads(to_json(record)), json_schema(name))
        assert from_json(SCHEMAS[name], to_json(record)) == record


def test_a_record_that_is_not_one_is_a_clear_error() -> None:
    with pytest.raises(BadInputError, match="expected a valid Alert as JSON"):
        from_json(Alert, b'{"alert_id": 3}')


def rejected(raw: bytes, reason: RejectReason = RejectReason.UNDECODABLE, **more: object) -> Rejected:
    return Rejected(SOURCE, reason, "not an image", raw, key=b"cam1", **more)  # type: ignore[arg-type]


def test_a_dead_letter_holds_the_bytes_as_they_came_and_says_where_from_and_why() -> None:
    record = dead_letter.encode(rejected(b"\x00junk", headers=(("lot", b"\xff"),)), "dlq", 1000)
    headers = dict(record.headers)
    assert record.value == b"\x00junk"
    assert headers["reason"] == b"undecodable"
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"frames", b"1", b"42")
    assert headers["sha256"].decode() == hashlib.sha256(b"\x00junk").hexdigest()
    assert headers["original.lot"] == b"\xff"


@pytest.mark.parametrize(
    "letter", [rejected(bytes(2000)), rejected(b"small", RejectReason.DUPLICATE)], ids=["too large", "duplicate"]
)
def test_what_does_not_fit_or_is_kept_elsewhere_is_referenced(letter: Rejected) -> None:
    record = dead_letter.encode(letter, "dlq", 1000)
    reference = json.loads(record.value)
    assert dict(record.headers)["payload"] == b"reference"
    assert reference["offset"] == 42
    assert reference["sha256"] == hashlib.sha256(letter.raw).hexdigest()


def test_hostile_headers_cannot_make_a_dead_letter_too_large() -> None:
    headers = tuple((f"h{i}" * 500, bytes(100_000)) for i in range(200))
    record = dead_letter.encode(rejected(b"x", headers=headers), "dlq", 1000)
    assert sum(len(name) + len(value) for name, value in record.headers) < 200_000


def test_a_hostile_key_cannot_make_a_dead_letter_too_large() -> None:
    key = b"k" * 20_000_000
    letter = Rejected(SOURCE, RejectReason.MALFORMED_HEADER, "the key is no printable camera id", b"x", key=key)
    record = dead_letter.encode(letter, "dlq", 1000)
    headers = dict(record.headers)
    assert record.key is None
    assert headers["key_size_bytes"] == b"20000000"
    assert headers["key_sha256"].decode() == hashlib.sha256(key).hexdigest()
    assert dead_letter.encode(rejected(b"x"), "dlq", 1000).key == b"cam1"

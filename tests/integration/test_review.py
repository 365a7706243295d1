"""``drift`` and ``whatif`` on real Redis and Kafka: results as inspectors store them, and what people said of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line import Line, running_line
from local_services import Services

from inspector.adapters.kafka.feedback_log import publish_feedback
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.apps import drift as drift_verb
from inspector.apps import whatif as whatif_verb
from inspector.domain.defect import Box, Defect
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.alert_record import make_alert
from inspector.settings import load
from inspector.vision.opencv import cv2
from inspector.vision.region_embeddings import MadeWith, RegionEmbeddings, dump_regions

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

NOW = datetime.now(UTC)
SCRATCH = Defect("scratch", 0.9, 700, 40, 0.01, Box(10, 20, 30, 5), (), "a scratch")
DENT = replace(SCRATCH, defect_type="dent")
FRAMES = 240
SETTINGS: dict[str, Any] = {"samples": {"place": "no-such-folder"}}


def picture(number: int, blur: float) -> bytes:
    """A part whose edges and scratches are elsewhere on each frame, taken in or out of focus."""
    random = np.random.default_rng(number)
    grey = np.full((120, 160), 120, np.uint8)
    for _ in range(12):
        x, y, w, h = random.integers(0, 140), random.integers(0, 100), random.integers(4, 20), random.integers(4, 20)
        grey[y : y + h, x : x + w] = random.integers(40, 220)
    seen = cv2.GaussianBlur(grey, (0, 0), blur) if blur else grey
    return cv2.imencode(".png", seen)[1].tobytes()


def inspected(number: int, camera: str, score: float, defects: Sequence[Defect] = (), blur: float = 0.0) -> Inspected:
    """The frame captured so many minutes after the first, the last one just now."""
    source = FrameSource("frames", 0, number)
    captured_at = NOW - timedelta(minutes=FRAMES - number)
    anomalous = score >= 0.5
    label = PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL
    result = InspectionResult(
        f"{camera}-{number}", camera, "line-1", "default", captured_at, captured_at, score, label, 0.5, ScoreMode.BANK,
        "w1", "m", source, {}, 160, 120, tuple(defects), bank_version="b1",
    )  # fmt: skip
    rows = np.eye(8, dtype=np.float16)[[int(blur > 0)] * len(defects)]
    regions = dump_regions(RegionEmbeddings(rows, MadeWith("m", "w1", True))) if defects else None
    frame = picture(number, blur) if anomalous else None
    return Inspected(source, result, make_alert(result), Evidence(frame=frame, regions=regions))


def stream(camera: str, *, drifting: bool) -> list[Inspected]:
    """A defect every sixth frame; halfway, a camera that drifts goes out of focus and scores twice as high."""
    random = np.random.default_rng(3)
    made = []
    for number in range(FRAMES):
        late = drifting and number >= FRAMES // 2
        score = min(0.49, 0.1 * random.lognormal(0, 0.4) * (2.2 if late else 1))
        defective = number % 6 == 0
        defects = [DENT if number % 12 else SCRATCH] if defective else []
        made.append(inspected(number, camera, 0.7 if defective else score, defects, 3.0 if late else 0.0))
    return made


@pytest.fixture(scope="module")
def line(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with running_line(services, tmp_path_factory.mktemp("line"), "t-review-7a51-", **SETTINGS) as made:
        client = connect(made.redis_url)
        store = RedisResultStore(client, group_id="g", retention=Retention())
        for camera in ("steady", "drifting"):
            store.store(stream(camera, drifting=camera == "drifting"), 1)
        client.close()
        yield made


Told = pytest.CaptureFixture[str]


def drift(line: Line, told: Told, **request: Any) -> list[dict[str, Any]]:
    drift_verb.run(load(line.config), drift_verb.Request(recent=100, as_json=True, **request))
    reports: list[dict[str, Any]] = json.loads(told.readouterr().out)
    return reports


def whatif(line: Line, told: Told, threshold: float) -> dict[str, Any]:
    whatif_verb.run(load(line.config), whatif_verb.Request("steady", threshold, as_json=True))
    found: dict[str, Any] = json.loads(told.readouterr().out)
    return found


def drifted(report: dict[str, Any]) -> set[str]:
    return {check["name"] for check in report["checks"] if check["verdict"] == "drifted"}


def test_a_camera_that_lost_focus_is_told_by_its_frames_and_scores_and_its_neighbour_is_not(
    line: Line, capsys: Told
) -> None:
    reports = {report["camera_id"]: report for report in drift(line, capsys)}
    assert drifted(reports["steady"]) == set()
    assert {"sharpness", "focus", "scores", "median_since_enrolment"} <= drifted(reports["drifting"])
    assert {check["name"]: check["verdict"] for check in reports["drifting"]["checks"]}["regions"] == "too_little"


def test_the_command_says_in_words_what_has_drifted(line: Line) -> None:
    said = line.run("drift", "drifting", "--recent", "100")
    assert "drifting: has drifted" in said.stdout
    assert "focus or vibration" in said.stdout
    assert "slow change" in said.stderr


def test_a_baseline_that_was_saved_is_what_is_compared_with(line: Line, tmp_path: Path, capsys: Told) -> None:
    saved = tmp_path / "baseline.json"
    drift_verb.run(load(line.config), drift_verb.Request(recent=100, save=saved))
    assert "baseline of 2 cameras" in capsys.readouterr().out
    (report,) = drift(line, capsys, camera_id="drifting", baseline=saved)
    assert report["baseline_kept"]
    assert drifted(report) == {
        "median_since_enrolment"
    }  # as out of focus then as now; when it was enrolled it was sharp
    saved.write_text('{"schema": "inspection.other/1"}')
    with pytest.raises(BadInputError, match="drift-baseline/1"):
        drift(line, capsys, camera_id="drifting", baseline=saved)


def test_what_another_threshold_would_have_done_by_type_and_shift_against_what_people_said(
    line: Line, tmp_path: Path, capsys: Told
) -> None:
    scores = {item.result.frame_id: item.result.anomaly_score for item in stream("steady", drifting=False)}
    before = whatif(line, capsys, 0.2)
    assert (before["now"], before["then"]) == (40, sum(score >= 0.2 for score in scores.values()))
    assert {row["name"]: row["now"] for row in before["by_type"]} == {"scratch": 20, "dent": 20, "anomaly": 0}
    assert sum(row["frames"] for row in before["by_shift"]) == FRAMES
    assert before["feedback"] == dict.fromkeys(before["feedback"], 0)

    quiet = next(frame_id for frame_id, score in scores.items() if 0.2 <= score < 0.5)
    for frame_id, verdict, defect_type, person in (
        (quiet, FeedbackVerdict.WRONG, "dent", "anna"),  # a defect that was missed
        ("steady-0", FeedbackVerdict.WRONG, None, "anna"),  # a false alarm
        ("steady-6", FeedbackVerdict.RIGHT, None, "anna"),
        ("steady-6", FeedbackVerdict.WRONG, None, "ben"),  # who differ
    ):
        label, named = (PredLabel.NORMAL, None) if frame_id == quiet else (PredLabel.ANOMALOUS, "scratch")
        said = Feedback(frame_id, "steady", "w1", verdict, person, NOW, label, defect_type, pred_type=named)
        publish_feedback(line.connection, f"{line.prefix}feedback", said)
    assert whatif(line, capsys, 0.2)["feedback"] == {
        "defective": 1, "found_now": 0, "found_then": 1, "normal": 1, "false_alarms_now": 1, "false_alarms_then": 1,
        "conflicts": 1,
    }  # fmt: skip

    svg = tmp_path / "whatif.svg"
    shown = line.run("whatif", "steady", "--image-threshold", "0.8", "--since", "2h", "--out", str(svg))
    assert "type scratch" in shown.stdout
    assert "nobody has said of these frames" in shown.stdout  # what was said is of frames of four hours ago
    assert "cameras.steady.image_threshold: 0.8" in shown.stderr
    assert svg.read_text().count("Alarms by shift") == 1


def test_without_kafka_the_replay_says_that_it_knows_no_feedback(line: Line) -> None:
    away = line.run("whatif", "steady", "--image-threshold", "0.6", INSPECTOR_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert "without feedback" in away.stderr
    assert "type scratch" in away.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"camera_id": "stedy"}, "there are drifting, steady"),
        ({"since": "tomorrow"}, "a time or a duration"),
        ({"shift_hours": "6,x"}, "6,14,22"),
        ({"shift_hours": "25"}, "hours of 0 to 23"),
        ({"time_zone": "../etc/passwd"}, "time zone"),
        ({"out": Path("x.pdf")}, ".svg or .png"),
        ({"out": Path("no-such-folder/x.svg")}, "a file that can be written"),
    ],
)
def test_what_cannot_be_replayed_is_refused(line: Line, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(said)):
        whatif_verb.run(load(line.config), replace(whatif_verb.Request("steady", 0.6), **changes))


def test_what_cannot_be_compared_is_refused(line: Line) -> None:
    for changes, said in (
        ({"camera_id": "stedy"}, "there are drifting, steady"),
        ({"baseline": Path("no-such-file.json")}, "a baseline that --save wrote"),
        ({"save": Path("no-such-folder/x.json")}, "a file that can be written"),
    ):
        with pytest.raises(BadInputError, match=re.escape(said)):
            drift_verb.run(load(line.config), drift_verb.Request(**changes))

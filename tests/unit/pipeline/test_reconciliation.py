"""What is found of one committed frame, whatever combination of records is left of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.reconciliation import (
    Committed,
    CommittedAlert,
    FindingKind,
    Remedy,
    StoredFrame,
    StoredState,
    WalkedFrame,
    as_committed,
    examine,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SOURCE = FrameSource("frames", 1, 42)
FRAME = WalkedFrame(SOURCE, "f1", "cam1", NOW)
GOOD = InspectionResult(
    "f1", "cam1", "line-1", "plate", NOW, NOW, 0.2, PredLabel.NORMAL, 0.5, ScoreMode.BANK, "w1", "m", SOURCE, {}, 9, 9
)
BAD = replace(GOOD, pred_label=PredLabel.ANOMALOUS, anomaly_score=0.9)
ALERT = CommittedAlert("f1", "cam1", 0.9, "w1", 1_767_312_000_000)
LOST, GONE, ELSEWHERE = (
    StoredFrame(state) for state in (StoredState.LOST, StoredState.GONE, StoredState.HELD_ELSEWHERE)
)
KEPT = {label: StoredFrame(StoredState.KEPT, result) for label, result in (("good", GOOD), ("bad", BAD))}
UNLISTED = StoredFrame(StoredState.NOT_INDEXED, BAD)
LETTER, SAID = Committed((), ("undecodable",)), Committed((ALERT,))
NOTHING = Committed()


def found(
    committed: Committed, stored: StoredFrame, since: datetime | None = None, **frame: object
) -> dict[str, Remedy]:
    findings = list(examine(replace(FRAME, **frame), committed, stored, since))
    assert all((each.source, each.frame_id, each.camera_id) == (SOURCE, "f1", "cam1") for each in findings)
    assert all(each.detail for each in findings)
    return {each.kind.value: each.remedy for each in findings}


@pytest.mark.parametrize(
    ("committed", "stored"),
    [(NOTHING, KEPT["good"]), (SAID, KEPT["bad"]), (LETTER, LOST), (LETTER, ELSEWHERE), (NOTHING, GONE), (SAID, GONE)],
    ids=["normal", "anomalous", "rejected", "duplicate", "normal, gone", "anomalous, gone"],
)
def test_what_fits_is_not_found(committed: Committed, stored: StoredFrame) -> None:
    assert found(committed, stored) == {}


@pytest.mark.parametrize(
    ("committed", "stored", "expected"),
    [
        (NOTHING, LOST, {"no_outcome": Remedy.SCORE}),
        (NOTHING, ELSEWHERE, {"no_outcome": Remedy.SCORE}),
        (SAID, LOST, {"result_missing": Remedy.SCORE}),
        (SAID, ELSEWHERE, {"result_missing": Remedy.NONE}),
        (NOTHING, KEPT["bad"], {"alert_missing": Remedy.ALERT}),
        (NOTHING, UNLISTED, {"alert_missing": Remedy.ALERT, "result_not_indexed": Remedy.INDEX}),
        (SAID, KEPT["good"], {"alert_differs": Remedy.NONE}),
        (Committed((ALERT, ALERT)), KEPT["bad"], {"alert_repeated": Remedy.NONE}),
        (Committed((), ("empty", "empty")), LOST, {"dead_letter_repeated": Remedy.NONE}),
        (Committed((ALERT,), ("empty",)), GONE, {"two_outcomes": Remedy.NONE}),
        (LETTER, KEPT["good"], {"two_outcomes": Remedy.NONE}),
        (SAID, StoredFrame(StoredState.UNREADABLE, detail="?"), {"result_unreadable": Remedy.NONE}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found_with_what_would_mend_it(
    committed: Committed, stored: StoredFrame, expected: dict[str, Remedy]
) -> None:
    assert found(committed, stored) == expected


@pytest.mark.parametrize(
    "change",
    [{"frame_id": "f2"}, {"camera_id": "cam2"}, {"anomaly_score": 0.91}, {"weights_version": "w2"}],
    ids=str,
)
def test_every_fact_that_alert_and_result_share_is_compared(change: dict[str, object]) -> None:
    (finding,) = examine(FRAME, Committed((replace(ALERT, **change),)), KEPT["bad"], None)
    assert finding.kind is FindingKind.ALERT_DIFFERS
    assert str(next(iter(change.values())))[:4] in finding.detail


def test_a_frame_that_kafka_let_go_cannot_be_scored_again() -> None:
    assert found(SAID, LOST, has_bytes=False) == {"result_missing": Remedy.NONE}


@pytest.mark.parametrize(("stored", "age"), [(LOST, 1), (KEPT["bad"], 1), (LOST, -1), (KEPT["bad"], -1)])
def test_what_the_topics_may_have_let_go_is_never_found_missing(stored: StoredFrame, age: int) -> None:
    assert bool(found(NOTHING, stored, since=NOW + timedelta(seconds=age))) is (age < 0)


def test_a_frame_scored_again_keeps_the_verdict_that_was_committed_and_gets_no_second_alert() -> None:
    again = replace(GOOD, weights_version="w2", anomaly_score=0.3)
    kept = as_committed(Inspected(SOURCE, again, None), ALERT, NOW, b"image")
    assert kept.alert is None
    assert kept.evidence == Evidence(frame=b"image")  # what people are shown; a normal frame's is not kept
    assert (kept.result.pred_label, kept.result.anomaly_score, kept.result.weights_version) == ("anomalous", 0.9, "w1")
    assert found(SAID, StoredFrame(StoredState.KEPT, kept.result)) == {}


def test_a_frame_that_nobody_was_told_of_is_told_late() -> None:
    mended = as_committed(Inspected(SOURCE, BAD, make_alert(BAD)), None, NOW, b"image")
    assert mended.alert is not None
    assert mended.alert.repaired_at == mended.result.repaired_at == NOW
    assert mended.alert.alert_id == make_alert(BAD).alert_id
    assert as_committed(Inspected(SOURCE, GOOD, None), None, NOW, b"image").alert is None

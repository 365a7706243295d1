"""What stands on the feedback topic: anybody may have written it, with any clock."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inspector.adapters.kafka.feedback_log import MAX_RECORD_BYTES, decode_feedback
from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import MAX_BOXES, MAX_NOTE_CHARS, Feedback, FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.records import to_json
from inspector.domain.result import PredLabel
from inspector.pipeline.ports import LogRecord

RECEIVED = datetime(2026, 11, 29, 8, tzinfo=UTC)
SAID = Feedback("f1", "cam1", "w1", FeedbackVerdict.WRONG, "anna", RECEIVED, PredLabel.ANOMALOUS, "dent")


def record(value: bytes | None, key: bytes | None = b"f1") -> LogRecord:
    return LogRecord(FrameSource("feedback", 0, 7), int(RECEIVED.timestamp() * 1000), key, value)


def test_what_was_written_is_read() -> None:
    assert decode_feedback(record(to_json(SAID))) == SAID


@pytest.mark.parametrize("early", [timedelta(), timedelta(seconds=30), -timedelta(days=1)])
def test_a_clock_that_goes_about_right_is_believed(early: timedelta) -> None:
    said = replace(SAID, given_at=RECEIVED + early)
    assert decode_feedback(record(to_json(said))) == said


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=3650)])
def test_a_clock_that_is_ahead_counts_as_the_brokers(ahead: timedelta) -> None:
    said = replace(SAID, given_at=RECEIVED + ahead)
    assert decode_feedback(record(to_json(said))) == SAID


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (None, b"f1"),
        (b"", b"f1"),
        (b"no json", b"f1"),
        (to_json(SAID), None),
        (to_json(SAID), b"f2"),
        (to_json(SAID).replace(b"feedback/1", b"feedback/2"), b"f1"),
        (to_json(SAID).replace(b'"anna"', b'"\\u001b[2J"'), b"f1"),
        (to_json(SAID).replace(b'"dent"', b"null").replace(b'"anomalous"', b'"normal"'), b"f1"),
        (to_json(SAID).replace(b"Z", b""), b"f1"),
        (to_json(replace(SAID, boxes=(Box(1, 2, 3, 4),))).replace(b"[1,2,3,4]", b"[1,2,-3,4]"), b"f1"),
        (to_json(replace(SAID, mask_version="ab" * 32)).replace(b"abab", b"../.", 1), b"f1"),
    ],
)
def test_what_is_no_feedback_is_refused(value: bytes | None, key: bytes | None) -> None:
    with pytest.raises(BadInputError):
        decode_feedback(record(value, key))


def test_the_largest_feedback_fits_into_a_record() -> None:
    boxes = (Box(99_999, 99_999, 99_999, 99_999),) * MAX_BOXES
    wide = "\U0001f529"  # four bytes, and more as an escape
    largest = replace(
        SAID, frame_id=wide * 128, camera_id=wide * 128, weights_version="f" * 64, person=wide * 80, product=wide * 128,
        defect_type=wide * 80, pred_type=wide * 80, note=wide * MAX_NOTE_CHARS, boxes=boxes, mask_version="a" * 64,
    )  # fmt: skip
    assert len(to_json(largest)) < MAX_RECORD_BYTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("boxes", "[[0, 0, 1" + "0" * 400 + ", 4]]"),
        ("boxes", "[[1000001, 0, 4, 4]]"),
        ("given_at", '"0001-01-01T00:00:00+14:00"'),
        ("given_at", '"9999-12-31T23:59:59-14:00"'),
        ("given_at", '"1969-12-31T00:00:00Z"'),
    ],
)
def test_numbers_and_moments_that_nothing_can_reckon_with_are_no_feedback(name: str, value: str) -> None:
    """A box of 10^400 pixels ended the trainer, a moment before the calendar the list of feedback: for ever."""
    whole = json.loads(to_json(SAID))
    text = json.dumps(whole | {name: "HERE"}).replace('"HERE"', value)
    with pytest.raises(BadInputError) as caught:
        decode_feedback(record(text.encode()))
    assert len(str(caught.value)) < 600

"""What can be said of a frame and what cannot: told in words, the same for every way in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from inspector.domain.defect import Box, Defect
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.records import from_json, to_json
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.feedback_rules import FeedbackRequest, judge

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
MASK = "ab" * 32
PLATE = ProductSettings("metal plate", (DefectSpec("scratch"), DefectSpec("bent lead")))
SCRATCH = Defect("scratch", 0.8, 700, 9, 0.01, Box(1, 1, 3, 3), (), "words")
ANOMALOUS = InspectionResult(
    "f1", "cam1", "line-1", "plate", NOW, NOW, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "w1", "m",
    FrameSource("frames", 1, 42), {}, 640, 480, (SCRATCH,),
)  # fmt: skip
NORMAL = replace(ANOMALOUS, pred_label=PredLabel.NORMAL, anomaly_score=0.1, defects=())
WRONG = FeedbackRequest("f1", FeedbackVerdict.WRONG, "anna", "bent lead")
FALSE_ALARM = replace(WRONG, defect_type=None)
RIGHT = replace(FALSE_ALARM, verdict=FeedbackVerdict.RIGHT)


def refusal(request: FeedbackRequest, result: InspectionResult = ANOMALOUS, mask_version: str | None = None) -> str:
    with pytest.raises(BadInputError) as caught:
        judge(request, result, PLATE, mask_version, NOW)
    return str(caught.value)


@pytest.mark.parametrize(
    ("request_", "result", "label", "defect_type"),
    [
        (WRONG, ANOMALOUS, PredLabel.ANOMALOUS, "bent lead"),
        (WRONG, NORMAL, PredLabel.ANOMALOUS, "bent lead"),
        (FALSE_ALARM, ANOMALOUS, PredLabel.NORMAL, None),
        (RIGHT, ANOMALOUS, PredLabel.ANOMALOUS, "scratch"),
        (RIGHT, NORMAL, PredLabel.NORMAL, None),
        (RIGHT, replace(ANOMALOUS, defects=()), PredLabel.ANOMALOUS, None),
    ],
)
def test_what_the_frame_is_by_a_persons_word(
    request_: FeedbackRequest, result: InspectionResult, label: PredLabel, defect_type: str | None
) -> None:
    taken = judge(request_, result, PLATE, None, NOW)
    said = taken.feedback
    assert (said.true_label, said.true_type, said.pred_label) == (label, defect_type, result.pred_label)
    assert (said.camera_id, said.weights_version, said.product) == ("cam1", "w1", "plate")
    assert (said.given_at, said.new_type, taken.remarks) == (NOW, False, ())
    assert from_json(type(said), to_json(said)) == said


def test_the_gravest_defect_is_what_the_service_had_said() -> None:
    graver = replace(SCRATCH, defect_type="bent lead", severity=800)
    both = replace(ANOMALOUS, defects=(SCRATCH, graver))
    assert judge(RIGHT, both, PLATE, None, NOW).feedback.true_type == "bent lead"


@pytest.mark.parametrize("typed", ["Bent Lead", "  bent lead "])
def test_a_type_of_the_vocabulary_is_known_however_it_is_typed(typed: str) -> None:
    taken = judge(replace(WRONG, defect_type=typed), ANOMALOUS, PLATE, None, NOW)
    assert (taken.feedback.defect_type, taken.feedback.new_type) == ("bent lead", False)


def test_a_new_type_is_taken_marked_and_offered_for_the_vocabulary() -> None:
    taken = judge(replace(WRONG, defect_type="solder ball"), NORMAL, PLATE, None, NOW)
    assert (taken.feedback.true_type, taken.feedback.new_type) == ("solder ball", True)
    assert len(taken.remarks) == 1
    assert "products.plate.defects" in taken.remarks[0]


def test_a_type_that_looks_mistyped_is_taken_and_the_likely_one_named() -> None:
    taken = judge(replace(WRONG, defect_type="scrach"), NORMAL, PLATE, None, NOW)
    assert taken.feedback.defect_type == "scrach"
    assert "'scratch'" in taken.remarks[1]


@pytest.mark.parametrize("box", [Box(600, 1, 41, 1), Box(1, 400, 1, 81), Box(-1, 0, 5, 5), Box(0, -1, 5, 5)])
def test_a_box_outside_the_frame_is_refused_with_the_frames_size(box: Box) -> None:
    assert "640 x 480" in refusal(replace(WRONG, boxes=(box,)))


@pytest.mark.parametrize("box", [Box(0, 0, 0, 5), Box(5, 5, 5, -2)])
def test_a_box_without_an_area_is_refused(box: Box) -> None:
    assert "1 x 1" in refusal(replace(WRONG, boxes=(box,)))


def test_a_box_that_fills_the_frame_is_taken() -> None:
    assert judge(replace(WRONG, boxes=(Box(0, 0, 640, 480),)), ANOMALOUS, PLATE, None, NOW).feedback.boxes


@pytest.mark.parametrize("person", ["", "   ", "a\x1b[31mb", "an\nna", "anna\u202e", "x" * 81, "x" * 100_000, "\udcff"])
def test_a_name_that_could_steer_a_terminal_or_is_none_is_refused(person: str) -> None:
    said = refusal(replace(WRONG, person=person))
    assert "a person's name" in said
    assert len(said) < 500


@pytest.mark.parametrize("note", ["x" * 100_000, "y" * 2_001, "\x1b]0;owned\x07", "\u202e"])
def test_a_note_that_is_too_long_or_no_text_is_refused(note: str) -> None:
    said = refusal(replace(WRONG, note=note))
    assert "note" in said
    assert len(said) < 500


def test_a_note_keeps_its_lines_and_nothing_of_its_tabs() -> None:
    assert judge(replace(WRONG, note=" a\r\nb\tc\n"), ANOMALOUS, PLATE, None, NOW).feedback.note == "a\nb c"


def test_the_same_name_in_two_encodings_is_one_person() -> None:
    composed, decomposed = (
        judge(replace(WRONG, person=p), ANOMALOUS, PLATE, None, NOW) for p in ("Jos\u00e9", "Jose\u0301")
    )
    assert composed.feedback.feedback_id == decomposed.feedback.feedback_id


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=3650)])
def test_a_clock_in_the_future_is_refused(ahead: timedelta) -> None:
    assert "clock" in refusal(replace(WRONG, given_at=NOW + ahead))


def test_a_moment_without_a_zone_is_refused() -> None:
    assert "time zone" in refusal(replace(WRONG, given_at=NOW.replace(tzinfo=None)))


def test_a_moment_of_another_zone_is_kept_in_utc() -> None:
    given_at = (NOW - timedelta(hours=1)).astimezone(timezone(timedelta(hours=5)))
    kept = judge(replace(WRONG, given_at=given_at), ANOMALOUS, PLATE, None, NOW).feedback.given_at
    assert (kept, kept.tzinfo) == (NOW - timedelta(hours=1), UTC)


def test_what_contradicts_itself_is_refused() -> None:
    box = (Box(1, 1, 5, 5),)
    assert "missed" in refusal(FALSE_ALARM, NORMAL)
    assert "leave it out" in refusal(replace(RIGHT, defect_type="scratch"))
    assert "no box and no mask" in refusal(replace(FALSE_ALARM, boxes=box))
    assert "no box and no mask" in refusal(replace(RIGHT, boxes=box), NORMAL)
    assert "no box and no mask" in refusal(FALSE_ALARM, mask_version=MASK)
    assert "another type" in refusal(replace(WRONG, defect_type="Scratch"))


def test_the_right_type_in_another_place_is_a_correction() -> None:
    elsewhere = replace(WRONG, defect_type="scratch", boxes=(Box(100, 100, 5, 5),))
    assert judge(elsewhere, ANOMALOUS, PLATE, None, NOW).feedback.boxes == elsewhere.boxes


def test_a_person_may_confirm_and_say_exactly_where() -> None:
    assert judge(RIGHT, ANOMALOUS, PLATE, MASK, NOW).feedback.mask_version == MASK


def test_more_boxes_than_a_person_draws_are_refused() -> None:
    assert "100 boxes" in refusal(replace(WRONG, boxes=(Box(1, 1, 1, 1),) * 101))

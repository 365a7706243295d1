"""The report of a frame: what an engineer reads at night, and that nothing in it is made up."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_kit import SCRATCH, START, result

from inspector.domain.defect import Box, Defect
from inspector.domain.product import ProductSettings
from inspector.domain.records import from_json, json_schema, to_json
from inspector.domain.report import FrameReport
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.places import inspected_box, near_edge, ninth
from inspector.pipeline.report import report
from inspector.pipeline.severity import ACT_NOW

WHOLE = ProductSettings()
PART = ProductSettings(region_of_interest=(((0.5, 0.5), (0.9, 0.5), (0.9, 0.9), (0.5, 0.9)),))


def test_what_an_engineer_reads_at_three_in_the_morning() -> None:
    earlier = [result(n, SCRATCH, score=0.9) for n in (1, 7)] + [result(n, score=0.1) for n in range(8, 55)]
    text = report(result(60, SCRATCH), earlier, WHOLE).text
    assert text.splitlines() == [
        "Camera cam1: clearly anomalous, anomaly score 0.83, threshold 0.50. 1 region is listed.",
        "- scratch upper left, near the edge of the frame: 12.4 x 0.8 mm, 0.15 % of the frame; "
        "severity 712 of 1000: act now; score 0.91. Probably scratch (62 %), less likely the runner-up dent (21 %). "
        "The 3rd of the last 50 frames with scratch there.",
        "Its score is the 3rd highest of the last 50 frames of this camera, itself included; "
        "2 of the 49 before it were anomalous.",
    ]


def test_a_normal_frame_says_so() -> None:
    text = report(result(1, score=0.02), [], WHOLE).text
    assert text.startswith("Camera cam1: clearly normal, anomaly score 0.02, threshold 0.50. No region reaches")
    assert text.endswith("No earlier frames of this camera to compare with.")
    of_file = report(result(1, score=0.02), [], WHOLE, "a\x1b.jpg").text
    assert of_file == text.replace("Camera cam1", r"a\x1b.jpg").removesuffix(
        "\nNo earlier frames of this camera to compare with."
    )
    assert "although the frame as a whole is normal" in report(result(1, SCRATCH, score=0.2), [], WHOLE).text
    assert "no region of it reaches" in report(result(1, score=0.9), [], WHOLE).text


def test_limits_are_told() -> None:
    untrained = report(result(1, SCRATCH, weights_trained=False), [], WHOLE)
    assert untrained.limits == ("the weights are untrained, so each type is a guess",)
    assert "Limit: the weights are untrained, so each type is a guess." in untrained.text
    zero_shot = result(1, SCRATCH, weights_trained=False, mode=ScoreMode.ZERO_SHOT)
    assert any("mean nothing" in limit for limit in report(zero_shot, [], WHOLE).limits)
    older = replace(SCRATCH, type_probability=None, runner_up=None, runner_up_probability=None, area_mm2=None)
    told = report(result(1, older, weights_trained=None), [], WHOLE)
    assert len(told.limits) == 2
    assert "Nothing told the types apart." in told.text
    assert "155 x 10 px" in told.text


def test_later_frames_other_cameras_and_other_weights_do_not_count() -> None:
    others = [
        result(9, SCRATCH, score=0.99),
        result(1, SCRATCH, score=0.99, camera_id="cam2"),
        result(2, SCRATCH, score=0.99, weights_version="w0"),
        result(3, SCRATCH, score=0.99, mode=ScoreMode.ZERO_SHOT),
        result(4, score=0.9),
        result(5, SCRATCH),
    ]
    recent = report(result(5, SCRATCH), others, WHOLE).recent
    assert (recent.earlier, recent.earlier_anomalous, recent.rank, recent.left_out) == (1, 1, 2, 2)


@pytest.mark.parametrize("changed", ["product", "model", "bank_version", "calibration_version"])
def test_frames_of_another_product_bank_or_calibration_do_not_count(changed: str) -> None:
    other = result(1, SCRATCH, score=0.99, **{changed: "other"})
    told = report(result(5, SCRATCH), [other], WHOLE)
    assert (told.recent.earlier, told.recent.rank, told.recent.left_out) == (0, 1, 1)
    assert told.text.endswith("to compare with. Left out, of another product or judged in another way: 1.")
    assert "there in the" not in told.text


def test_a_score_that_others_share_is_not_theirs_beaten() -> None:
    told = report(result(5, score=1.0), [result(n, score=1.0) for n in (1, 2)] + [result(3, score=0.4)], WHOLE)
    assert (told.recent.rank, told.recent.ties) == (1, 2)
    assert (
        "Its score is the highest of the last 4 frames of this camera, itself included, with 2 more of that score; "
        in told.text
    )
    assert "more of that" not in report(result(5, score=1.0), [result(3, score=0.4)], WHOLE).text


def test_a_close_runner_up_is_hardly_told_apart() -> None:
    close = replace(SCRATCH, type_probability=0.41, runner_up_probability=0.38)
    text = report(result(1, close), [], WHOLE).text
    assert "Possibly scratch (41 %), hardly told apart from the runner-up dent (38 %)." in text


def test_a_size_of_micrometres_is_not_told_as_none() -> None:
    speck = replace(SCRATCH, box=Box(500, 500, 40, 8), area_px=100, area_mm2=100 * 0.005**2)
    assert "0.2 x 0.040 mm" in report(result(1, speck), [], WHOLE).text


def test_what_is_new_there_is_told_as_new() -> None:
    earlier = [result(n, replace(SCRATCH, defect_type="dent")) for n in (1, 2, 3)]
    told = report(result(5, SCRATCH), earlier, WHOLE).text
    assert "(21 %). No scratch there in the 3 frames before.\n" in told
    assert "(21 %). No scratch there in the frame before.\n" in report(result(5, SCRATCH), earlier[:1], WHOLE).text


def test_where_one_type_was_looked_for_nothing_is_said_to_be_sure_of_it() -> None:
    only = replace(SCRATCH, type_probability=1.0, runner_up=None, runner_up_probability=None)
    (defect,) = report(result(1, only), [], WHOLE).defects
    assert defect.sentence.endswith("score 0.91. No other type than scratch was looked for.")
    assert defect.type_word is None


def test_the_same_type_elsewhere_is_not_there() -> None:
    elsewhere = replace(SCRATCH, box=Box(800, 800, 155, 10))
    (defect,) = report(result(5, SCRATCH), [result(1, elsewhere), result(2, SCRATCH)], WHOLE).defects
    assert (defect.earlier_alike, "The 2nd of the last 3 frames with scratch there." in defect.sentence) == (1, True)


@pytest.mark.parametrize(
    ("score", "threshold", "verdict"),
    [
        (0.9, 0.8, "clearly anomalous"),
        (0.83, 0.8, "anomalous"),
        (0.81, 0.8, "barely anomalous"),
        (0.3, 0.8, "clearly normal"),
        (0.5, 0.8, "normal"),
        (0.75, 0.8, "barely normal"),
    ],
)
def test_how_clear_a_verdict_is(score: float, threshold: float, verdict: str) -> None:
    label = PredLabel.ANOMALOUS if score >= threshold else PredLabel.NORMAL
    frame = result(1, score=score, image_threshold=threshold, pred_label=label)
    assert report(frame, [], WHOLE).verdict_word == verdict


@pytest.mark.parametrize(
    ("box", "place", "near"),
    [
        (Box(500, 89, 100, 10), "middle centre", False),
        (Box(10, 90, 100, 10), "middle left", True),
        (Box(11, 90, 100, 10), "middle left", False),
        (Box(1000, 90, 490, 10), "middle right", True),
        (Box(1000, 90, 489, 10), "middle right", False),
        (Box(700, 10, 10, 10), "upper centre", True),
        (Box(700, 180, 10, 10), "lower centre", True),
        (Box(700, 170, 10, 19), "lower centre", False),
    ],
)
def test_ninths_and_edges_of_a_wide_frame(box: Box, place: str, near: bool) -> None:
    """1500 x 200 px: thirds of 500 and 67 px, near the edge within 10 px of it."""
    whole = Box(0, 0, 1500, 200)
    assert (ninth(box, whole), near_edge(box, whole)) == (place.replace("middle centre", "centre"), near)


def test_places_are_those_of_the_part_where_the_product_says_where_it_lies() -> None:
    inside = replace(SCRATCH, box=Box(510, 520, 20, 20))
    (there,) = report(result(1, inside), [], PART).defects
    (anywhere,) = report(result(1, inside), [], WHOLE).defects
    assert (there.place, there.near_edge) == ("upper left", True)
    assert (anywhere.place, anywhere.near_edge) == ("centre", False)
    assert "upper left, near the edge of the inspected area:" in there.sentence


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(0, 999)] * 2, *[st.integers(1, 400)] * 2),
    st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 500)] * 2),
)
def test_any_box_has_a_place(box: tuple[int, int, int, int], whole: tuple[int, int, int, int]) -> None:
    assert len(ninth(Box(*box), Box(*whole)).split()) in (1, 2)
    near_edge(Box(*box), Box(*whole))
    assert inspected_box((), 10, 20) == Box(0, 0, 10, 20)


def test_severity_bands_meet_the_alerts() -> None:
    words = [
        report(result(1, replace(SCRATCH, severity=s)), [], WHOLE).defects[0].severity_word for s in (ACT_NOW, 666)
    ]
    assert words == ["act now", "serious"]


# Names from outside may look like words of the report, or like its numbers.
NAMES = st.sampled_from(["scratch", "bent lead", "crack 2", "Ü-Riss", "no", "12 mm"])
SHARE = st.floats(0, 1)


@st.composite
def defects(draw: st.DrawFn) -> Defect:
    area_px = draw(st.integers(1, 10_000))
    known = draw(st.booleans())
    first = draw(SHARE)
    second = draw(st.none() | NAMES) if known else None
    return Defect(
        defect_type=draw(NAMES),
        score=draw(SHARE),
        severity=draw(st.integers(1, 1000)),
        area_px=area_px,
        area_fraction=draw(SHARE),
        box=Box(*draw(st.tuples(*[st.integers(0, 990)] * 2)), *draw(st.tuples(*[st.integers(1, 999)] * 2))),
        polygon=(),
        description="",
        area_mm2=draw(st.none() | st.floats(0.001, 1000)),
        type_probability=first if known else None,
        runner_up=second,
        runner_up_probability=None if second is None else draw(st.floats(0, first)),
    )


@st.composite
def results(draw: st.DrawFn) -> InspectionResult:
    return result(
        draw(st.integers(0, 20)),
        *draw(st.lists(defects(), max_size=3)),
        score=draw(SHARE),
        image_threshold=draw(SHARE),
        camera_id=draw(st.sampled_from(["cam1", "line 7: 50 %"])),
        weights_version=draw(st.sampled_from(["w1", "w2"])),
        weights_trained=draw(st.sampled_from([True, False, None])),
        mode=draw(st.sampled_from(ScoreMode)),
    )


def numbers_of(defect: Defect) -> set[str]:
    """The numbers a defect may be told with, by the rules that the report states."""
    scale = 1.0 if defect.area_mm2 is None else math.sqrt(defect.area_mm2 / defect.area_px)
    px = defect.area_mm2 is None
    percent = [p for p in (defect.type_probability, defect.runner_up_probability) if p is not None]
    return {
        *(f"{side * scale:.{0 if px else 1 if side * scale >= 0.1 else 3}f}" for side in defect.box[2:]),
        f"{100 * defect.area_fraction:.{2 if 100 * defect.area_fraction >= 0.1 else 4}f}",
        str(defect.severity),
        f"{defect.score:.2f}",
        *(f"{100 * p:.0f}" for p in percent),
    }


# Every word there is besides names: a new one is a change of the report's language, made here too.
LEXICON = frozenset(
    re.findall(
        r"\S+",
        """act almost although an and anomalous anomaly another apart are area as at barely before camera
    centre certainly clearly compare does each earlier edge frame frames from guess hardly highest in included
    inspected is it its itself judged known last left less likely limit listed looked lower mean middle minimum
    minor mm mode near no normal not nothing now of or other out pixel pixels places possibly probably px
    reaches region regions report result right runner-up say score scores serious severity size sizes so the there this
    more than that product was way threshold to told trained type types untrained upper weights were whether whole with
    x zero-shot a for
    """,
    )
)


@settings(deadline=None)
@given(results(), st.lists(results(), max_size=12), st.sampled_from([WHOLE, PART]))
def test_every_number_and_word_comes_from_the_evidence(
    frame: InspectionResult, recent: list[InspectionResult], product: ProductSettings
) -> None:
    said = report(frame, recent, product)
    counts = {str(n) for n in range(len(recent) + 2)}  # of frames and regions, checked one by one elsewhere
    numbers = {"1000", f"{frame.anomaly_score:.2f}", f"{frame.image_threshold:.2f}", str(len(frame.defects)), *counts}
    names = {frame.camera_id}
    for defect in frame.defects:
        numbers |= numbers_of(defect)
        names |= {defect.defect_type, *([defect.runner_up] if defect.runner_up else [])}
    # The frame's own names where the templates put them, capitals and all.
    text = said.text.replace(f"Camera {frame.camera_id}:", "Camera :")
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<=- ){re.escape(name)} |(?<=[a-z] ){re.escape(name)}(?= (?:there|was|\())", " ", text)
    for number in re.findall(r"\d+(?:\.\d+)?", text):
        assert number in numbers, (number, text)
    for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", re.sub(r"\d(?:st|nd|rd|th)\b", " ", text)):
        assert word.lower() in LEXICON, (word, text)


@settings(deadline=None)
@given(results(), st.lists(results(), max_size=5))
def test_reports_keep_to_their_published_schema(frame: InspectionResult, recent: list[InspectionResult]) -> None:
    data = to_json(report(frame, recent, WHOLE))
    jsonschema.validate(json.loads(data), json_schema("report"))
    assert from_json(FrameReport, data).text


@pytest.mark.parametrize("hostile", ["scratch\n- forged", "\x1b[2Jscratch"])
def test_a_hostile_name_forges_no_line(hostile: str) -> None:
    text = report(result(1, replace(SCRATCH, defect_type=hostile, runner_up=hostile)), [], WHOLE).text
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text


def test_older_results_without_the_new_fields_are_read() -> None:
    record = json.loads(to_json(result(1, SCRATCH)))
    del record["weights_trained"]
    for name in ("type_probability", "runner_up", "runner_up_probability"):
        del record["defects"][0][name]
    read = from_json(InspectionResult, json.dumps(record))
    assert read.defects[0].runner_up is None
    assert read.captured_at == START + timedelta(seconds=1)

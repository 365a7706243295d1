"""A model's answer is held against the evidence: what it makes up is marked, what it may say is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import SCRATCH, result

from inspector.domain.product import ProductSettings
from inspector.pipeline.answer_check import check_answer
from inspector.pipeline.report import report

VOCABULARY = ("scratch", "dent", "bent lead", "crack 2")
EARLIER = [result(n, SCRATCH, score=0.9) for n in (1, 7)] + [result(n, score=0.1) for n in range(8, 55)]
REPORT = report(result(60, SCRATCH), EARLIER, ProductSettings())


def marks(answer: str) -> list[str]:
    return [f"{mark.kind}: {mark.quote}" for mark in check_answer(answer, REPORT, VOCABULARY)]


def test_our_own_report_bears_itself_out() -> None:
    assert marks(REPORT.text) == []


@pytest.mark.parametrize(
    "answer",
    [
        "A scratch, top left, near the edge, about 12 mm long. Frame f0060 of cam1 is the third such of the last 50.",
        "Score 0.8 (83 %); a dent is less likely at 21%. Severity 712 of 1000.",
        "A 12.4mm scratch, 62 percent sure.",
        "The first and only scratch, 12.4 millimetres long, 3rd of 50: act now.",
    ],
)
def test_what_the_evidence_says_may_be_said(answer: str) -> None:
    assert marks(answer) == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It is 13 mm long.", ["not in the evidence: 13 mm"]),
        ("It is 12.4 px long.", ["not in the evidence: 12.4 px"]),
        ("It is 1.24 cm long.", ["not in the evidence: 1.24 cm"]),
        ("I am 97% sure.", ["not in the evidence: 97%"]),
        ("Score 4.", ["not in the evidence: 4"]),
        ("There are four scratches.", ["not in the evidence: four"]),
        ("The second of the last 50 frames.", ["not in the evidence: second"]),
        ("The 2nd of the last 50 frames, the 7th highest.", ["not in the evidence: 2nd", "not in the evidence: 7th"]),
        ("A dozen scratches, hundreds.", ["not in the evidence: dozen", "not in the evidence: hundreds"]),
        ("It is 12.4 metres long, 83 °C.", ["not in the evidence: 12.4 metres", "not in the evidence: 83 °C"]),
        ("Only minor.", ["contradicts the evidence: minor"]),
        ("A crack and some bent leads.", ["not in the evidence: crack", "not in the evidence: bent leads"]),
        ("A crack, then a crack.", ["not in the evidence: crack"]),
        ("It lies lower-right.", ["contradicts the evidence: lower-right"]),
        ("A scratch in the center.", ["contradicts the evidence: in the center"]),
        ("The part looks fine.", ["contradicts the evidence: looks fine"]),
    ],
)
def test_what_is_made_up_is_marked(answer: str, expected: list[str]) -> None:
    assert marks(answer) == expected


def test_edges_and_verdicts_of_a_normal_frame() -> None:
    normal = report(result(60, score=0.1), EARLIER, ProductSettings())
    found = check_answer("The part is defective at the rim, near the outer edge.", normal, VOCABULARY)
    assert [mark.quote for mark in found] == ["is defective", "at the rim", "near the outer edge"]


def test_names_with_numbers_and_places_in_them_are_names() -> None:
    odd = replace(SCRATCH, defect_type="crack 7", runner_up="top left 12 mm chip")
    told = report(replace(result(60, odd), camera_id="line 4"), [], ProductSettings())
    assert check_answer("Line 4 has a crack 7, perhaps a top left 12 mm chip.", told, VOCABULARY) == ()


@given(st.text(max_size=300))
def test_any_text_is_checked(answer: str) -> None:
    for mark in check_answer(answer, REPORT, VOCABULARY):
        assert mark.quote in answer

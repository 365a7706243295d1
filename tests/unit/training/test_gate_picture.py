"""A gate's decision is drawn whatever it was made of, and names come from others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.domain.gate import GateLimits
from inspector.pipeline.gate import FrameEvidence, GateEvidence, decide
from inspector.training.gate_picture import draw_gate
from inspector.vision.decode import decode_full

LIMITS = GateLimits(resamples=1000)


def frames(camera: str = "cam1", defect_type: str = "scratch") -> list[FrameEvidence]:
    """Ten good frames, and ten defects of which the candidate finds five more."""
    good = [FrameEvidence(f"g{i}", camera, False, None, False, 0.1, 0.2, False, False) for i in range(10)]
    return good + [
        FrameEvidence(
            f"d{i}", camera, True, defect_type, i > 4, 0.4, 0.4 + i / 20, False, i > 4,
            candidate_type=defect_type, persons=("anna",) if i > 4 else (),
        )
        for i in range(10)
    ]  # fmt: skip


def evidence(shown: list[FrameEvidence]) -> GateEvidence:
    return GateEvidence(shown, 1.0, True, True, "a" * 64, "b" * 64)


def drawn(shown: list[FrameEvidence]) -> str:
    made = evidence(shown)
    return draw_gate(decide(made, LIMITS, 0), made, "svg").decode()


def test_it_tells_the_verdict_the_reasons_the_changes_and_each_group() -> None:
    svg = drawn(frames())
    assert "Weights bbbbbbbbbbbb after aaaaaaaaaaaa: refused" in svg
    assert "59 frames would show it" in svg
    assert "anomalous, now right (5)" in svg
    assert "type scratch (10, too few)" in svg
    assert "frozen set (15)" in svg


def test_the_same_evidence_gives_the_same_bytes_and_a_png_can_be_decoded() -> None:
    assert drawn(frames()) == drawn(frames())
    made = evidence(frames())
    assert min(decode_full(draw_gate(decide(made, LIMITS, 0), made)).shape[:2]) > 500


def test_no_frames_at_all_and_scores_that_are_no_numbers_are_drawn_too() -> None:
    assert "the frozen set holds no normal frame" in drawn([])
    broken = [replace(frame, candidate_score=float("nan")) for frame in frames()]
    assert "no finite number on 20 frames" in drawn(broken)


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_hostile_names_neither_break_the_picture_nor_act_in_it() -> None:
    names = ("$\\frac{1}{0}$", "<script>alert(1)</script>", "\x1b[2J\u202e", "x" * 500, "カメラ")
    shown = [
        replace(
            f,
            frame_id=f"{n}-{f.frame_id}",
            camera_id=name,
            defect_type=f.defect_type and name,
            persons=f.persons and (name,),
        )
        for n, name in enumerate(names)
        for f in frames()
    ]
    svg = drawn(shown)
    assert "<script>" not in svg
    assert "\x1b" not in svg
    made = evidence(shown)
    assert draw_gate(decide(made, LIMITS, 0), made).startswith(b"\x89PNG")


def test_dozens_of_cameras_still_fit_and_the_worst_are_shown() -> None:
    many = [replace(f, frame_id=f"{f.frame_id}-{n}", camera_id=f"cam{n}") for n in range(30) for f in frames()]
    lost = [replace(f, candidate_alarm=False) if f.camera_id == "cam29" else f for f in many]
    svg = drawn([*lost, *(replace(f, frame_id=f"x{f.frame_id}", current_alarm=f.anomalous, candidate_alarm=False)
                          for f in lost if f.camera_id == "cam29")])  # fmt: skip
    assert "cam29, anomalous" in svg
    assert "best of these not shown" in svg

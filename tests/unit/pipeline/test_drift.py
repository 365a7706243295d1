"""A camera that has drifted is told and why; one that has not, or of which too little is known, is not blamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inspector.domain.drift import CameraDrift, CameraSnapshot, DriftCheck, DriftVerdict, FrameQuality, ScoreBasis
from inspector.domain.records import from_json, to_json
from inspector.domain.result import ScoreMode
from inspector.pipeline.drift import compare

BASIS = ScoreBasis("plate", ScoreMode.BANK, "w1", "b1", "c1")
SHARP = {"sharpness": 0.01, "focus": 0.4, "contrast": 0.15, "veil": 0.05, "brightness": 0.45}


def frames(
    seed: int, count: int = 30, cells: Sequence[float] = (0.5,) * 256, **changes: float
) -> tuple[FrameQuality, ...]:
    """Frames whose figures differ by a twentieth from each other, as those of different parts do."""
    random = np.random.default_rng(seed)
    usual = {**SHARP, "clipped_dark": 0.001, "clipped_bright": 0.001, **changes}
    return tuple(
        FrameQuality(
            **{name: value * random.normal(1, 0.05) for name, value in usual.items()},
            cells=tuple(np.asarray(cells) + random.normal(0, 0.05, 256)),
        )
        for _ in range(count)
    )


def snapshot(seed: int, **changes: Any) -> CameraSnapshot:
    """A camera as it was set up: half of its scores below 0.1, regions of two kinds, sharp pictures."""
    random = np.random.default_rng(seed)
    regions = np.eye(16)[random.integers(0, 2, 40)] + random.normal(0, 0.05, (40, 16))
    made = CameraSnapshot(
        "cam1",
        basis=BASIS,
        scores=tuple(0.1 * random.lognormal(0, 0.5, 200)),
        embeddings=tuple(map(tuple, regions / np.linalg.norm(regions, axis=1, keepdims=True))),
        normal_frames=frames(seed),
    )
    return replace(made, **changes)


def verdicts(drift: CameraDrift) -> dict[str, DriftVerdict]:
    return {check.name: check.verdict for check in drift.checks}


def check(drift: CameraDrift, name: str) -> DriftCheck:
    return next(each for each in drift.checks if each.name == name)


def drifted(baseline: CameraSnapshot, recent: CameraSnapshot) -> set[str]:
    found = compare(baseline, recent, baseline_kept=True)
    assert found.drifted is any(v is DriftVerdict.DRIFTED for v in verdicts(found).values())
    return {name for name, verdict in verdicts(found).items() if verdict is DriftVerdict.DRIFTED}


def test_what_has_not_changed_has_not_drifted() -> None:
    found = [drifted(snapshot(seed), snapshot(seed + 1000)) for seed in range(8)]
    assert all(names == set() for names in found)


def test_scores_that_rise_are_told_against_then_and_against_enrolment() -> None:
    higher = tuple(2.5 * score for score in snapshot(1).scores)
    assert drifted(snapshot(0), snapshot(1, scores=higher)) == {"scores", "median_since_enrolment"}


def test_a_camera_without_a_bank_or_calibration_has_no_enrolment_to_be_held_against() -> None:
    zero_shot = replace(BASIS, mode=ScoreMode.ZERO_SHOT, bank_version=None, calibration_version=None)
    found = compare(snapshot(0, basis=zero_shot), snapshot(1, basis=zero_shot), baseline_kept=True)
    assert verdicts(found)["median_since_enrolment"] is DriftVerdict.NOT_COMPARABLE
    assert verdicts(found)["scores"] is DriftVerdict.STABLE


def test_other_kinds_of_regions_are_told() -> None:
    other = tuple(tuple(np.roll(row, 5)) for row in snapshot(1).embeddings)
    assert drifted(snapshot(0), snapshot(1, embeddings=other)) == {"regions"}


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({"sharpness": 0.004, "focus": 0.16}, {"sharpness", "focus"}, "focus or vibration"),
        ({"sharpness": 0.005, "contrast": 0.1, "veil": 0.15}, {"sharpness", "contrast", "veil"}, "haze"),
        ({"brightness": 0.3}, {"brightness"}, "darker: lamp"),
        ({"brightness": 0.6, "clipped_bright": 0.1}, {"brightness", "clipped_bright"}, "overexposed"),
        ({"clipped_dark": 0.1}, {"clipped_dark"}, "underexposed"),
    ],
)
def test_each_fault_of_a_camera_shows_in_its_own_figures(
    changes: dict[str, float], expected: set[str], words: str
) -> None:
    recent = snapshot(1, normal_frames=frames(1, **changes))
    assert drifted(snapshot(0), recent) == expected
    found = compare(snapshot(0), recent, baseline_kept=True)
    assert any(words in check.text for check in found.checks if check.name in expected)


def test_a_smear_in_one_place_is_told_although_the_picture_as_a_whole_is_the_same() -> None:
    cells = np.full((16, 16), 0.5)
    cells[3:5, 7:9] -= 0.12
    assert drifted(snapshot(0), snapshot(1, normal_frames=frames(1, cells=cells.ravel()))) == {"place"}


def test_frames_are_compared_with_those_of_the_same_verdict() -> None:
    """Only anomalous ones are kept then, and a picture of a defect is another picture than one of a good part."""
    dark = frames(5, brightness=0.2)
    baseline = snapshot(0, normal_frames=(), anomalous_frames=dark)
    recent = snapshot(1, anomalous_frames=frames(6, brightness=0.2))
    assert drifted(baseline, recent) == set()
    assert "anomalous frames" in check(compare(baseline, recent, baseline_kept=True), "brightness").text


@pytest.mark.parametrize(
    ("changes", "name", "least"),
    [
        ({"scores": (0.9,) * 49}, "scores", 50),
        ({"embeddings": ((1.0,) + (0.0,) * 15,) * 19}, "regions", 20),
        ({"normal_frames": frames(3, 11, brightness=0.9)}, "pictures", 12),
    ],
)
def test_too_little_is_said_and_never_called_drift(changes: dict[str, Any], name: str, least: int) -> None:
    found = compare(snapshot(0), snapshot(1, **changes), baseline_kept=True)
    assert check(found, name).verdict is DriftVerdict.TOO_LITTLE
    assert f"{least} are needed" in check(found, name).text
    assert not found.drifted


def test_nothing_at_all_is_too_little() -> None:
    found = compare(CameraSnapshot("cam1"), CameraSnapshot("cam1"), baseline_kept=False)
    assert not found.drifted
    assert set(verdicts(found).values()) <= {DriftVerdict.TOO_LITTLE, DriftVerdict.NOT_COMPARABLE}
    assert from_json(CameraDrift, to_json(found)) == found


def test_scores_and_regions_of_other_weights_do_not_compare_and_of_another_bank_the_scores() -> None:
    weights = compare(snapshot(0), snapshot(1, basis=replace(BASIS, weights_version="w2")), baseline_kept=True)
    bank = compare(snapshot(0), snapshot(1, basis=replace(BASIS, bank_version="b2")), baseline_kept=True)
    for found in (weights, bank):
        assert verdicts(found)["scores"] is DriftVerdict.NOT_COMPARABLE
    assert verdicts(weights)["regions"] is DriftVerdict.NOT_COMPARABLE
    assert verdicts(bank)["regions"] is DriftVerdict.STABLE


def test_only_a_baseline_that_was_kept_shows_a_slow_change_and_the_report_says_so() -> None:
    assert any("slow change" in remark for remark in compare(snapshot(0), snapshot(1), baseline_kept=False).remarks)
    assert compare(snapshot(0), snapshot(1), baseline_kept=True).remarks == ()

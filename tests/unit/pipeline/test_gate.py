"""The gate lets a better candidate through and no worse one, and says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from gate_kit import CAMERAS, NEW_TYPE, TYPES, Line, evidence, rescored
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.domain.errors import BadInputError
from inspector.domain.gate import GateDecision
from inspector.domain.records import from_json, to_json
from inspector.pipeline.gate import FrameEvidence, GateEvidence, GateLimits, decide

LIMITS = GateLimits(resamples=1000)

Worse = Callable[[list[FrameEvidence]], list[FrameEvidence]]


def noisy(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    random = np.random.default_rng(5)
    return rescored(frames, lambda f: f.candidate_score + random.normal(0, 0.3))


def upside_down(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    return rescored(frames, lambda f: 1 - f.candidate_score)


def alarming(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    return rescored(frames, lambda f: f.candidate_score + 0.2)


def silent(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    return rescored(frames, lambda f: f.candidate_score - 0.5)


def forgetful(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    return rescored(frames, lambda f: 0.3 if f.defect_type == "hole" else f.candidate_score)


def names_nothing_right(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    wrong = {name: TYPES[(i + 1) % len(TYPES)] for i, name in enumerate(TYPES)}
    return [replace(f, candidate_type=wrong.get(f.candidate_type or "", f.candidate_type)) for f in frames]


def memorises(frames: list[FrameEvidence]) -> list[FrameEvidence]:
    """Every correction is followed, and the rest is paid for it."""
    random = np.random.default_rng(6)
    return rescored(frames, lambda f: f.candidate_score if f.corrected else f.candidate_score + random.normal(0, 0.15))


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        (noisy, "worse on the frozen set"),
        (upside_down, "not better beyond chance"),
        (alarming, "false alarms on 200 frozen normal frames"),
        (silent, "anomalous frames of camera 'cam1' are judged worse"),
        (forgetful, "frames with 'hole' are judged worse"),
        (names_nothing_right, "frames with 'scratch' are judged worse"),
        (memorises, "worse on the frozen set"),
    ],
)
def test_a_candidate_made_worse_on_purpose_is_refused(worse: Worse, reason: str) -> None:
    refused = sum(not decide(evidence(worse(Line().frames(seed))), LIMITS, 0).accepted for seed in range(2))
    assert refused == 2
    assert any(reason in said for said in decide(evidence(worse(Line().frames(0))), LIMITS, 0).reasons)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"finite": False}, "not all finite numbers"),
        ({"golden_ok": False}, "golden batch"),
        ({"candidate_latency_ratio": 1.5}, "1.50 times as long"),
        ({"candidate_latency_ratio": float("nan")}, "was not measured"),
        ({"candidate_latency_ratio": None}, "was not measured"),
        ({"candidate_version": "a" * 64}, "is the current version"),
    ],
)
def test_a_better_candidate_that_is_unsound_is_refused(broken: dict[str, object], reason: str) -> None:
    decision = decide(evidence(Line().frames(0), **broken), LIMITS, 0)
    assert len(decision.reasons) == 1
    assert reason in decision.reasons[0]


def test_scores_that_are_no_numbers_are_refused_and_the_decision_can_still_be_written_down() -> None:
    frames = Line().frames(0)
    frames[7] = replace(frames[7], candidate_score=float("nan"))
    decision = decide(evidence(frames, candidate_latency_ratio=float("inf")), LIMITS, 0)
    assert any("no finite number on 1 frames, 'frozen-7'" in reason for reason in decision.reasons)
    assert from_json(GateDecision, to_json(decision)) == decision
    kept = from_json(GateEvidence, to_json(evidence(frames)))  # as a trainer that is stopped here keeps it
    assert decide(kept, LIMITS, 0).reasons == decide(evidence(frames), LIMITS, 0).reasons


def test_good_on_average_and_bad_for_one_camera_is_refused_for_that_camera() -> None:
    def score(frame: FrameEvidence) -> float:
        spoilt = frame.camera_id == "cam3" and frame.anomalous and not frame.corrected
        return frame.candidate_score - 0.1 if spoilt else frame.candidate_score

    # So much better elsewhere that the mean hides it.
    better = [
        replace(f, current_alarm=False, current_type=None) if f.camera_id == "cam1" and f.anomalous else f
        for f in Line().frames(3)
    ]
    decision = decide(evidence(rescored(better, score)), LIMITS, 0)
    assert decision.gain is not None
    assert decision.gain.low > 0.05
    assert decision.frozen_gain is not None
    assert decision.frozen_gain.low > 0
    assert not decision.accepted
    assert any("anomalous frames of camera 'cam3' are judged worse" in reason for reason in decision.reasons)
    assert not any(camera in reason for camera in ("cam1", "cam2", "cam4") for reason in decision.reasons)


def test_false_alarms_of_one_camera_alone_are_refused_although_the_line_is_within_target() -> None:
    few = iter(range(5))
    frames = rescored(
        Line(frozen_normal=200).frames(1),
        lambda f: (
            0.9 if f.camera_id == "cam2" and not f.anomalous and next(few, None) is not None else f.candidate_score
        ),
    )
    limits = replace(LIMITS, group_margin=0.02)
    decision = decide(evidence(frames), limits, 0)
    assert decision.false_alarms is not None
    assert decision.false_alarms.candidate_upper < limits.false_alarm_target
    assert any("normal frames of camera 'cam2' are judged worse" in reason for reason in decision.reasons)


@pytest.mark.parametrize("trials", [12, pytest.param(200, marks=pytest.mark.long)])
def test_a_truly_better_candidate_is_accepted_and_one_that_is_no_better_is_not(trials: int) -> None:
    def no_better(frame: FrameEvidence) -> float:
        return frame.current_score + random.normal(0, 0.05)

    accepted = equal = 0
    for seed in range(trials):
        frames, random = Line(50, 60).frames(seed), np.random.default_rng(seed + 10_000)
        accepted += decide(evidence(frames), LIMITS, seed).accepted
        equal += decide(evidence(rescored(frames, no_better)), LIMITS, seed).accepted
    print(f"of {trials}: {accepted} better ones accepted, {equal} that are no better")
    assert accepted >= 0.85 * trials
    assert equal <= 0.025 * trials


def test_a_handful_of_changed_verdicts_is_chance_whatever_the_bootstrap_says() -> None:
    frames = Line(corrected=5).frames(0, changes=0)
    decision = decide(evidence(frames), replace(LIMITS, trusted_persons=("anna", "ben", "chloe")), 0)
    assert decision.gain is not None
    assert decision.gain.low > 0  # four or five to none: of all draws, too few leave them all out
    assert decision.reasons == ("only 5 frames are judged better than before: below 6 may be chance",)


def test_what_is_too_small_to_be_judged_is_said_and_only_held_against_a_candidate_beyond_chance() -> None:
    frames = Line().frames(0)
    rare = [
        replace(frames[-1], frame_id=f"rare-{i}", camera_id="cam9", defect_type="crack", corrected=False, persons=(),
                current_alarm=True, current_type="crack", candidate_type="crack", trained_on=False)
        for i in range(8)
    ]  # fmt: skip

    def with_lost(count: int) -> GateDecision:
        lost = [replace(f, candidate_alarm=i >= count) for i, f in enumerate(rare)]
        return decide(evidence([*frames, *lost]), LIMITS, 0)

    assert with_lost(1).accepted
    assert any("anomalous frames of camera 'cam9': 8 are too few" in remark for remark in with_lost(1).remarks)
    assert not with_lost(6).accepted
    assert any("frames with 'crack' are judged worse" in reason for reason in with_lost(6).reasons)


@pytest.mark.parametrize(("left_out", "kind"), [(True, "anomalous"), (False, "normal")])
def test_a_frozen_set_of_one_kind_shows_nothing(left_out: bool, kind: str) -> None:
    frames = [f for f in Line().frames(0) if f.corrected or f.anomalous != left_out]
    reasons = decide(evidence(frames), LIMITS, 0).reasons
    assert any(f"the frozen set holds no {kind} frame" in reason for reason in reasons)


def test_no_evidence_is_a_refusal_and_no_crash() -> None:
    decision = decide(evidence([]), LIMITS, 0)
    assert not decision.accepted
    assert decision.gain is None
    assert from_json(GateDecision, to_json(decision)) == decision


def test_too_few_normal_frames_to_show_the_false_alarm_target_says_how_many_it_takes() -> None:
    decision = decide(evidence(Line(frozen_normal=10).frames(0)), LIMITS, 0)
    assert any("without any, 59 frames would show it" in reason for reason in decision.reasons)


def test_a_frame_that_counts_twice_and_a_frozen_one_that_was_trained_on_are_refused_as_input() -> None:
    frames = Line().frames(0)
    with pytest.raises(BadInputError, match="2 times 'frozen-0'"):
        decide(evidence([*frames, frames[0]]), LIMITS, 0)
    with pytest.raises(BadInputError, match="frozen-1"):
        decide(evidence([frames[0], replace(frames[1], trained_on=True)]), LIMITS, 0)


def test_a_wrong_name_counts_as_half_a_miss_and_no_name_is_wrong_where_none_is_known() -> None:
    named = decide(evidence(names_nothing_right(Line().frames(0))), LIMITS, 0)
    types = {group.name: group for group in named.groups if group.kind == "type"}
    assert types["scratch"].candidate_error > 0.4
    assert types[NEW_TYPE].candidate_error < types[NEW_TYPE].current_error
    unknown = [replace(f, defect_type=None) for f in names_nothing_right(Line().frames(0))]
    assert decide(evidence(unknown), LIMITS, 0).accepted


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_neither_order_nor_names_nor_the_scale_of_scores_changes_a_decision(random: object, seed: int) -> None:
    frames = Line(frozen_normal=20, frozen_anomalous=12, corrected=12).frames(seed)
    other = list(frames)
    random.shuffle(other)  # type: ignore[attr-defined]  # hypothesis types its randoms as object
    names = dict(zip(CAMERAS, ("z", "y", "x", "w"), strict=True))
    other = [
        replace(f, camera_id=names[f.camera_id], frame_id=f"other-{f.frame_id}", candidate_score=f.candidate_score**3)
        for f in other
    ]
    one, two = decide(evidence(frames), LIMITS, 7), decide(evidence(other), LIMITS, 7)
    assert one.gain == two.gain
    assert one.frozen_gain == two.frozen_gain
    assert one.accepted == two.accepted
    assert len(one.reasons) == len(two.reasons)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_what_one_gains_the_other_loses(seed: int) -> None:
    frames = Line(frozen_normal=30, frozen_anomalous=20, corrected=10).frames(seed, changes=0.1)
    swapped = [
        replace(
            f,
            current_alarm=f.candidate_alarm,
            candidate_alarm=f.current_alarm,
            current_type=f.candidate_type,
            candidate_type=f.current_type,
        )
        for f in frames
    ]
    one, two = decide(evidence(frames), LIMITS, 1), decide(evidence(swapped), LIMITS, 1)
    assert one.gain is not None
    assert two.gain is not None
    assert one.gain.value == pytest.approx(-two.gain.value)
    assert one.gain.low == pytest.approx(-two.gain.high, abs=0.01)
    assert one.gain.improved == two.gain.worsened
    assert not (one.accepted and two.accepted)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 200))
def test_no_verdict_made_worse_opens_the_gate(seed: int, place: int) -> None:
    frames = Line(frozen_normal=50, frozen_anomalous=12, corrected=12).frames(seed)
    chosen = place % len(frames)
    worse = [
        replace(f, candidate_alarm=not f.anomalous, candidate_type=None) if i == chosen else f
        for i, f in enumerate(frames)
    ]
    if not decide(evidence(frames), LIMITS, 2).accepted:
        assert not decide(evidence(worse), LIMITS, 2).accepted


@pytest.mark.parametrize("lost", [2, 4])
def test_two_of_a_few_lost_and_none_gained_are_refused_as_is_a_camera_lost_whole(lost: int) -> None:
    frames = Line().frames(0)
    few = [
        replace(frames[-1], frame_id=f"few-{i}", camera_id="cam9", defect_type=None, corrected=False, persons=(),
                current_alarm=True, candidate_alarm=i >= lost, trained_on=False)
        for i in range(4)
    ]  # fmt: skip
    decision = decide(evidence([*frames, *few]), LIMITS, 0)
    assert any("anomalous frames of camera 'cam9' are judged worse" in reason for reason in decision.reasons)


def test_a_candidate_that_failed_or_that_would_take_a_camera_s_thresholds_away_is_refused() -> None:
    failed = decide(evidence(Line().frames(0), failure="after 8 frames: RuntimeError: no"), LIMITS, 0)
    assert failed.reasons == ("the candidate fails: after 8 frames: RuntimeError: no",)
    assert decide(evidence(Line().frames(0), lost=("camera cam9 would have none",)), LIMITS, 0).reasons == (
        "camera cam9 would have none",
    )


DOUBTFUL = Line(50, 60, 40, doubtful=50, missed=0.1, selected=True)


@pytest.mark.parametrize("trials", [8, pytest.param(200, marks=pytest.mark.long)])
def test_missed_defects_among_the_good_frames_keep_no_better_candidate_back_and_let_no_worse_one_through(
    trials: int,
) -> None:
    """As on a line where a new type has been about for a while: a tenth of the later good frames show it."""

    def no_better(frame: FrameEvidence) -> float:
        return frame.current_score + random.normal(0, 0.05)

    better = worse = equal = 0
    for seed in range(trials):
        frames, random = DOUBTFUL.frames(seed), np.random.default_rng(seed + 10_000)
        better += decide(evidence(frames), LIMITS, seed).accepted
        worse += any(decide(evidence(spoil(frames)), LIMITS, seed).accepted for spoil in (noisy, alarming, memorises))
        equal += decide(evidence(rescored(frames, no_better)), LIMITS, seed).accepted
    print(f"of {trials}: {better} better ones accepted, {worse} worse ones, {equal} that are no better")
    assert better >= 0.85 * trials
    assert worse == 0
    assert equal <= 0.025 * trials


def test_frames_in_doubt_on_which_only_the_candidate_alarms_are_named_to_be_looked_at() -> None:
    frames = DOUBTFUL.frames(0)
    decision = decide(evidence(frames), LIMITS, 0)
    alone = {f.frame_id for f in frames if not f.anomalous and f.candidate_alarm and not f.current_alarm}
    assert decision.accepted
    assert (decision.doubtful, decision.without_doubtful) == (200, True)
    assert set(decision.to_look_at) == alone
    assert decision.to_look_at[0].startswith("doubtful-")
    assert from_json(GateDecision, to_json(decision)) == decision


def test_who_passes_with_the_frames_in_doubt_is_judged_by_all() -> None:
    decision = decide(evidence(replace(DOUBTFUL, missed=0.0).frames(0)), LIMITS, 0)
    assert decision.accepted
    assert not decision.without_doubtful
    assert decision.false_alarms is not None
    assert decision.false_alarms.normal_frames == 400


def test_alarms_on_many_frames_in_doubt_are_for_a_person_to_look_at_first() -> None:
    frames = rescored(DOUBTFUL.frames(0), lambda f: f.candidate_score + (0.25 if f.in_doubt else 0))
    (reason,) = decide(evidence(frames), LIMITS, 0).reasons
    assert "good frames in doubt" in reason
    assert "look at them" in reason


def test_too_few_frames_without_doubt_open_no_second_look() -> None:
    decision = decide(evidence(replace(DOUBTFUL, frozen_normal=14).frames(0)), LIMITS, 0)
    assert not decision.accepted
    assert not decision.without_doubtful
    assert decision.to_look_at

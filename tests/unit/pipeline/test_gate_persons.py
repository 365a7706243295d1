"""One person who flips labels gets no weights through, whoever checks them, and honest people are not blamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from gate_kit import NEW_TYPE, Line, evidence
from scipy import stats

from inspector.domain.gate import GateLimits
from inspector.pipeline.exact_tests import binomial_tail, fisher_tail, rate_upper_bound, trials_needed
from inspector.pipeline.gate import FrameEvidence, PersonVerdict, decide, suspects
from inspector.pipeline.gate_persons import judge_persons

LIMITS = GateLimits(resamples=1000)
TRIALS = 40


def flipping(
    person: str, share: float, frames: Sequence[str], seed: int, anomalous: bool = True
) -> list[PersonVerdict]:
    """Return what a person says of frames that all are ``anomalous``, wrong on a share of them."""
    random = np.random.default_rng(seed)
    return [PersonVerdict(person, f, anomalous != bool(random.random() < share)) for f in frames]


def of_one(frames: Sequence[FrameEvidence], person: str, flips: float, follows: bool, seed: int) -> list[FrameEvidence]:
    """Let the first person's corrections be another's, some of them false; ``follows``: the candidate learnt those."""
    random = np.random.default_rng(seed)
    found = []
    for frame in frames:
        if frame.persons != ("anna",):
            found.append(frame)
            continue
        mine = replace(frame, persons=(person,))
        if random.random() < flips:  # a defect that nobody but this person takes for a false alarm
            alarm = not follows
            mine = replace(
                mine, anomalous=False, defect_type=None, current_alarm=True, candidate_alarm=alarm,
                candidate_type=NEW_TYPE if alarm else None,
            )  # fmt: skip
        found.append(mine)
    return found


def test_flips_on_frames_of_known_truth_are_found_out() -> None:
    """40 frames in common with the frozen set."""
    frames = Line().frames(0)
    known = [f.frame_id for f in frames if not f.corrected and f.anomalous][:40]
    caught = blamed = 0
    for seed in range(TRIALS):
        verdicts = [*flipping("mallory", 0.3, known, seed), *flipping("anna", 0.02, known, seed + 1000)]
        named = [figure.person for figure in suspects(evidence(frames, verdicts=verdicts), LIMITS)]
        caught += "mallory" in named
        blamed += "anna" in named
    assert caught >= 0.7 * TRIALS  # the test's own power, about .8; whoever slips through is not vouched for either
    assert blamed == 0


def test_flips_are_found_out_by_other_people_and_those_are_not_blamed() -> None:
    shared = [f"frame-{i}" for i in range(60)]
    for seed in range(20):
        verdicts = [
            *flipping("mallory", 0.35, shared, seed),
            *flipping("anna", 0.02, shared[:40], seed + 100),
            *flipping("ben", 0.02, shared[20:], seed + 200),
        ]
        named = {figure.person: figure.set_aside for figure in judge_persons(verdicts, {}, LIMITS)}
        assert named == {"anna": False, "ben": False, "mallory": True}


def test_two_who_differ_with_nobody_to_tell_who_is_right_are_both_set_aside() -> None:
    shared = [f"frame-{i}" for i in range(40)]
    verdicts = [*flipping("mallory", 0.4, shared, 0), *flipping("anna", 0, shared, 1)]
    assert all(figure.set_aside for figure in judge_persons(verdicts, {}, LIMITS))
    truth = dict.fromkeys(shared[:30], (True, None))
    assert {f.person: f.set_aside for f in judge_persons(verdicts, truth, LIMITS)} == {"anna": False, "mallory": True}


def test_of_many_people_one_who_is_unlucky_is_not_named_for_it() -> None:
    """Five of thirteen: a chance of 0.65 % for one honest person, and of one in fifty for any of three."""
    truth = dict.fromkeys((f"frame-{i}" for i in range(13)), (True, None))

    def said(person: str, wrong: int) -> list[PersonVerdict]:
        return [PersonVerdict(person, frame_id, i >= wrong) for i, frame_id in enumerate(truth)]

    (alone,) = judge_persons(said("anna", 5), truth, LIMITS)
    among = judge_persons([*said("anna", 5), *said("ben", 0), *said("chloe", 0)], truth, LIMITS)
    assert alone.set_aside
    assert not any(figure.set_aside for figure in among)


def test_types_differ_only_where_both_are_known_and_case_is_no_difference() -> None:
    truth = {"a": (True, "scratch"), "b": (True, "scratch"), "c": (True, "scratch"), "d": (False, None)}
    said = [("a", True, "Scratch"), ("b", True, "dent"), ("c", True, None), ("d", False, None)]
    (figure,) = judge_persons([PersonVerdict("anna", *each) for each in said], truth, LIMITS)
    assert (figure.checked, figure.disagreed) == (4, 1)


def test_weights_trained_on_a_flippers_corrections_are_refused_by_name() -> None:
    frames = of_one(Line(corrected=60).frames(0), "mallory", 0.3, follows=True, seed=0)
    known = [f.frame_id for f in frames if not f.corrected and f.anomalous][:40]
    decision = decide(evidence(frames, verdicts=flipping("mallory", 0.3, known, 3)), LIMITS, 0)
    assert decision.set_aside == ("mallory",)
    assert any(said.startswith("'mallory' is set aside") and "train anew" in said for said in decision.reasons)


def test_once_their_corrections_are_left_out_being_set_aside_is_a_remark() -> None:
    frames = Line().frames(0)
    known = [f.frame_id for f in frames if not f.corrected and f.anomalous][:40]
    decision = decide(evidence(frames, verdicts=flipping("mallory", 0.5, known, 3)), LIMITS, 0)
    assert decision.accepted
    assert any(said.startswith("'mallory' is set aside") for said in decision.remarks)


@pytest.mark.parametrize("seed", range(2))
def test_a_gain_that_hangs_on_one_unchecked_person_is_refused_whether_flips_were_learnt_or_not(seed: int) -> None:
    """Nobody else judged these frames, and no frame of the frozen set: 40 corrections of one person."""
    frames = [replace(f, persons=("anna",)) if f.corrected else f for f in Line().frames(seed)]
    for follows in (True, False):
        poisoned = of_one(frames, "mallory", 0.3, follows=follows, seed=seed)
        decision = decide(evidence(poisoned), LIMITS, 0)
        assert not decision.accepted
        if decision.gain is not None and decision.gain.low > 0:
            assert any("the gain hangs on 'mallory'" in said for said in decision.reasons)


def test_flips_that_were_not_learnt_stand_out_against_other_peoples_corrections() -> None:
    """Nobody judged a frame twice, so nothing but the candidate contradicts them."""
    limits, caught = replace(LIMITS, unchecked_corrections=1000), 0
    for seed in range(8):
        frames = of_one(Line(corrected=120).frames(seed), "mallory", 0.3, follows=False, seed=seed)
        reasons = decide(evidence(frames), limits, 0).reasons
        assert not any("'ben'" in said or "'chloe'" in said for said in reasons)
        caught += any("'mallory' is contradicted by the candidate" in said for said in reasons)
    assert caught >= 3


@pytest.mark.parametrize("seed", range(2))
def test_flips_that_were_learnt_by_heart_among_honest_peoples_corrections_are_refused(seed: int) -> None:
    """The gain would hold without them, and nobody else judged those frames: an unchecked word has a bound."""
    honest = [
        replace(f, persons=("ben", "chloe")) if f.persons in (("ben",), ("chloe",)) else f
        for f in Line(corrected=90).frames(seed)
    ]
    decision = decide(evidence(of_one(honest, "mallory", 0.3, follows=True, seed=seed)), LIMITS, 0)
    assert any(said.startswith("30 corrections hang on 'mallory' alone, at most 20 may") for said in decision.reasons)
    assert not any("'ben'" in said or "'chloe'" in said for said in decision.reasons)


def test_one_person_is_enough_once_others_agreed_with_them_or_the_settings_trust_them() -> None:
    frames = [replace(f, persons=("anna",)) if f.corrected else f for f in Line().frames(0)]
    assert any("the gain hangs on 'anna'" in said for said in decide(evidence(frames), LIMITS, 0).reasons)
    trusting = replace(LIMITS, trusted_persons=("anna",))
    assert decide(evidence(frames), trusting, 0).accepted
    seconded = [PersonVerdict("ben", f.frame_id, True, NEW_TYPE) for f in frames if f.corrected][:9]
    assert decide(evidence(frames, verdicts=seconded), LIMITS, 0).accepted
    assert not decide(evidence(frames, verdicts=seconded[:8]), LIMITS, 0).accepted


def test_two_corrections_of_somebody_else_do_not_carry_what_hangs_on_one() -> None:
    """Both are judged better, and the bootstrap has no spread; with the frozen set's noise they are no gain."""
    frames = Line(corrected=20).frames(1)
    frames = [
        replace(f, persons=("ben",) if f.frame_id in ("corrected-0", "corrected-5") else ("mallory",))
        if f.corrected
        else f
        for f in frames
    ]
    reasons = decide(evidence(frames), LIMITS, 0).reasons
    assert any("the gain hangs on 'mallory'" in said for said in reasons)
    assert not any("'ben'" in said for said in reasons)


def test_trust_is_no_shield_against_being_found_out() -> None:
    frames = [replace(f, persons=("anna",)) if f.corrected else f for f in Line().frames(0)]
    known = [f.frame_id for f in frames if not f.corrected and f.anomalous][:40]
    trusting = replace(LIMITS, trusted_persons=("anna",))
    decision = decide(evidence(frames, verdicts=flipping("anna", 0.4, known, 0)), trusting, 0)
    assert decision.set_aside == ("anna",)
    assert not decision.accepted


def test_saying_that_the_service_was_right_is_no_correction_that_hangs_on_somebody() -> None:
    frames = Line(corrected=12).frames(0)
    confirmed = [
        replace(f, frame_id=f"right-{i}", persons=("anna",), corrected=True, confirmed=True, candidate_alarm=i > 2)
        for i, f in enumerate(f for f in Line().frames(0) if not f.corrected and f.anomalous and f.current_alarm)
    ]
    figures = {figure.person: figure for figure in decide(evidence([*frames, *confirmed]), LIMITS, 0).persons}
    alone = sum(f.persons == ("anna",) for f in frames)
    assert (figures["anna"].corrected, figures["anna"].contradicted) == (alone, 0)


def test_nobody_is_blamed_for_seeing_a_defect_on_a_frame_in_doubt() -> None:
    frames = Line(corrected=12, doubtful=10).frames(0)
    said = [PersonVerdict("anna", f.frame_id, True, NEW_TYPE) for f in frames if f.in_doubt]
    assert not suspects(evidence(frames, verdicts=said), LIMITS)
    certain = [replace(f, in_doubt=False) for f in frames]
    assert [figure.person for figure in suspects(evidence(certain, verdicts=said), LIMITS)] == ["anna"]


def test_a_trusted_name_counts_however_it_is_written() -> None:
    frames = [replace(f, persons=("anna",)) if f.corrected else f for f in Line().frames(0)]
    assert decide(evidence(frames), replace(LIMITS, trusted_persons=("Anna",)), 0).accepted


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (0, 59), (3, 10), (30, 200), (9, 9), (600, 5000)])
def test_bounds_and_tails_are_those_of_a_library(successes: int, trials: int) -> None:
    upper = rate_upper_bound(successes, trials, 0.95)
    assert upper == pytest.approx(stats.beta.ppf(0.95, successes + 1, trials - successes) if successes < trials else 1)
    for rate in (0.0, 0.1, 0.5, 1.0):
        expected = stats.binom.sf(successes - 1, trials, rate)
        assert binomial_tail(successes, trials, rate) == pytest.approx(expected, rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("table", [(6, 20, 1, 40), (0, 5, 3, 9), (5, 5, 0, 7), (18, 60, 3, 60)])
def test_the_test_of_two_rates_is_that_of_a_library(table: tuple[int, int, int, int]) -> None:
    a, n, b, m = table
    expected = stats.fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue
    assert fisher_tail(a, n, b, m) == pytest.approx(expected)


def test_as_many_trials_as_said_reach_a_bound_and_one_less_does_not() -> None:
    needed = trials_needed(0.05, 0.95)
    assert rate_upper_bound(0, needed, 0.95) <= 0.05 < rate_upper_bound(0, needed - 1, 0.95)

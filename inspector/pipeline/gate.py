"""Whether a candidate's weights may be published: only if better beyond chance, and worse nowhere that matters.

Every rule looks on its own, and a refusal names all that were broken. What each of them is for, what it cannot see and
how the numbers were chosen: deploy/decisions/0018.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from inspector.domain.errors import BadInputError
from inspector.domain.gate import FalseAlarmFigure, GainFigure, GateDecision, GateLimits, GroupFigure, PersonFigure
from inspector.pipeline.exact_tests import trials_needed
from inspector.pipeline.gate_doubt import doubtful, to_look_at, too_many_alarms, without_doubtful
from inspector.pipeline.gate_evidence import FrameEvidence, GateEvidence, PersonVerdict
from inspector.pipeline.gate_measures import Losses
from inspector.pipeline.gate_persons import all_verdicts, judge_persons, known_truth, vouched_for, with_contradictions

__all__ = ["FrameEvidence", "GateDecision", "GateEvidence", "GateLimits", "PersonVerdict", "decide", "suspects"]


def suspects(evidence: GateEvidence, limits: GateLimits) -> tuple[PersonFigure, ...]:
    """Return whoever's verdicts should be left out of a training, known before it: see ``gate_persons.judge_persons``.

    Only ``frames`` (their truth and persons) and ``verdicts`` of the evidence are looked at.
    """
    verdicts = all_verdicts(evidence.frames, evidence.verdicts)
    return tuple(f for f in judge_persons(verdicts, known_truth(evidence.frames), limits) if f.set_aside)


def decide(evidence: GateEvidence, limits: GateLimits, seed: int) -> GateDecision:
    """Judge a candidate; every reason against it is named. The same evidence and seed give the same decision.

    Raises:
        BadInputError: a frame is there twice, or a frozen frame was trained on.
    """
    _check(evidence.frames)
    measured = _measure(evidence.frames, evidence.verdicts, limits, seed)
    worse = tuple(_worse(measured, limits))
    certain = without_doubtful(evidence.frames, limits) if worse else None
    if certain is not None:  # the frames in doubt can only have spoken against it
        measured = _measure(certain, evidence.verdicts, limits, seed)
        worse = (*_worse(measured, limits), *too_many_alarms(evidence.frames, limits))
    reasons = (*_unsound(evidence, limits), *_unmeasured(evidence.frames), *worse)
    doubts, remarks = tuple(_doubts(measured, limits)), tuple(_remarks(measured, limits))
    errors = measured.errors or (None, None)
    ratio = evidence.candidate_latency_ratio
    return GateDecision(
        accepted=not reasons and not doubts,
        reasons=(*reasons, *doubts),
        current_version=evidence.current_version,
        candidate_version=evidence.candidate_version,
        limits=limits,
        seed=seed,
        remarks=remarks,
        current_error=errors[0],
        candidate_error=errors[1],
        gain=measured.gain,
        frozen_gain=measured.frozen_gain,
        corrected_gain=measured.corrected_gain,
        groups=measured.groups,
        false_alarms=measured.false_alarms,
        latency_ratio=ratio if _is_number(ratio) else None,
        persons=tuple(figure for figure, _ in measured.persons),
        set_aside=tuple(figure.person for figure, _ in measured.persons if figure.set_aside),
        doubtful=len(doubtful(evidence.frames)),
        without_doubtful=certain is not None,
        to_look_at=to_look_at(evidence.frames),
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """All figures; ``persons`` each with the chance of being contradicted so often, see ``with_contradictions``.

    ``relied_on``: people who are set aside and on whose word the truth of corrected frames hangs all the same.
    """

    errors: tuple[float, float] | None
    gain: GainFigure | None
    frozen_gain: GainFigure | None
    corrected_gain: GainFigure | None
    groups: tuple[GroupFigure, ...]
    false_alarms: FalseAlarmFigure | None
    persons: tuple[tuple[PersonFigure, float], ...]
    relied_on: frozenset[str]


def _check(frames: Sequence[FrameEvidence]) -> None:
    frame_id, count = next(iter(Counter(f.frame_id for f in frames).most_common(1)), ("", 0))
    if count > 1:
        raise BadInputError("each frame once in the gate's evidence", f"{count} times {frame_id!r}", "count it once")
    seen = next((f.frame_id for f in frames if f.trained_on and not f.corrected), None)
    if seen is not None:
        raise BadInputError(
            "a frozen set that was not trained on", f"{seen!r}, which was", "leave frozen frames out of the training"
        )


def _measure(
    frames: Sequence[FrameEvidence], verdicts: Sequence[PersonVerdict], limits: GateLimits, seed: int
) -> _Measured:
    losses = Losses(frames, limits)
    frozen = losses.where(lambda f: not f.corrected)
    gain = losses.gain(seed)
    judged = judge_persons(all_verdicts(frames, verdicts), known_truth(frames), limits)
    persons = tuple(
        (_with_gains_without(figure, losses, seed), chance) for figure, chance in with_contradictions(judged, frames)
    )
    return _Measured(
        errors=losses.balanced_errors() if frames else None,
        gain=gain,
        frozen_gain=frozen.gain(seed),
        corrected_gain=losses.where(lambda f: f.corrected).gain(seed),
        groups=losses.groups(),
        false_alarms=frozen.false_alarms(),
        persons=persons,
        relied_on=_relied_on(frames, {figure.person for figure, _ in persons if figure.set_aside}),
    )


def _relied_on(frames: Sequence[FrameEvidence], set_aside: Collection[str]) -> frozenset[str]:
    """Return those of ``set_aside`` behind corrected frames for which nobody else stands."""
    unsupported = (frame for frame in frames if frame.corrected and set(frame.persons) <= set(set_aside))
    return frozenset(person for frame in unsupported for person in frame.persons)


def _with_gains_without(figure: PersonFigure, losses: Losses, seed: int) -> PersonFigure:
    if not figure.corrected:
        return figure
    rest = losses.where(lambda f: f.persons != (figure.person,))
    corrected = rest.where(lambda f: f.corrected)
    return replace(figure, gain_without=rest.gain(seed), corrected_gain_without=corrected.gain(seed))


def _unsound(evidence: GateEvidence, limits: GateLimits) -> Iterator[str]:
    """Yield what is wrong with the candidate whatever it says of frames."""
    if evidence.candidate_version == evidence.current_version:
        yield f"the candidate is the current version, {evidence.current_version[:12]}"
    if not evidence.finite:
        yield "the candidate's outputs are not all finite numbers"
    broken = [f.frame_id for f in evidence.frames if not _is_number(f.candidate_score)]
    if broken:
        yield f"the candidate's score is no finite number on {len(broken)} frames, {broken[0]!r} among them"
    if not evidence.golden_ok:
        yield "the candidate fails the golden batch"
    if evidence.failure:
        yield f"the candidate fails: {evidence.failure}"
    yield from evidence.lost
    ratio = evidence.candidate_latency_ratio
    if not _is_number(ratio):
        yield "how long the candidate takes was not measured"
    elif not 0 < ratio <= limits.latency_ratio:
        yield f"a frame takes {ratio:.2f} times as long as with the current weights, at most {limits.latency_ratio:g}"


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _unmeasured(frames: Sequence[FrameEvidence]) -> Iterator[str]:
    for anomalous, word in ((True, "anomalous"), (False, "normal")):
        if not any(f.anomalous == anomalous for f in frames if not f.corrected):
            yield f"the frozen set holds no {word} frame, so nothing can be said of how the candidate judges those"


def _worse(measured: _Measured, limits: GateLimits) -> Iterator[str]:
    gain, frozen, corrected = measured.gain, measured.frozen_gain, measured.corrected_gain
    if gain is not None and gain.low <= 0:
        yield f"not better beyond chance on all frames: gain {_text(gain)} must lie above 0"
    if gain is not None and gain.improved < limits.least_improved:
        yield f"only {gain.improved} frames are judged better than before: below {limits.least_improved} may be chance"
    if frozen is not None and (frozen.low <= -limits.frozen_margin or frozen.high < 0):
        yield f"worse on the frozen set: gain {_text(frozen)} must lie above {-limits.frozen_margin:+g} and reach 0"
    if corrected is not None and corrected.high < 0:
        yield f"worse on the corrected frames: gain {_text(corrected)}"
    yield from (_fall(group) for group in measured.groups if group.fell)
    alarms = measured.false_alarms
    if alarms is not None and alarms.candidate_upper > limits.false_alarm_target:
        needed = trials_needed(limits.false_alarm_target, limits.confidence)
        more = f"; without any, {needed} frames would show it" if alarms.normal_frames < needed else ""
        yield (
            f"{alarms.candidate} false alarms on {alarms.normal_frames} frozen normal frames, {alarms.current} before: "
            f"a rate of up to {alarms.candidate_upper:.1%}, at most {limits.false_alarm_target:.1%}{more}"
        )


def _doubts(measured: _Measured, limits: GateLimits) -> Iterator[str]:
    """Yield whose word keeps the candidate from being believed."""
    gained = measured.gain is not None and measured.gain.low > 0
    for figure, chance in measured.persons:
        if figure.person in measured.relied_on:
            yield f"{_set_aside(figure)}; it was trained on corrections of theirs: train anew without them"
        if figure.set_aside or vouched_for(figure, limits):
            continue
        if chance <= limits.person_significance:
            yield (
                f"{figure.person!r} is contradicted by the candidate on {figure.contradicted} of {figure.corrected} "
                f"corrected frames, more than others are (chance {chance:.2g}): have somebody else judge them too"
            )
        if figure.corrected > limits.unchecked_corrections:
            yield (
                f"{figure.corrected} corrections hang on {figure.person!r} alone, at most "
                f"{limits.unchecked_corrections} may of somebody {_unchecked(figure, limits)}"
            )
        if gained and figure.corrected and not _holds_without(figure, limits):
            yield f"the gain hangs on {figure.person!r}, {_unchecked(figure, limits)}"


def _unchecked(figure: PersonFigure, limits: GateLimits) -> str:
    return (
        f"whose error rate may be up to {figure.error_upper:.0%}, as {figure.checked} verdicts could be checked, and "
        f"must be below {limits.person_error_bound:.0%}: have somebody else judge some of the same frames, or name "
        "them in gate.trusted_persons"
    )


def _holds_without(figure: PersonFigure, limits: GateLimits) -> bool:
    """Tell whether there is a gain without one person's corrections: on all other frames, or on other people's.

    The second is asked too, because what a few corrections gain drowns in the noise of a large frozen set.
    """
    whole, others = figure.gain_without, figure.corrected_gain_without
    by_all = whole is not None and whole.low > 0
    return by_all or (others is not None and others.low > 0 and others.improved >= limits.least_improved)


def _remarks(measured: _Measured, limits: GateLimits) -> Iterator[str]:
    for group in measured.groups:
        if group.too_few and not group.fell:
            yield (
                f"{_name(group)}: {group.frames} are too few to say whether they are judged worse by more than "
                f"{limits.group_margin:g} ({limits.group_least_frames} are needed)"
            )
    for figure, _ in measured.persons:
        if figure.set_aside and figure.person not in measured.relied_on:
            yield _set_aside(figure)
        if figure.corrected and not figure.checked:
            yield f"none of the verdicts of {figure.person!r} could be checked"


def _set_aside(figure: PersonFigure) -> str:
    return (
        f"{figure.person!r} is set aside: {figure.disagreed} of {figure.checked} verdicts differ from known truth or "
        f"from other people's (chance {figure.chance:.2g})"
    )


def _fall(group: GroupFigure) -> str:
    return (
        f"{_name(group)} are judged worse: error {group.current_error:.3f} -> {group.candidate_error:.3f} on "
        f"{group.frames}, {group.worsened} worse and {group.improved} better"
    )


def _name(group: GroupFigure) -> str:
    kind = "anomalous" if group.anomalous else "normal"
    if group.kind == "camera":
        return f"{kind} frames of camera {group.name!r}"
    return f"frames with {group.name!r}" if group.kind == "type" else f"{kind} {group.name}"


def _text(gain: GainFigure) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, {gain.frames} frames)"

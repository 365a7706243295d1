"""Whether a version on trial goes on, goes back or stays where it is: what ``inspector weights advance`` goes by.

Inspectors go back by themselves and at once. This is the slower word, of all inspectors' figures and of what people
said, by somebody who may write the topic of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout import Watched, heeding, serves_otherwise
from inspector.pipeline.rollout_guard import GuardLimits, RolloutGuard, difference_interval, wrong_more_often
from inspector.pipeline.rollout_ports import Standing

STANDS_FOR = timedelta(minutes=5)
"""What an inspector has not repeated for so long it says no more: it is gone."""


class Move(StrEnum):
    """What is to be done with a rollout."""

    WAIT = "wait"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class Advice:
    """A move, and why."""

    move: Move
    reason: str


@dataclass(frozen=True, slots=True)
class Needed:
    """Frames compared before a candidate leaves the shadow, and served before it serves all cameras."""

    shadow_frames: int = 500
    canary_frames: int = 500


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of the version on trial.

    ``standings``: of inspectors that are there. ``wrong``: of each version how many of its verdicts people call wrong,
    of how many they spoke of. ``hindrances``: what it lacks to go on, in words, which takes a person.
    """

    standings: Mapping[str, Standing]
    found: Comparison
    wrong: Mapping[str, tuple[int, int]]
    hindrances: tuple[str, ...] = ()


def given_way(rollout: Rollout, vetoes: Mapping[str, str]) -> str | None:
    """Return why inspectors serve otherwise than a rollout says: they have gone back by themselves; None: they do not.

    It holds whether or not anything is on trial any more: a veto of the last minute is as good as any.
    """
    if not serves_otherwise(rollout, heeding(rollout, vetoes.keys())):
        return None
    return "; ".join(
        f"{version[:12]} was vetoed: {vetoes[version]}" for version in rollout.versions if version in vetoes
    )


def living(standings: Mapping[str, Standing], now: datetime, since: datetime | None = None) -> Mapping[str, Standing]:
    """Return the standings of inspectors that are there and, with ``since``, that are of this trial and no earlier."""
    return {
        replica: each
        for replica, each in standings.items()
        if each.said_at is not None and now - each.said_at < STANDS_FOR and (since is None or each.said_at >= since)
    }


def advise(rollout: Rollout, on_trial: Watched | None, seen: Evidence, limits: GuardLimits, needed: Needed) -> Advice:
    """Return what is to be done."""
    if rollout.pinned:
        return Advice(Move.WAIT, f"pinned by {rollout.decided_by}: {rollout.reason}")
    if on_trial is None:
        return Advice(Move.WAIT, "no version is on trial")
    if (why := objection(on_trial, seen, limits)) is not None:
        return Advice(Move.ROLL_BACK, why)
    if rollout.stage is RolloutStage.SHADOW:
        return _enough(seen.found.pairs, needed.shadow_frames, "compared", seen)
    if rollout.stage is RolloutStage.CANARY:
        return _enough(seen.found.served, needed.canary_frames, "served", seen)
    return Advice(Move.WAIT, "it serves all cameras, and is held against the version before it for a while yet")


def objection(on_trial: Watched, seen: Evidence, limits: GuardLimits) -> str | None:
    """Return why a version on trial has to go; None while nothing says so."""
    for replica, standing in seen.standings.items():
        if standing.refused is not None:
            return f"refused by {replica}: {standing.refused}"
    nobody = (0, 0)
    words = seen.wrong.get(on_trial.subject, nobody), seen.wrong.get(on_trial.reference, nobody)
    return wrong_more_often(*words, limits) or _out_of_bounds(seen.found, limits)


def wrong_by_version(feedback: Iterable[Feedback]) -> dict[str, tuple[int, int]]:
    """Return of each version how many of its verdicts were called wrong, of how many people spoke of."""
    counted: dict[str, tuple[int, int]] = {}
    for each in feedback:
        wrong, of = counted.get(each.weights_version, (0, 0))
        counted[each.weights_version] = (wrong + (each.verdict is FeedbackVerdict.WRONG), of + 1)
    return counted


def _out_of_bounds(found: Comparison, limits: GuardLimits) -> str | None:
    """Hold the sums of all inspectors against the bounds that each holds its own against."""
    guard = RolloutGuard(limits)
    guard.saw_frames(found.served + found.pairs + found.failures, found.failures)
    if (why := guard.objection()) is not None or found.pairs < limits.min_pairs:
        return why
    more, less = found.alarms_subject_only, found.alarms_reference_only
    low, high = difference_interval(more, less, found.pairs, limits.z)
    if low <= limits.max_alarm_rise and high >= -limits.max_alarm_fall:
        return None
    return f"of {found.pairs} frames it alone alarms on {more}, and the version before it alone on {less}"


def _enough(frames: int, needed: int, what: str, seen: Evidence) -> Advice:
    waiting = [f"{frames} of {needed} frames {what} so far"] if frames < needed else []
    if seen.found.incomparable > seen.found.pairs:
        waiting.append(
            f"{seen.found.incomparable} frames were scored in another way than by the version before, and only "
            f"{seen.found.pairs} in the same"
        )
    waiting += seen.hindrances
    if waiting:
        return Advice(Move.WAIT, "; ".join(waiting))
    return Advice(Move.PROMOTE, f"{frames} frames {what}, and nothing speaks against it")

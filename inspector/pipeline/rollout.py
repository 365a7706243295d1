"""Which weights version serves which camera, and how a rollout goes on. Pure: time is passed in.

A rollout moves shadow -> canary -> full, and back at any time. Whoever changes it writes the next ``Rollout`` on
``inspection.weights``; inspectors obey it, less what was vetoed since. So does whoever changes it: every change begins
from ``heeding`` what stands there, or a version that was vetoed would come back as the one before the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from inspector.domain.errors import BadInputError
from inspector.domain.release import Rollout, RolloutStage

_PLACES = 2**48


@dataclass(frozen=True, slots=True)
class Decision:
    """Who changes a rollout, why and when; a timezone-aware moment."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A version on trial, and the one it is held against: frames of either are scored by the other too, in part.

    ``since`` tells a trial from an earlier one of the same version: figures of one say nothing in the other.
    """

    subject: str
    reference: str
    since: datetime | None = None


def canary_place(camera_id: str) -> float:
    """Return where a camera stands in 0..1 (1 excluded); those below ``canary_share`` are canaries.

    By the SHA-256 of its id: the same in every process, and a larger share only adds cameras.
    """
    return int.from_bytes(hashlib.sha256(camera_id.encode()).digest()[:6], "big") / _PLACES


def canaries(canary_share: float, camera_ids: Iterable[str]) -> list[str]:
    """Return those of some cameras that are canaries at a share."""
    return [camera_id for camera_id in camera_ids if canary_place(camera_id) < canary_share]


def share_with_a_canary(canary_share: float, camera_ids: Iterable[str]) -> float:
    """Return the share or, where none of these cameras is a canary at it, the smallest at which one is.

    A tenth of five cameras is none, and a canary that serves nobody shows nothing.
    """
    lowest = min(map(canary_place, camera_ids), default=None)
    if lowest is None or lowest < canary_share:
        return canary_share
    return (lowest * _PLACES + 1) / _PLACES


def version_for(rollout: Rollout, camera_id: str) -> str:
    """Return the version whose verdicts count for a camera."""
    on_trial = rollout.candidate_version
    if on_trial is not None and rollout.stage is RolloutStage.CANARY and canary_place(camera_id) < rollout.canary_share:
        return on_trial
    return rollout.stable_version


def heeding(rollout: Rollout, vetoed: Collection[str]) -> Rollout:
    """Return the rollout that holds when some versions are vetoed.

    A vetoed candidate is out; a vetoed stable version gives way to the one before it, where there is one that is not
    vetoed too; nobody goes back to one before that is vetoed. A pinned version was chosen by a person and stays.
    """
    if rollout.pinned:
        return rollout
    previous = rollout.previous_version
    if previous is not None and previous not in vetoed and rollout.stable_version in vetoed:
        # A candidate was made from what is vetoed, and must be offered anew.
        return replace(rollout, **_NO_CANDIDATE, **_NO_PREVIOUS, stable_version=previous)
    if rollout.candidate_version is not None and rollout.candidate_version in vetoed:
        rollout = replace(rollout, **_NO_CANDIDATE)
    if previous is not None and previous in vetoed:
        rollout = replace(rollout, **_NO_PREVIOUS)
    return rollout


def supersedes(record: Rollout, held: Rollout) -> bool:
    """Tell whether a rollout that arrives takes the place of the one that is held.

    Of two that were written at once with the same number the first holds: the second is withdrawn by whoever wrote it,
    as soon as that one has read the first. A smaller number with a later date is of a topic that was made anew.
    """
    if record.revision < held.revision:
        return record.decided_at > held.decided_at
    return record.revision > held.revision


def serves_otherwise(rollout: Rollout, other: Rollout) -> bool:
    """Tell whether two rollouts serve or try different versions."""
    return (rollout.stable_version, rollout.candidate_version) != (other.stable_version, other.candidate_version)


def watched(rollout: Rollout, now: datetime, watch: timedelta) -> Watched | None:
    """Return what is on trial: the candidate or, for a while after it became stable, the stable version.

    A clock that was set back lengthens the while, and never shortens it.
    """
    if rollout.pinned:
        return None
    if rollout.candidate_version is not None:
        return Watched(rollout.candidate_version, rollout.stable_version, rollout.offered_at)
    previous, since = rollout.previous_version, rollout.stable_since
    if previous is not None and since is not None and now - since < watch:
        return Watched(rollout.stable_version, previous, rollout.offered_at or since)
    return None


def wanted_versions(rollout: Rollout) -> tuple[str, ...]:
    """Return the versions to hold ready, at most two: the one that serves, then the candidate or else the one before.

    The one before is ready so that a rollback takes a moment and not a load.
    """
    second = rollout.candidate_version or rollout.previous_version
    return (rollout.stable_version,) if second is None else (rollout.stable_version, second)


def first_rollout(stable_version: str, decision: Decision) -> Rollout:
    """Return the rollout of a line that had none: one version serves all."""
    return Rollout(
        revision=1,
        stable_version=stable_version,
        candidate_version=None,
        stage=RolloutStage.FULL,
        canary_share=0.0,
        pinned=False,
        previous_version=None,
        decided_by=decision.by,
        reason=decision.reason,
        decided_at=decision.at,
    )


def offered(rollout: Rollout, candidate: str, decision: Decision) -> Rollout:
    """Return the rollout with a new candidate in shadow; one that was on trial is out.

    Raises:
        BadInputError: pinned, or the version serves already.
    """
    _refuse_pinned(rollout)
    if candidate == rollout.stable_version:
        raise BadInputError("a version other than the stable one", candidate[:12], "nothing is to be done")
    shadow: dict[str, Any] = {"candidate_version": candidate, "stage": RolloutStage.SHADOW, "canary_share": 0.0}
    return _next(rollout, decision, **shadow, offered_at=decision.at)


def promoted(rollout: Rollout, to: RolloutStage, canary_share: float, decision: Decision) -> Rollout:
    """Return the rollout with its candidate a stage, or both, further on: ``to`` canary or full.

    Raises:
        BadInputError: pinned, no candidate, or ``to`` is not beyond where it is (a canary's share may change).
    """
    _refuse_pinned(rollout)
    candidate = rollout.candidate_version
    if candidate is None:
        raise BadInputError("a candidate on trial", "none", "offer one with `inspector weights promote VERSION`")
    if to is RolloutStage.CANARY:
        return _next(rollout, decision, stage=RolloutStage.CANARY, canary_share=canary_share)
    if to is RolloutStage.FULL:
        stable: dict[str, Any] = {"stable_version": candidate, "previous_version": rollout.stable_version}
        on_trial: dict[str, Any] = {"stable_since": decision.at, "offered_at": rollout.offered_at}
        return _next(rollout, decision, **(_NO_CANDIDATE | stable | on_trial))
    raise BadInputError("stage canary or full", to.value, "a candidate begins in shadow, and only goes on from there")


def rolled_back(rollout: Rollout, to: str | None, decision: Decision) -> Rollout:
    """Return the rollout one step back: without its candidate or, where it has none, with the version before.

    ``to``: a version to go back to in any case. A pin does not stop it, and is taken off: a person who rolls back sees
    what the pin's author did not.

    Raises:
        BadInputError: there is nothing to go back to.
    """
    free: dict[str, Any] = {**_NO_CANDIDATE, "pinned": False}
    chosen: dict[str, Any] = {**free, **_NO_PREVIOUS}
    if to is not None and to != rollout.stable_version:
        return _next(rollout, decision, stable_version=to, **chosen)
    if rollout.candidate_version is not None:
        return _next(rollout, decision, **free)
    if to is None and rollout.previous_version is not None:
        return _next(rollout, decision, stable_version=rollout.previous_version, **chosen)
    raise BadInputError(
        "a candidate or a version before the stable one", "neither", "name one: inspector weights rollback VERSION"
    )


def pinned_to(rollout: Rollout, version: str, decision: Decision) -> Rollout:
    """Return the rollout with one version for all cameras, which only a person changes."""
    before = rollout.previous_version if version == rollout.stable_version else rollout.stable_version
    before = None if before == version else before
    changed: dict[str, Any] = {
        "stable_version": version,
        "previous_version": before,
        "pinned": True,
        "stable_since": None,
    }
    return _next(rollout, decision, **_NO_CANDIDATE, **changed)


def confirmed(rollout: Rollout, decision: Decision) -> Rollout:
    """Return the rollout as it is, written down anew: what vetoes have changed, or a person wants to stay."""
    return _next(rollout, decision)


def unpinned(rollout: Rollout, decision: Decision) -> Rollout:
    """Return the rollout that goes on from the pinned version; the one before it is no reference any more.

    Raises:
        BadInputError: nothing is pinned.
    """
    if not rollout.pinned:
        raise BadInputError("a pinned version", "none is", "nothing is to be done")
    return _next(rollout, decision, pinned=False, **_NO_PREVIOUS)


_NO_CANDIDATE: dict[str, Any] = {
    "candidate_version": None,
    "stage": RolloutStage.FULL,
    "canary_share": 0.0,
    "offered_at": None,
}
_NO_PREVIOUS: dict[str, Any] = {"previous_version": None, "stable_since": None}


def _next(rollout: Rollout, decision: Decision, **changes: Any) -> Rollout:
    return replace(
        rollout,
        revision=rollout.revision + 1,
        decided_by=decision.by,
        reason=decision.reason,
        decided_at=decision.at,
        **changes,
    )


def _refuse_pinned(rollout: Rollout) -> None:
    if rollout.pinned:
        raise BadInputError(
            "a rollout that is not pinned",
            f"{rollout.stable_version[:12]}, pinned by {rollout.decided_by}: {rollout.reason}",
            "`inspector weights unpin` first",
        )

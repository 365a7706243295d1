"""Whether there is anything to do for the trainer, and what to say if there is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from inspector.domain.trainer_run import TrainerRun


@dataclass(frozen=True, slots=True)
class Due:
    """``run`` or not, and ``reason`` in words, for either."""

    run: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a decision hangs on: the last run, if any, and corrections that it had not taken in.

    ``newly_set_aside``: the last gate named people whom that run had still learnt from. ``newly_drifted``: cameras that
    are not what they were, and were when the last run began.
    """

    last: TrainerRun | None
    new_corrections: int
    newly_set_aside: tuple[str, ...] = ()
    newly_drifted: tuple[str, ...] = ()


def due(known: Known, after_corrections: int, interval: timedelta, now: datetime) -> Due:
    """Say whether to run: after so many new corrections, once a camera drifts, or so long after the last run.

    A last run in the future means that a clock was set back: waiting for it to pass could take for ever, so it runs.
    """
    if known.last is None:
        return Due(True, "no run before")
    if known.new_corrections >= after_corrections:
        return Due(True, f"{known.new_corrections} new corrections")
    if known.newly_set_aside:
        return Due(True, f"the last gate set aside {', '.join(known.newly_set_aside)}")
    if known.newly_drifted:
        return Due(True, f"drift of camera {', '.join(known.newly_drifted)}")
    since = now - known.last.ended_at
    if since < timedelta(0):
        return Due(True, f"the last run ended at {known.last.ended_at.isoformat()}, which is to come: a clock jumped")
    if since >= interval:
        return Due(True, f"{_hours(since)} since the last run")
    return Due(
        False,
        f"{known.new_corrections} of {after_corrections} new corrections, "
        f"and {_hours(since)} of {_hours(interval)} since the last run",
    )


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"

"""The points that a batch passes on its way to a commit, by name.

Nothing in the service depends on who listens. The fault tests do: a kill "between sent and offsets" is only a fact when
the process itself says that it has come there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Milestone(StrEnum):
    """Each is passed once a batch, when what it names is done, in this order; a batch may be two ahead of another.

    ``POLLED`` is passed by every poll that brought records. ``DECODED`` and ``SCORED`` are told by the scoring thread,
    all others by the loop's own.
    """

    POLLED = "polled"
    DECODED = "decoded"
    SCORED = "scored"
    STORED = "stored"
    SENT = "sent"  # alerts and dead letters are acknowledged, in a transaction that is open
    OFFSETS_SENT = "offsets_sent"
    COMMITTED = "committed"


OnMilestone = Callable[[Milestone], None]


def nobody_listens(_milestone: Milestone) -> None:
    """Do nothing: how the service runs."""

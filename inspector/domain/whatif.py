"""What another threshold would have made of frames that were inspected (``inspection.whatif/1``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

WHATIF_SCHEMA = "inspection.whatif/1"


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """Alarms of some frames: ``now`` as they came, ``then`` by the other threshold."""

    name: str
    now: int
    then: int


@dataclass(frozen=True, slots=True)
class ShiftCounts:
    """Alarms of the frames captured in one shift of the day, such as "06-14", summed over the days."""

    name: str
    frames: int
    now: int
    then: int


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """The frames of which people said, in agreement, what they show: ``defective`` and ``normal`` ones.

    ``found`` of the defective ones and false alarms on the normal ones, now and then. In ``conflicts`` frames people
    differ, and they are not counted. People look at alarms more than at the rest, so these are no rates.
    """

    defective: int = 0
    found_now: int = 0
    found_then: int = 0
    normal: int = 0
    false_alarms_now: int = 0
    false_alarms_then: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A camera's recorded scores against another ``image_threshold``.

    ``thresholds_now``: the lowest and the highest one that the frames were judged by. ``hours`` from the first to the
    last frame. ``new_alarms`` and ``lost_alarms``: frame ids, the latest first, some of them where there are very many.
    ``feedback`` None: it was not to be had.
    """

    camera_id: str
    image_threshold: float
    thresholds_now: tuple[float, float] | None
    frames: int
    first_at: datetime | None
    last_at: datetime | None
    hours: float
    now: int
    then: int
    by_type: tuple[AlarmCounts, ...]
    by_shift: tuple[ShiftCounts, ...]
    time_zone: str
    new_alarms: tuple[str, ...]
    lost_alarms: tuple[str, ...]
    feedback: FeedbackCounts | None = None
    remarks: tuple[str, ...] = ()
    schema: str = WHATIF_SCHEMA

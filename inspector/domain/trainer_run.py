"""What came of one run of the trainer (schema ``inspection.trainer-run/1``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

TRAINER_RUN_SCHEMA = "inspection.trainer-run/1"


class TrainerOutcome(StrEnum):
    """How a run ended.

    ``published``: the gate passed the candidate. ``refused``: it did not. ``abandoned``: the weights it began from
    serve no more, or what it learnt from is gone. ``failed``: no candidate came of it.
    """

    PUBLISHED = "published"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrainerRun:
    """One run, as it is kept for good. Versions are those of artefacts (SHA-256), but for the weights' own.

    ``corrections`` counts the frames on which the service was wrong, ``conflicts`` those on which people differ and
    which nobody learnt from. ``examples`` counts what was trained on, and ``judged`` what decided, by where it came
    from. ``offered_types`` by product: types that people named and that are not configured: they are learnt, and looked
    for only once they are configured. ``drifted``: cameras that were not what they had been when it began.
    ``to_look_at``: frames taken for good on which only the candidate alarms, by id: what a person says of them settles
    it. ``reasons`` are the gate's, or why there was none. ``token`` is the lock's.
    """

    run_id: str
    outcome: TrainerOutcome
    began_at: datetime
    ended_at: datetime
    holder: str
    token: int
    parent_version: str
    candidate_version: str | None = None
    reasons: tuple[str, ...] = ()
    corrections: int = 0
    conflicts: int = 0
    examples: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    tuning_s: float = 0.0
    offered_types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    to_look_at: tuple[str, ...] = ()
    inputs_version: str | None = None
    gate_version: str | None = None
    picture_version: str | None = None
    schema: str = TRAINER_RUN_SCHEMA

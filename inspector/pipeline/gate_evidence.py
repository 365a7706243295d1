"""What a candidate is judged by: frames of known truth, as the current and the candidate weights judge them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """One frame of which the truth is known, and what both weights say of it.

    ``anomalous`` and ``defect_type`` are the truth; an anomalous frame without a type is of one that nobody knows, and
    no name is wrong for it. ``corrected``: the truth is what ``persons`` said, who agree; otherwise the frame is of the
    frozen set, whose truth hangs on nobody. ``confirmed``: they only said that the service was right. ``in_doubt``: a
    frozen normal frame that weights judged so which are known to have missed defects by then; it may show another.
    ``trained_on``: the candidate's training saw it; never so of a frozen one.
    The scores are 0..1, on each weights' own scale, the candidate's None (in JSON) or NaN where it gave no number; the
    types are those named first, where there is an alarm.
    """

    frame_id: str
    camera_id: str
    anomalous: bool
    defect_type: str | None
    corrected: bool
    current_score: float
    candidate_score: float | None
    current_alarm: bool
    candidate_alarm: bool
    current_type: str | None = None
    candidate_type: str | None = None
    persons: tuple[str, ...] = ()
    trained_on: bool = False
    confirmed: bool = False
    in_doubt: bool = False

    @property
    def only_candidate_alarms(self) -> bool:
        """Whether the candidate alarms, and the current weights do not."""
        return self.candidate_alarm and not self.current_alarm


@dataclass(frozen=True, slots=True)
class PersonVerdict:
    """What one person says is true of one frame."""

    person: str
    frame_id: str
    anomalous: bool
    defect_type: str | None = None


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """All that the gate looks at.

    ``candidate_latency_ratio``: time a frame, candidate over current; None: not measured. ``finite``: all outputs of
    the candidate are numbers. ``golden_ok``: it gives scores on the golden batch. ``verdicts``: every verdict that
    people gave and that is not already in a frame's ``persons``: on frozen frames, and those in conflict with others',
    from which no frame here takes its truth. ``failure``: what the candidate ended with in the midst of the frames, in
    words; nothing, where it judged them all. ``lost``: in a line each, the cameras that have a bank or thresholds of
    their own with the current weights and would have none with the candidate.
    """

    frames: Sequence[FrameEvidence] = field(repr=False)
    candidate_latency_ratio: float | None
    finite: bool
    golden_ok: bool
    current_version: str
    candidate_version: str
    verdicts: Sequence[PersonVerdict] = field(default=(), repr=False)
    failure: str = ""
    lost: Sequence[str] = ()

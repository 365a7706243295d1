"""Frozen frames that may not be as good as they are taken for, and how a candidate is judged in spite of them.

Nobody looked at frozen normal frames: they are good by the word of the weights that served. Where those are known to
have missed defects by then, others that they missed lie among these frames, and whoever finds them seems to alarm
falsely. A frame in doubt can only speak against a candidate. So who passes with them has passed; who does not is judged
once more without them. Which frames are in doubt was settled before the candidate was made: deploy/decisions/0018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inspector.domain.gate import GateLimits
from inspector.pipeline.exact_tests import trials_needed
from inspector.pipeline.gate_evidence import FrameEvidence

_MOST_TO_LOOK_AT = 50


def doubtful(frames: Sequence[FrameEvidence]) -> list[FrameEvidence]:
    """Return the frozen normal frames of which the truth is in doubt."""
    return [frame for frame in _frozen_normal(frames) if frame.in_doubt]


def without_doubtful(frames: Sequence[FrameEvidence], limits: GateLimits) -> list[FrameEvidence] | None:
    """Return the frames to judge by where those in doubt speak against a candidate; None: there is no such look.

    There is none without doubt, and none where the others are too few to show that false alarms are within target. A
    camera that would keep fewer than ``group_least_frames`` good frames keeps those in doubt: something must judge it.
    """
    certain = Counter(frame.camera_id for frame in _frozen_normal(frames) if not frame.in_doubt)
    if not doubtful(frames) or certain.total() < trials_needed(limits.false_alarm_target, limits.confidence):
        return None
    return [f for f in frames if not f.in_doubt or certain[f.camera_id] < limits.group_least_frames]


def too_many_alarms(frames: Sequence[FrameEvidence], limits: GateLimits) -> Iterator[str]:
    """Yield what speaks against leaving frames in doubt out: so many alarms on them that a person should look first."""
    left_out = doubtful(frames)
    alone = sum(frame.only_candidate_alarms for frame in left_out)
    if alone > limits.doubtful_alarms * len(left_out):
        yield (
            f"only the candidate alarms on {alone} of {len(left_out)} good frames in doubt, at most "
            f"{limits.doubtful_alarms:.0%} are taken for defects nobody told of: look at them, and say what they show"
        )


def to_look_at(frames: Sequence[FrameEvidence]) -> tuple[str, ...]:
    """Return the ids of frozen normal frames on which only the candidate alarms, those in doubt first."""
    alone = [frame for frame in _frozen_normal(frames) if frame.only_candidate_alarms]
    ranked = sorted(alone, key=lambda frame: (not frame.in_doubt, -(frame.candidate_score or 0.0), frame.frame_id))
    return tuple(frame.frame_id for frame in ranked[:_MOST_TO_LOOK_AT])


def _frozen_normal(frames: Sequence[FrameEvidence]) -> Iterator[FrameEvidence]:
    return (frame for frame in frames if not frame.anomalous and not frame.corrected)

"""Two weights versions on the same frames: what each said of them, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import Verdict


@dataclass(frozen=True, slots=True)
class Pair:
    """One frame judged by the version on trial (subject) and by the one it is held against (reference)."""

    frame_id: str
    camera_id: str
    subject_score: float
    reference_score: float
    subject_alarm: bool
    reference_alarm: bool
    subject_mode: ScoreMode
    reference_mode: ScoreMode

    @property
    def comparable(self) -> bool:
        """Whether both were scored in the same way; mutual scoring needs frames that a new version has not seen yet."""
        return self.subject_mode is self.reference_mode

    @property
    def differs(self) -> bool:
        """Whether one of them alarms and the other does not."""
        return self.subject_alarm is not self.reference_alarm


def pair(frame_id: str, camera_id: str, subject: Verdict, reference: Verdict) -> Pair:
    """Return what two verdicts on one frame say."""
    return Pair(
        frame_id,
        camera_id,
        subject.anomaly_score,
        reference.anomaly_score,
        subject.pred_label is PredLabel.ANOMALOUS,
        reference.pred_label is PredLabel.ANOMALOUS,
        subject.mode,
        reference.mode,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A frame on which the two disagree, for a person to look at."""

    frame_id: str
    camera_id: str
    subject_score: float
    reference_score: float
    subject_alarm: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sums over frames; two of them add.

    ``served``: frames whose verdict was the subject's. ``failures``: frames on which it failed, or gave no verdict that
    can be one, and the reference did not. Of ``pairs`` frames both were asked; ``incomparable`` ones, scored in two
    ways, are not among them. The scores' differences are the subject's less the reference's.
    """

    served: int = 0
    failures: int = 0
    incomparable: int = 0
    pairs: int = 0
    alarms_both: int = 0
    alarms_subject_only: int = 0
    alarms_reference_only: int = 0
    score_difference_sum: float = 0.0
    score_difference_abs_sum: float = 0.0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Comparison)))

    @property
    def agreement(self) -> float | None:
        """Share of pairs on which both alarm or neither does; None where there are no pairs."""
        if not self.pairs:
            return None
        return 1 - (self.alarms_subject_only + self.alarms_reference_only) / self.pairs


def of_pairs(pairs: Sequence[Pair]) -> Comparison:
    """Return the sums over some frames."""
    counted = [each for each in pairs if each.comparable]
    differences = [each.subject_score - each.reference_score for each in counted]
    return Comparison(
        incomparable=len(pairs) - len(counted),
        pairs=len(counted),
        alarms_both=sum(each.subject_alarm and each.reference_alarm for each in counted),
        alarms_subject_only=sum(each.subject_alarm and each.differs for each in counted),
        alarms_reference_only=sum(each.reference_alarm and each.differs for each in counted),
        score_difference_sum=sum(differences),
        score_difference_abs_sum=sum(map(abs, differences)),
    )

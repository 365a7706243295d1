"""Whether what is known of one committed frame fits together: its result, its alerts, its dead letters.

Only committed frames are judged: their outcome was written in the transaction that committed their offset, or before
it. So whatever is missing was lost, and what is there twice should not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from inspector.domain.alert import Alert
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline.alert_record import make_alert

# Records keep scores to every digit; what differs by less was rounded by a reader or writer in another language.
_SAME_SCORE = 1e-6


class FindingKind(StrEnum):
    """What does not fit."""

    NO_OUTCOME = "no_outcome"  # committed, and neither result, alert nor dead letter
    RESULT_MISSING = "result_missing"  # its alert is committed; its result is gone before its time
    RESULT_UNREADABLE = "result_unreadable"
    RESULT_NOT_INDEXED = "result_not_indexed"  # it is there, and not in its camera's lists
    ALERT_MISSING = "alert_missing"  # an anomalous result without an alert
    ALERT_DIFFERS = "alert_differs"  # from the result
    ALERT_REPEATED = "alert_repeated"
    DEAD_LETTER_REPEATED = "dead_letter_repeated"
    TWO_OUTCOMES = "two_outcomes"  # inspected, and in a dead letter


class Remedy(StrEnum):
    """What would mend it."""

    SCORE = "score"  # score the frame again, store the result, send what was not sent
    ALERT = "alert"  # send the alert of the result
    INDEX = "index"  # list the result again
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CommittedAlert:
    """What an alert says that its result must say too. ``committed_ms``: when it was sent, since 1970."""

    frame_id: str
    camera_id: str
    anomaly_score: float
    weights_version: str
    committed_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What the topics hold of one frame: its alerts, and the reasons of its dead letters."""

    alerts: tuple[CommittedAlert, ...] = ()
    letters: tuple[str, ...] = ()


NOTHING_COMMITTED = Committed()


class StoredState(StrEnum):
    """What the store holds of one frame."""

    KEPT = "kept"
    NOT_INDEXED = "not_indexed"  # kept, and not in its camera's lists
    GONE = "gone"  # by retention
    LOST = "lost"
    HELD_ELSEWHERE = "held_elsewhere"  # its id is another frame's, which came first
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """The store's state of one frame; ``result`` is there for ``KEPT`` and ``NOT_INDEXED`` only."""

    state: StoredState
    result: InspectionResult | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WalkedFrame:
    """One committed frame: who it is, when it was published, and whether its bytes can still be had."""

    source: FrameSource
    frame_id: str
    camera_id: str
    published_at: datetime
    has_bytes: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit, and what would mend it (``NONE``: nothing that reconcile may do)."""

    kind: FindingKind
    source: FrameSource
    frame_id: str
    camera_id: str
    detail: str
    remedy: Remedy = Remedy.NONE


class _Found(Protocol):
    def __call__(self, kind: FindingKind, detail: str, remedy: Remedy = Remedy.NONE) -> Finding: ...


def examine(
    frame: WalkedFrame, committed: Committed, stored: StoredFrame, complete_since: datetime | None
) -> Iterator[Finding]:
    """Yield what does not fit of one frame.

    ``complete_since``: since when the topics of alerts and dead letters hold everything; None: since ever. What they
    may have let go since is never found missing.
    """

    def found(kind: FindingKind, detail: str, remedy: Remedy = Remedy.NONE) -> Finding:
        return Finding(kind, frame.source, frame.frame_id, frame.camera_id, detail, remedy)

    if len(committed.alerts) > 1:
        yield found(FindingKind.ALERT_REPEATED, f"{len(committed.alerts)} alerts were committed for one frame")
    if len(committed.letters) > 1:
        yield found(FindingKind.DEAD_LETTER_REPEATED, f"{len(committed.letters)} dead letters for one frame")
    if committed.letters:
        what = "an alert" if committed.alerts else "a result" if stored.result else None
        if what is not None:
            yield found(FindingKind.TWO_OUTCOMES, f"{what}, and a dead letter with reason {committed.letters[0]}")
        return
    if stored.state is StoredState.UNREADABLE:
        yield found(FindingKind.RESULT_UNREADABLE, stored.detail)
    elif stored.result is not None:
        yield from _examine_result(found, committed, stored, stored.result, complete_since)
    elif committed.alerts and stored.state is StoredState.LOST:
        yield _lost(found, FindingKind.RESULT_MISSING, "its alert is committed, its result is gone", frame)
    elif committed.alerts and stored.state is StoredState.HELD_ELSEWHERE:
        yield found(FindingKind.RESULT_MISSING, "its alert is committed, and another frame holds its id by now")
    elif not committed.alerts and _never_there(frame, stored, complete_since):
        yield _lost(found, FindingKind.NO_OUTCOME, "committed without result, alert or dead letter", frame)


def _never_there(frame: WalkedFrame, stored: StoredFrame, complete_since: datetime | None) -> bool:
    known = complete_since is None or frame.published_at >= complete_since
    return known and stored.state in (StoredState.LOST, StoredState.HELD_ELSEWHERE)


def _examine_result(
    found: _Found, committed: Committed, stored: StoredFrame, result: InspectionResult, complete_since: datetime | None
) -> Iterator[Finding]:
    if stored.state is StoredState.NOT_INDEXED:
        yield found(FindingKind.RESULT_NOT_INDEXED, "the lists of its camera leave it out", Remedy.INDEX)
    if committed.alerts:
        if differences := _differences(committed.alerts[0], result):
            yield found(FindingKind.ALERT_DIFFERS, "; ".join(differences))
    elif result.pred_label is PredLabel.ANOMALOUS and (complete_since is None or result.inspected_at >= complete_since):
        yield found(FindingKind.ALERT_MISSING, "judged anomalous, and nobody was told", Remedy.ALERT)


def _lost(found: _Found, kind: FindingKind, detail: str, frame: WalkedFrame) -> Finding:
    if frame.has_bytes:
        return found(kind, detail, Remedy.SCORE)
    return found(kind, f"{detail}; the frame is gone from Kafka by retention, so it cannot be scored again")


def _differences(alert: CommittedAlert, result: InspectionResult) -> list[str]:
    pairs = [
        ("frame", alert.frame_id, result.frame_id),
        ("camera", alert.camera_id, result.camera_id),
        ("verdict", PredLabel.ANOMALOUS.value, result.pred_label.value),
        ("weights", alert.weights_version[:12], result.weights_version[:12]),
    ]
    if abs(alert.anomaly_score - result.anomaly_score) > _SAME_SCORE:
        pairs.append(("score", f"{alert.anomaly_score:.6f}", f"{result.anomaly_score:.6f}"))
    return [f"{what}: the alert says {said}, the result {stored}" for what, said, stored in pairs if said != stored]


def as_committed(outcome: Inspected, alert: CommittedAlert | None, now: datetime, image: bytes) -> Inspected:
    """Return a frame scored again as it is stored and told.

    ``image`` is the frame as captured, which is kept of every anomalous one.
    What was committed stands: a frame whose alert is out keeps the verdict that the alert gave, and gets no second one.
    Judged normal now, it has no overlay and no mask.
    """
    if alert is None:
        result = replace(outcome.result, repaired_at=now)
        return replace(outcome, result=result, alert=late_alert(result, now))
    result = replace(
        outcome.result,
        repaired_at=now,
        pred_label=PredLabel.ANOMALOUS,
        anomaly_score=alert.anomaly_score,
        weights_version=alert.weights_version,
    )
    evidence = outcome.evidence
    kept = evidence if evidence.frame is not None else replace(evidence, frame=image)
    return replace(outcome, result=result, alert=None, evidence=kept)


def late_alert(result: InspectionResult, now: datetime) -> Alert | None:
    """Return the alert of a result, marked as sent late; None for a normal one."""
    alert = make_alert(result)
    return None if alert is None else replace(alert, repaired_at=now)


def published_at(timestamp_ms: int) -> datetime:
    """Return the moment of a record's timestamp; one that is no date is as old as can be."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)

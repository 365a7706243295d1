"""Mends what the walk found: scores lost frames again, stores what Redis lost, sends alerts that were never sent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.repair_log import RepairLog
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.apps import console, wiring
from inspector.apps.reconcile_walk import Case
from inspector.apps.serving import engines as serving_engines
from inspector.domain.artefact import Announcement
from inspector.domain.errors import FrameRejectedError, ServiceUnavailableError
from inspector.domain.outcome import Inspected, Outcome, Rejected
from inspector.pipeline import alert_record, dead_letter, outcomes
from inspector.pipeline.config_applier import ConfigApplier
from inspector.pipeline.config_book import ConfigBook
from inspector.pipeline.engine_ports import DecodedFrame, Engine
from inspector.pipeline.frame_record import parse
from inspector.pipeline.ports import LogRecord, OutRecord, StoreStatus
from inspector.pipeline.reconciliation import CommittedAlert, Remedy, as_committed, late_alert
from inspector.pipeline.scoring import BatchScorer, Slot
from inspector.settings import Settings


class Repairer:
    """Redis first, then Kafka in one transaction, as the line does it: a repair that is cut short can be repeated."""

    def __init__(
        self, settings: Settings, connection: KafkaConnection, log: RepairLog, store: RedisResultStore
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._log = log
        self._store = store
        self._engine: Engine | None = None

    def mend(self, cases: Sequence[Case]) -> list[tuple[Case, str]]:
        """Mend what can be mended; return the rest, each with the reason.

        Raises:
            FencedError: another repair was started.
            InspectorError: Kafka or Redis is away, or the engine cannot be made.
        """
        left = [(case, "") for case in cases if case.finding.remedy is Remedy.NONE]
        left += self._index([case for case in cases if case.finding.remedy is Remedy.INDEX])
        self._send([case for case in cases if case.finding.remedy is Remedy.ALERT])
        to_score = [case for case in cases if case.finding.remedy is Remedy.SCORE]
        size = self._settings.batch.max_size
        for start in range(0, len(to_score), size):
            left += self._score(to_score[start : start + size])
        return left

    def _index(self, cases: Sequence[Case]) -> list[tuple[Case, str]]:
        results = [case.stored.result for case in cases if case.stored.result is not None]
        statuses = self._store.reindex([Inspected(result.source, result, None) for result in results])
        changed = "its result is gone or another since it was looked at; look again"
        return [
            (case, changed) for case, status in zip(cases, statuses, strict=True) if status is not StoreStatus.STORED
        ]

    def _send(self, cases: Sequence[Case]) -> None:
        now = datetime.now(UTC)
        results = [case.stored.result for case in cases if case.stored.result is not None]
        alerts = [alert for result in results if (alert := late_alert(result, now)) is not None]
        self._log.publish([alert_record.encode(alert, self._settings.kafka.alerts_topic) for alert in alerts])

    def _score(self, cases: Sequence[Case]) -> list[tuple[Case, str]]:
        """Score frames that are lost; a frame whose alert is out is stored only, whatever is found on it now."""
        records = [case.record for case in cases if case.record is not None]
        scored = BatchScorer(self._scorer()).score([self._slot(record) for record in records])
        now = datetime.now(UTC)
        alerts = [case.committed.alerts[0] if case.committed.alerts else None for case in cases]
        judged = [
            as_committed(outcome, alert, now, record.value or b"") if isinstance(outcome, Inspected) else outcome
            for outcome, alert, record in zip(scored, alerts, records, strict=True)
        ]
        statuses = self._store.restore([outcome for outcome in judged if isinstance(outcome, Inspected)])
        settled = outcomes.after_store(judged, statuses, records)
        met = set(_already_there(judged, statuses))
        left: list[tuple[Case, str]] = []
        to_send: list[OutRecord] = []
        for number, (case, outcome, alert) in enumerate(zip(cases, settled, alerts, strict=True)):
            if number in met:
                left.append((case, "a result was there when it should be stored; look again"))
            elif reason := _refused(outcome, alert):
                left.append((case, reason))
            else:
                to_send += self._records(outcome)
        self._log.publish(to_send)
        return left

    def _slot(self, record: LogRecord) -> Slot:
        engine, work = self._scorer(), Future[DecodedFrame]()
        try:
            frame = parse(record, engine.find_camera, self._settings.limits.max_frame_bytes)
        except FrameRejectedError as error:
            return Slot(record, time.monotonic(), outcomes.rejected(record, error), 0)
        try:
            work.set_result(engine.decode(frame))
        except Exception as error:  # the scorer tells what it means, as it does on the line
            work.set_exception(error)
        return Slot(record, time.monotonic(), work, 0)

    def _records(self, outcome: Outcome) -> list[OutRecord]:
        kafka = self._settings.kafka
        if isinstance(outcome, Inspected) and outcome.alert is not None:
            return [alert_record.encode(outcome.alert, kafka.alerts_topic)]
        if isinstance(outcome, Rejected):
            return [dead_letter.encode(outcome, kafka.dead_letter_topic, self._settings.limits.max_frame_bytes)]
        return []

    def _scorer(self) -> Engine:
        """Return the line's engine with all that was announced, made when the first frame needs it."""
        if self._engine is None:
            with console.status("loading the model"):
                artefacts = wiring.artefacts(self._settings)
                serving = serving_engines(self._settings, artefacts, second=False)[0]
                self._engine = serving.engine
            book = ConfigBook(KafkaConfigFeed(self._connection, self._settings.kafka.config_topic))
            config = ConfigApplier(book.follow(serving.companions()), artefacts, self._engine, _taken, _refused_config)
            try:
                book.read()
                if not config.apply_pending():
                    raise ServiceUnavailableError(
                        "announced banks and settings", "Kafka or Redis is away", "try again when they are back"
                    )
            finally:
                book.close()
        return self._engine


def _already_there(judged: Sequence[Outcome], statuses: Sequence[StoreStatus]) -> Iterator[int]:
    remaining = iter(statuses)
    for number, outcome in enumerate(judged):
        if isinstance(outcome, Inspected) and next(remaining) is StoreStatus.UNNEEDED:
            yield number


def _refused(outcome: Outcome, alert: CommittedAlert | None) -> str:
    """Return why a frame stays as it is: its alert is out, so a dead letter would be a second outcome."""
    if alert is not None and isinstance(outcome, Rejected):
        return f"it was inspected once, and is rejected now: {outcome.reason.value}, {outcome.detail}"
    return ""


def _taken(_announcement: Announcement) -> None:
    pass


def _refused_config(announcement: Announcement, error: Exception) -> None:
    console.remark(f"refused {announcement.key}: {error}", "yellow")

"""The frame log on Kafka: a transactional consumer and producer with one identity (ports.FrameLog)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kafka import errors
from kafka.structs import TopicPartition

from inspector.adapters.kafka import clients, records, transaction
from inspector.adapters.kafka.connection import KafkaConnection, translate, translated_errors
from inspector.adapters.kafka.join_keeper import note_partitions
from inspector.adapters.kafka.membership import MembershipGuard, Standing
from inspector.adapters.kafka.reading import SpentConsumerError, reading
from inspector.adapters.kafka.reconnect import Reconnect
from inspector.adapters.kafka.watchdog import Watchdog, exit_process
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError
from inspector.pipeline.milestones import OnMilestone, nobody_listens
from inspector.pipeline.ports import NO_NOTES, CommitFailedError, FencedError, LogRecord, OutRecord, Ownership, Polled

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 3.0


class KafkaFrameLog:
    """Takes frames as a group member and commits records with offsets in transactions of ``group_id-replica``.

    ``replica`` is a stable name; two running inspectors never share one: the newer fences the older.

    Raises:
        ServiceUnavailableError: no broker answers.
        CredentialsError: the brokers refuse us.
        BadInputError: ``frames_topic`` or one of ``output_topics`` does not exist.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        group_id: str,
        replica: str,
        frames_topic: str,
        max_record_bytes: int,
        output_topics: Sequence[str] = (),
        session_timeout_ms: int = 10_000,
        max_poll_interval_ms: int = 60_000,
        transaction_timeout_ms: int = 10_000,
        delivery_timeout_ms: int = 8_000,
        commit_limit_s: float = 15.0,
        poll_limit_s: float = 60.0,
        on_watchdog: Callable[[], None] = exit_process,
        on_milestone: OnMilestone = nobody_listens,
    ) -> None:
        self.transactional_id = f"{group_id}-{replica}"
        self._connection = connection
        self._frames_topic = frames_topic
        self._output_topics = tuple(output_topics)
        self._flush_timeout_s = transaction_timeout_ms / 1000
        self._make_consumer = partial(
            clients.group_consumer,
            connection,
            group_id=group_id,
            max_record_bytes=max_record_bytes,
            session_timeout_ms=session_timeout_ms,
            max_poll_interval_ms=max_poll_interval_ms,
        )
        self._make_producer = partial(
            clients.transactional_producer,
            connection,
            transactional_id=self.transactional_id,
            max_record_bytes=max_record_bytes,
            transaction_timeout_ms=transaction_timeout_ms,
            delivery_timeout_ms=delivery_timeout_ms,
        )
        self._consumer: Any = None
        self._producer: Any = None
        self._guard: MembershipGuard | None = None
        self._positions: dict[tuple[str, int], int] = {}
        self._paused = False
        self._failed = False
        self._spent: SpentConsumerError | None = None
        self._reconnect = Reconnect()
        self._commit_limit_s, self._poll_limit_s = commit_limit_s, poll_limit_s
        self._watchdog = Watchdog(on_watchdog)
        self._on_milestone = on_milestone
        try:
            self._connect()
            self._reconnect.succeeded()
        except BaseException:
            self.close()
            raise

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        """See ``ports.FrameLog``.

        While the brokers are away after a ``rebuild``, tries to connect at most once a call, which may take some
        seconds longer than ``timeout_s``. After a record that cannot be read, waits before it connects anew and reads
        on from the committed offsets; until then, what was polled before can be committed.

        Raises:
            ServiceUnavailableError: the brokers cannot be reached, or a record cannot be read; the message says which.
            CredentialsError: they refuse us.
            BadInputError: the topic is gone.
            FencedError: another inspector took our transactional id.
        """
        self._require_sound()
        if self._consumer is None or self._spent is not None:
            self._connect_in_time(timeout_s)
        batches, standing = self._read(timeout_s, max_records)
        if standing is None:
            return Polled((), None)
        if standing.changed:
            self._settle(standing)
            return Polled((), standing.ownership, reset=True, notes=standing.notes)
        return Polled(self._take(batches), standing.ownership)

    def pause(self) -> None:
        """See ``ports.FrameLog``."""
        self._paused = True
        if self._consumer is not None:
            self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """See ``ports.FrameLog``."""
        self._paused = False
        if self._consumer is not None:
            self._consumer.resume(*self._consumer.assignment())

    def commit(
        self,
        ownership: Ownership,
        next_offsets: Mapping[tuple[str, int], int],
        records: Sequence[OutRecord],
        notes: Mapping[tuple[str, int], str] = NO_NOTES,
    ) -> None:
        """See ``ports.FrameLog``.

        Raises:
            CommitFailedError: as in ``ports.FrameLog``.
            FencedError: as in ``ports.FrameLog``.
            BadInputError: a record is larger than its topic takes; a repeat would fail the same way.
            CredentialsError: we may not write to a topic; a repeat would fail the same way.
        """
        self._require_sound()
        if self._producer is None:
            raise CommitFailedError("the brokers were lost before the transaction began")
        self._failed = True
        try:
            with self._watchdog.guard("a transaction", self._commit_limit_s):
                transaction.commit_transaction(
                    self._producer,
                    ownership.handle,
                    next_offsets,
                    records,
                    self._flush_timeout_s,
                    self._on_milestone,
                    notes,
                )
        except errors.KafkaError as error:
            if transaction.is_fenced(error):
                raise FencedError(self._fenced()) from error
            told = translate(error, self._connection)
            if isinstance(told, (BadInputError, CredentialsError)):
                raise told from error
            raise CommitFailedError(f"{type(error).__name__}: {error}") from error
        self._failed = False
        self._reconnect.succeeded()

    def rebuild(self) -> None:
        """See ``ports.FrameLog``. The new clients are made by the next ``poll``, which may find the brokers away."""
        self._disconnect()
        self._failed = False

    def lag(self) -> Mapping[tuple[str, int], int]:
        """See ``ports.FrameLog``."""
        known = ((place, end, self._positions.get(place)) for place, end in self.ends().items())
        return {place: max(0, end - position) for place, end, position in known if position is not None}

    def ends(self) -> Mapping[tuple[str, int], int]:
        """See ``ports.FrameLog``: as of the last fetch from each partition."""
        if self._consumer is None:
            return {}
        known = {(tp.topic, tp.partition): self._consumer.highwater(tp) for tp in self._consumer.assignment()}
        return {place: end for place, end in known.items() if end is not None}

    def close(self) -> None:
        """See ``ports.FrameLog``."""
        self._disconnect()
        self._watchdog.close()

    def _fenced(self) -> str:
        return f"another inspector runs as {self.transactional_id}: give each its own `replica` (INSPECTOR_REPLICA)"

    def _require_sound(self) -> None:
        if self._failed:
            raise RuntimeError("a commit failed: rebuild() must come before anything else")

    def _member(self) -> MembershipGuard:
        if self._guard is None:
            raise RuntimeError("the log is closed")
        return self._guard

    def _read(self, timeout_s: float, max_records: int) -> tuple[Mapping[Any, Sequence[Any]], Standing | None]:
        member = self._member()
        try:
            with (
                self._watchdog.guard("a poll", timeout_s + self._poll_limit_s),
                reading(self._consumer, self._connection, self._frames_topic),
            ):
                batches = self._consumer.poll(timeout_ms=max(0, int(timeout_s * 1000)), max_records=max_records)
                return batches, member.check()
        except SpentConsumerError as error:
            self._spent = error
            self._reconnect.attempted()
            raise

    def _settle(self, standing: Standing) -> None:
        self._positions = dict(standing.positions)
        if self._paused:
            self._consumer.pause(*(TopicPartition(*key) for key in standing.positions))
        _log.info(
            "member %s of generation %d with %d partitions",
            standing.ownership.member_id,
            standing.ownership.generation,
            len(standing.positions),
        )

    def _take(self, batches: Mapping[Any, Sequence[Any]]) -> tuple[LogRecord, ...]:
        taken = tuple(records.to_log_record(raw) for batch in batches.values() for raw in batch)
        for record in taken:
            self._positions[record.source.topic, record.source.partition] = record.source.offset + 1
        return taken

    def _connect_in_time(self, timeout_s: float) -> None:
        wait_s = self._reconnect.wait_s()
        time.sleep(min(timeout_s, wait_s))
        if wait_s > timeout_s and self._spent is not None:
            raise self._spent
        if wait_s > timeout_s:
            raise ServiceUnavailableError(
                f"Kafka at {self._connection.bootstrap_servers}",
                "no connection since the last attempt",
                f"wait: the next attempt is in {wait_s - timeout_s:.1f} s",
            )
        self._disconnect()
        self._connect()

    def _connect(self) -> None:
        self._reconnect.attempted()
        try:
            with translated_errors(self._connection, self._frames_topic):
                # The producer first: init_transactions ends what an earlier life left open, so that the committed
                # offsets are final when the consumer asks for them.
                self._producer = self._make_producer()
                self._producer.init_transactions()
                self._consumer = self._make_consumer()
                clients.require_topics(self._consumer, (self._frames_topic, *self._output_topics), self._connection)
                self._consumer.subscribe([self._frames_topic])
                note_partitions(self._consumer)
        except BaseException as error:
            self._disconnect()
            if transaction.is_fenced(error):
                raise FencedError(self._fenced()) from error
            raise
        self._guard = MembershipGuard(self._consumer)

    def _disconnect(self) -> None:
        consumer, producer = self._consumer, self._producer
        self._consumer = self._producer = self._guard = None
        self._positions = {}
        self._spent = None
        if consumer is not None:
            clients.close_consumer(consumer, _CLOSE_TIMEOUT_S)
        if producer is not None:
            clients.close_producer(producer, _CLOSE_TIMEOUT_S)

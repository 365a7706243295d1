"""A compacted topic of small records: its live records first, then what arrives."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from inspector.adapters.announcements import Keyed, live_records
from inspector.adapters.kafka import clients, partitions, records
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.adapters.kafka.reading import SpentConsumerError, reading
from inspector.adapters.kafka.reconnect import Reconnect
from inspector.adapters.kafka.small_records import BadRecord, log_bad_record
from inspector.adapters.kafka.watchdog import Watchdog, exit_process
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)

# Such a record is a few hundred bytes, or a few thousand with many companions; artefacts live in the store.
MAX_RECORD_BYTES = 512 * 1024
_CATCH_UP_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 2.0
# Above the catch-up with its look-ups at their slowest: what takes longer will not end.
_POLL_LIMIT_S = 90.0

T = TypeVar("T", bound=Keyed)


class CompactedFeed(Generic[T]):
    """Reads every partition without a group: each reader sees every record.

    A record that ``decode`` refuses is handed to ``on_bad_record`` and skipped: the topic is compacted and may be
    written by others, and an inspector must not stop for it.

    Raises:
        ServiceUnavailableError: no broker answers.
        CredentialsError: the brokers refuse us.
        BadInputError: there is no such topic.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        decode: Callable[[LogRecord], T],
        on_bad_record: BadRecord = log_bad_record,
        on_watchdog: Callable[[], None] = exit_process,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._decode_one = decode
        self._on_bad_record = on_bad_record
        self._caught_up = False
        self._reconnect = Reconnect()
        self._spent: SpentConsumerError | None = None
        self._consumer: Any = None
        self._connect()
        self._watchdog = Watchdog(on_watchdog)

    def poll(self) -> Sequence[T]:
        """Return what arrived since the last call, oldest first; the first call the last record of each key.

        It never waits for more. After a record that cannot be read, it starts over at the topic's beginning.

        Raises:
            ServiceUnavailableError: the first call could not read to the end of the topic, or a record cannot be read.
        """
        self._renew_in_time()
        try:
            with (
                self._watchdog.guard(f"reading {self._topic}", _POLL_LIMIT_S),
                reading(self._consumer, self._connection, self._topic),
            ):
                found = self._drain() if self._caught_up else self._catch_up()
        except SpentConsumerError as error:
            _log.warning("%s", error)
            self._spent = error
            self._reconnect.attempted()
            raise
        self._caught_up = True
        self._reconnect.succeeded()
        return found

    def close(self) -> None:
        """Close; never raises."""
        self._disconnect()
        self._watchdog.close()

    def _connect(self) -> None:
        try:
            with translated_errors(self._connection, self._topic):
                self._consumer = clients.lone_consumer(self._connection, max_record_bytes=MAX_RECORD_BYTES)
                self._partitions = partitions.assign_all(self._consumer, self._topic, self._connection)
                partitions.seek_to_beginning(self._consumer, self._partitions)
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            clients.close_consumer(consumer, _CLOSE_TIMEOUT_S)

    def _renew_in_time(self) -> None:
        if self._spent is None:
            return
        if self._reconnect.wait_s() > 0:
            raise self._spent
        self._disconnect()
        self._caught_up = False
        self._reconnect.attempted()
        self._connect()
        self._spent = None

    def _catch_up(self) -> Sequence[T]:
        partitions.seek_to_beginning(self._consumer, self._partitions)
        ends = partitions.end_offsets(self._consumer, self._partitions)
        deadline_s = time.monotonic() + _CATCH_UP_TIMEOUT_S
        arrived: list[T] = []
        while not partitions.reached(self._consumer, ends):
            arrived.extend(self._decode(self._consumer.poll(timeout_ms=200)))
            if time.monotonic() > deadline_s:
                raise ServiceUnavailableError(
                    f"to read {self._topic} within {_CATCH_UP_TIMEOUT_S:.0f} s",
                    f"{len(arrived)} records so far",
                    "check the brokers, then try again",
                )
        return live_records(arrived)

    def _drain(self) -> Sequence[T]:
        arrived: list[T] = []
        while batches := self._consumer.poll(timeout_ms=0):
            arrived.extend(self._decode(batches))
        return arrived

    def _decode(self, batches: dict[Any, Sequence[Any]]) -> Sequence[T]:
        decoded: list[T] = []
        for record in (records.to_log_record(raw) for batch in batches.values() for raw in batch):
            try:
                decoded.append(self._decode_one(record))
            except BadInputError as error:
                self._on_bad_record(record, error)
        return decoded

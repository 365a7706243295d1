"""The config topic: announcements of versions, read from its beginning (ports.ConfigFeed) and written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from inspector.adapters.announcements import decode_announcement, live_versions
from inspector.adapters.kafka import clients, partitions, records
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.adapters.kafka.reading import SpentConsumerError, reading
from inspector.adapters.kafka.reconnect import Reconnect
from inspector.adapters.kafka.watchdog import Watchdog, exit_process
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.records import to_json
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)

# An announcement is a few hundred bytes; artefacts themselves live in the store.
_MAX_RECORD_BYTES = 64 * 1024
_CATCH_UP_TIMEOUT_S = 30.0
_ACK_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
# Above the catch-up with its look-ups at their slowest: what takes longer will not end.
_POLL_LIMIT_S = 90.0

BadRecord = Callable[[LogRecord, BadInputError], None]


def log_bad_record(record: LogRecord, error: BadInputError) -> None:
    """Report a record of the config topic that is no announcement."""
    _log.warning("skipped %s on the config topic: %s", record.source, error)


class KafkaConfigFeed:
    """Reads every partition without a group: each inspector sees every announcement.

    A record that is no announcement is handed to ``on_bad_record`` and skipped: the topic is compacted and may be
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
        on_bad_record: BadRecord = log_bad_record,
        on_watchdog: Callable[[], None] = exit_process,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._on_bad_record = on_bad_record
        self._caught_up = False
        self._reconnect = Reconnect()
        self._spent: SpentConsumerError | None = None
        self._consumer: Any = None
        self._connect()
        self._watchdog = Watchdog(on_watchdog)

    def poll(self) -> Sequence[Announcement]:
        """See ``ports.ConfigFeed``. After a record that cannot be read, it starts over at the topic's beginning.

        Raises:
            ServiceUnavailableError: the first call could not read to the end of the topic, or a record cannot be read.
        """
        self._renew_in_time()
        try:
            with (
                self._watchdog.guard("reading announcements", _POLL_LIMIT_S),
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
        """See ``ports.ConfigFeed``."""
        self._disconnect()
        self._watchdog.close()

    def _connect(self) -> None:
        try:
            with translated_errors(self._connection, self._topic):
                self._consumer = clients.lone_consumer(self._connection, max_record_bytes=_MAX_RECORD_BYTES)
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

    def _catch_up(self) -> Sequence[Announcement]:
        partitions.seek_to_beginning(self._consumer, self._partitions)
        ends = partitions.end_offsets(self._consumer, self._partitions)
        deadline_s = time.monotonic() + _CATCH_UP_TIMEOUT_S
        arrived: list[Announcement] = []
        while not partitions.reached(self._consumer, ends):
            arrived.extend(self._decode(self._consumer.poll(timeout_ms=200)))
            if time.monotonic() > deadline_s:
                raise ServiceUnavailableError(
                    f"to read {self._topic} within {_CATCH_UP_TIMEOUT_S:.0f} s",
                    f"{len(arrived)} announcements so far",
                    "check the brokers, then try again",
                )
        return live_versions(arrived)

    def _drain(self) -> Sequence[Announcement]:
        arrived: list[Announcement] = []
        while batches := self._consumer.poll(timeout_ms=0):
            arrived.extend(self._decode(batches))
        return arrived

    def _decode(self, batches: dict[Any, Sequence[Any]]) -> Sequence[Announcement]:
        decoded: list[Announcement] = []
        for record in (records.to_log_record(raw) for batch in batches.values() for raw in batch):
            try:
                decoded.append(decode_announcement(record))
            except BadInputError as error:
                self._on_bad_record(record, error)
        return decoded


def announce(connection: KafkaConnection, topic: str, announcement: Announcement) -> None:
    """Publish an announcement and wait until the brokers have it.

    Raises:
        ServiceUnavailableError: they did not confirm it within 10 s.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic):
        producer = clients.idempotent_producer(
            connection,
            max_record_bytes=_MAX_RECORD_BYTES,
            delivery_timeout_ms=int(_ACK_TIMEOUT_S * 1000),
            max_block_ms=int(_ACK_TIMEOUT_S * 1000),
        )
        try:
            clients.require_writable(producer, topic, connection)
            sent = producer.send(topic, key=announcement.key.encode(), value=to_json(announcement))
            sent.get(timeout=_ACK_TIMEOUT_S)
        finally:
            clients.close_producer(producer, _CLOSE_TIMEOUT_S)

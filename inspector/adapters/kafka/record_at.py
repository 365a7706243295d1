"""Single records by where they stand: what a result's ``source`` names, while Kafka keeps it."""

from __future__ import annotations

import time
from typing import Any

from kafka.structs import TopicPartition

from inspector.adapters.kafka import clients, records
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.adapters.kafka.reading import SpentConsumerError, reading
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import LogRecord

_POLL_MS = 200
_OFFSETS_TIMEOUT_MS = 10_000
_ANSWER_LIMIT_S = 20.0
_CLOSE_TIMEOUT_S = 2.0


class RecordReader:
    """Reads records of one topic, one at a time; connected when the first is asked for.

    Made anew, a topic has other records at the same places: hold what comes against what was looked for.
    """

    def __init__(self, connection: KafkaConnection, topic: str, max_record_bytes: int) -> None:
        self._connection = connection
        self._topic = topic
        self._max_record_bytes = max_record_bytes
        self._consumer: Any = None
        self._kept: dict[TopicPartition, tuple[int, int]] = {}

    def record_at(self, source: FrameSource) -> LogRecord | None:
        """Return the record that stands there; None where it is not kept (any more), or of another topic.

        Raises:
            ServiceUnavailableError: the brokers cannot be reached.
            CredentialsError: they refuse us.
            BadInputError: there is no such topic.
        """
        if source.topic != self._topic:
            return None
        place = TopicPartition(source.topic, source.partition)
        oldest, end = self._range(place)
        if not oldest <= source.offset < end:
            return None
        try:
            return self._read(place, source.offset)
        except SpentConsumerError:
            self.close()
            raise

    def close(self) -> None:
        """Close; never raises."""
        if self._consumer is not None:
            clients.close_consumer(self._consumer, _CLOSE_TIMEOUT_S)
        self._consumer = None
        self._kept = {}

    def _range(self, place: TopicPartition) -> tuple[int, int]:
        """Return the oldest offset kept and the one past the newest, as they were when first asked for."""
        with translated_errors(self._connection, self._topic):
            if self._consumer is None:
                self._consumer = clients.lone_consumer(self._connection, max_record_bytes=self._max_record_bytes)
                clients.require_topics(self._consumer, (self._topic,), self._connection)
            if place not in self._kept:
                if place.partition not in (self._consumer.partitions_for_topic(self._topic) or ()):
                    return 0, 0
                oldest = self._consumer.beginning_offsets([place], timeout_ms=_OFFSETS_TIMEOUT_MS)[place]
                end = self._consumer.end_offsets([place], timeout_ms=_OFFSETS_TIMEOUT_MS)[place]
                self._kept[place] = oldest, end
            return self._kept[place]

    def _read(self, place: TopicPartition, offset: int) -> LogRecord | None:
        until_s = time.monotonic() + _ANSWER_LIMIT_S
        with reading(self._consumer, self._connection, self._topic):
            self._consumer.assign([place])
            self._consumer.seek(place, offset)
            while time.monotonic() < until_s:
                for raw in self._consumer.poll(timeout_ms=_POLL_MS, max_records=1).get(place, ()):
                    # Beyond it where the record went since its range was asked for.
                    return records.to_log_record(raw) if raw.offset == offset else None
        raise ServiceUnavailableError(
            f"the record at offset {offset} of {place.topic}/{place.partition}",
            f"none in {_ANSWER_LIMIT_S:.0f} s",
            "check the brokers' load",
        )

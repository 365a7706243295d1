"""The config topic: announcements of versions, read from its beginning (ports.ConfigFeed) and written."""

from __future__ import annotations

from collections.abc import Callable

from inspector.adapters.announcements import decode_announcement
from inspector.adapters.kafka.compacted_feed import MAX_RECORD_BYTES, CompactedFeed
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.small_records import BadRecord, log_bad_record, publish
from inspector.adapters.kafka.watchdog import exit_process
from inspector.domain.artefact import Announcement
from inspector.domain.records import to_json


class KafkaConfigFeed(CompactedFeed[Announcement]):
    """Announcements, each inspector sees every one. Raises as ``CompactedFeed``."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        on_bad_record: BadRecord = log_bad_record,
        on_watchdog: Callable[[], None] = exit_process,
    ) -> None:
        super().__init__(connection, topic, decode_announcement, on_bad_record, on_watchdog)


def announce(connection: KafkaConnection, topic: str, announcement: Announcement) -> None:
    """Publish an announcement and wait until the brokers have it. Raises as ``publish``."""
    publish(connection, topic, announcement.key, to_json(announcement), max_record_bytes=MAX_RECORD_BYTES)

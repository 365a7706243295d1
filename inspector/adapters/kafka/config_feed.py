"""The config topic: announcements of versions, read from its beginning (ports.ConfigFeed) and written."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inspector.adapters.announcements import decode_announcement
from inspector.adapters.kafka.compacted_feed import BadRecord, CompactedFeed, publish
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.watchdog import exit_process
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)


def log_bad_record(record: LogRecord, error: BadInputError) -> None:
    """Report a record of the config topic that is no announcement."""
    _log.warning("skipped %s on the config topic: %s", record.source, error)


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
    publish(connection, topic, announcement.key, to_json(announcement))

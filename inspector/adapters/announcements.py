"""Records of the config topic to announcements, the same way whatever the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.pipeline.ports import LogRecord


def decode_announcement(record: LogRecord) -> Announcement:
    """Return the announcement in a record.

    Raises:
        BadInputError: there is none, it is of another schema, or its key is not the record's.
    """
    announcement = from_json(Announcement, record.value or b"")
    if record.key != announcement.key.encode():
        # Compaction goes by the key: under a wrong one, an old version would outlive the new one.
        raise BadInputError(f"key {announcement.key}", repr(record.key), "correct what wrote the record")
    return announcement


def live_versions(announcements: Iterable[Announcement]) -> Sequence[Announcement]:
    """Return the last announcement of each kind and subject, in the order of these last ones."""
    live: dict[str, Announcement] = {}
    for announcement in announcements:
        live.pop(announcement.key, None)
        live[announcement.key] = announcement
    return tuple(live.values())

"""Records of the compacted topics (config, weights) to ours, the same way whatever the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.domain.release import ROLLOUT_KEY, Rollout, WeightsRelease
from inspector.pipeline.ports import LogRecord


class Keyed(Protocol):
    """A record of a compacted topic."""

    @property
    def key(self) -> str:
        """The compaction key."""
        ...


T = TypeVar("T", bound=Keyed)


def decode_announcement(record: LogRecord) -> Announcement:
    """Return the announcement in a record.

    Raises:
        BadInputError: there is none, it is of another schema, or its key is not the record's.
    """
    return _under_its_key(record, from_json(Announcement, record.value or b""))


def decode_weights_record(record: LogRecord) -> WeightsRelease | Rollout:
    """Return the release or the rollout in a record. Raises as ``decode_announcement``."""
    if record.key == ROLLOUT_KEY.encode():
        return _under_its_key(record, from_json(Rollout, record.value or b""))
    return _under_its_key(record, from_json(WeightsRelease, record.value or b""))


def live_records(records: Iterable[T]) -> Sequence[T]:
    """Return the last record of each key, in the order of these last ones."""
    live: dict[str, T] = {}
    for record in records:
        live.pop(record.key, None)
        live[record.key] = record
    return tuple(live.values())


def _under_its_key(record: LogRecord, decoded: T) -> T:
    if record.key != decoded.key.encode():
        # Compaction goes by the key: under a wrong one, an old version would outlive the new one.
        raise BadInputError(f"key {decoded.key}", repr(record.key), "correct what wrote the record")
    return decoded

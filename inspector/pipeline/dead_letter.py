"""The dead letter: what could not be inspected, as it came, with where it came from and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Dropped, Rejected, RejectReason
from inspector.domain.schema_version import require_readable
from inspector.pipeline.ports import OutRecord

DEAD_LETTER_SCHEMA = "inspection.dead-letter/1"
DROPPED = "dropped"
"""The ``reason`` of a frame that was not rejected but left out under the drop policy."""

_MAX_DETAIL_BYTES = 1024
_MAX_KEY_BYTES = 1024
_MAX_ORIGINAL_HEADERS = 64
_MAX_ORIGINAL_HEADER_BYTES = 1024


def encode(rejected: Rejected, topic: str, max_bytes: int) -> OutRecord:
    """Make the dead letter of a rejected frame: one with the raw bytes where they fit, else a reference to them.

    A duplicate is always referenced: the first copy of the frame was inspected. The letter depends on the frame alone,
    so that a repeated commit writes the same bytes.
    """
    digest = hashlib.sha256(rejected.raw).hexdigest()
    fits = len(rejected.raw) <= max_bytes and rejected.reason is not RejectReason.DUPLICATE
    value = rejected.raw if fits else _reference(rejected.source, len(rejected.raw), digest)
    headers = {
        "schema": DEAD_LETTER_SCHEMA,
        "reason": rejected.reason.value,
        "detail": rejected.detail,
        "topic": rejected.source.topic,
        "partition": str(rejected.source.partition),
        "offset": str(rejected.source.offset),
        "attempts": str(rejected.attempts),
        "payload": "raw" if fits else "reference",
        "size_bytes": str(len(rejected.raw)),
        "sha256": digest,
        "frame_id": rejected.frame_id or "",
        "camera_id": rejected.camera_id or "",
        **_key_facts(rejected.key),
    }
    own = tuple((name, text.encode(errors="replace")[:_MAX_DETAIL_BYTES]) for name, text in headers.items() if text)
    key = None if _too_long(rejected.key) else rejected.key
    return OutRecord(topic, key, value, (*own, *_originals(rejected.headers)))


@dataclass(frozen=True, slots=True)
class LetterOrigin:
    """Which frame a dead letter is of, and why it was rejected."""

    source: FrameSource
    reason: str


def read_source(headers: Sequence[tuple[str, bytes]]) -> LetterOrigin | None:
    """Return what the headers of a dead letter say of its frame; None where they are no dead letter's.

    Raises:
        BadInputError: it is a dead letter of another major version.
    """
    # Ours come first: an original header of the same name stands behind them, under a name of its own.
    text = {name: value.decode(errors="replace") for name, value in reversed(headers)}
    schema = text.get("schema", "")
    if schema.partition("/")[0] != DEAD_LETTER_SCHEMA.partition("/")[0]:
        return None
    require_readable(schema, DEAD_LETTER_SCHEMA)
    partition, offset = text.get("partition", ""), text.get("offset", "")
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return LetterOrigin(FrameSource(text.get("topic", ""), int(partition), int(offset)), text.get("reason", ""))


def encode_dropped(dropped: Dropped, topic: str) -> OutRecord:
    """Make the dead letter of a frame that the drop policy left out: a reference to it, with its sha256."""
    source, captured_at = dropped.source, dropped.captured_at
    headers = {
        "schema": DEAD_LETTER_SCHEMA,
        "reason": DROPPED,
        "detail": f"{dropped.reason.value}: {dropped.detail}",
        "topic": source.topic,
        "partition": str(source.partition),
        "offset": str(source.offset),
        "attempts": "0",
        "payload": "reference",
        "size_bytes": str(dropped.size_bytes),
        "sha256": dropped.sha256,
        "frame_id": dropped.frame_id or "",
        "camera_id": dropped.camera_id or "",
        "captured_at": "" if captured_at is None else captured_at.isoformat(),
        **_key_facts(dropped.key),
    }
    own = tuple((name, text.encode(errors="replace")[:_MAX_DETAIL_BYTES]) for name, text in headers.items() if text)
    value = _reference(source, dropped.size_bytes, dropped.sha256)
    return OutRecord(topic, None if _too_long(dropped.key) else dropped.key, value, own)


def _too_long(key: bytes | None) -> bool:
    return key is not None and len(key) > _MAX_KEY_BYTES


def _key_facts(key: bytes | None) -> dict[str, str]:
    """Say what a key was that is left out for its length; a key of megabytes would make a letter nobody takes."""
    if key is None or not _too_long(key):
        return {}
    return {"key_sha256": hashlib.sha256(key).hexdigest(), "key_size_bytes": str(len(key))}


def _reference(source: FrameSource, size_bytes: int, digest: str) -> bytes:
    return json.dumps(
        {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "sha256": digest,
            "size_bytes": size_bytes,
        }
    ).encode()


def _originals(headers: tuple[tuple[str, bytes], ...]) -> Iterator[tuple[str, bytes]]:
    # Bounded: a hostile producer must not be able to make a dead letter that the topic refuses.
    for name, value in headers[:_MAX_ORIGINAL_HEADERS]:
        yield f"original.{name[:256]}", (value or b"")[:_MAX_ORIGINAL_HEADER_BYTES]

"""The frames topic's record: headers to ``FrameMeta`` and back.

A stranger's producer needs only an image as value and a camera id as key; what is missing gets defaults that are the
same on every replay. What is there but wrong is rejected: a guess would file a defect under the wrong part.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import FRAME_SCHEMA, Frame, FrameMeta, FrameSource
from inspector.domain.outcome import RejectReason
from inspector.domain.product import CameraSettings
from inspector.domain.schema_version import readable
from inspector.pipeline.ports import LogRecord

MAX_ID_CHARS = 128
CONTENT_TYPES = ("image/jpeg", "image/png")

_TEXT_HEADERS = ("frame_id", "camera_id", "line_id", "product", "part_id", "lot", "view")
_KNOWN_HEADERS = frozenset((*_TEXT_HEADERS, "captured_at", "content_type", "schema", "traceparent"))
_FRAME_NAMESPACE = uuid.UUID("0d5a0b5e-2f6c-5a57-9d0e-7b6f0a3c4e21")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAGIC = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))

CameraLookup = Callable[[str], CameraSettings | None]


def encode_headers(meta: FrameMeta) -> tuple[tuple[str, bytes], ...]:
    """Return the record headers that ``parse`` reads back; empty fields are left out."""
    values = {
        "schema": FRAME_SCHEMA,
        "frame_id": meta.frame_id,
        "camera_id": meta.camera_id,
        "line_id": meta.line_id,
        "product": meta.product,
        "captured_at": meta.captured_at.astimezone(UTC).isoformat(),
        "content_type": meta.content_type,
        "part_id": meta.part_id,
        "lot": meta.lot,
        "view": meta.view,
        "traceparent": meta.traceparent,
    }
    return tuple((name, value.encode()) for name, value in values.items() if value)


def parse(record: LogRecord, find_camera: CameraLookup, max_bytes: int) -> Frame:
    """Make a frame of a record. ``find_camera`` returns a camera's settings, or None for one that may not be served.

    Raises:
        FrameRejectedError: the record cannot be a frame; its reason says why.
    """
    headers = _text_headers(record.headers)
    if not readable(schema := headers.get("schema", FRAME_SCHEMA), FRAME_SCHEMA):
        raise FrameRejectedError(RejectReason.UNKNOWN_SCHEMA, f"expected schema {FRAME_SCHEMA}, got {schema}")
    camera_id = _camera_id(headers.get("camera_id"), record.key)
    image = _image(record.value, max_bytes)
    camera = find_camera(camera_id)
    if camera is None:
        raise FrameRejectedError(RejectReason.UNKNOWN_CAMERA, f"camera {camera_id} is not in cameras.*")
    meta = FrameMeta(
        frame_id=headers.get("frame_id") or default_frame_id(record.source),
        camera_id=camera_id,
        line_id=headers.get("line_id") or camera.line_id,
        product=headers.get("product") or camera.product,
        captured_at=_captured_at(headers.get("captured_at"), record.timestamp_ms),
        content_type=_content_type(headers.get("content_type"), image),
        part_id=headers.get("part_id"),
        lot=headers.get("lot"),
        view=headers.get("view"),
        traceparent=_traceparent(headers.get("traceparent")),
    )
    return Frame(meta, record.source, image)


def default_frame_id(source: FrameSource) -> str:
    """Return the id of a frame that came without one: a function of its position, so a replay repeats it."""
    return str(uuid.uuid5(_FRAME_NAMESPACE, f"{source.topic}/{source.partition}/{source.offset}"))


def peek_ids(record: LogRecord) -> tuple[str | None, str | None]:
    """Return (frame_id, camera_id) of a record that failed to parse, as far as they can be read at all."""
    found: dict[str, str] = {}
    for name, value in record.headers:
        if name in ("frame_id", "camera_id") and name not in found and (text := _printable(value)):
            found[name] = text
    return found.get("frame_id"), found.get("camera_id") or _printable(record.key or b"")


def _text_headers(headers: Sequence[tuple[str, bytes]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if name not in _KNOWN_HEADERS:
            continue
        if name in found:
            raise FrameRejectedError(RejectReason.MALFORMED_HEADER, f"header {name} came twice")
        text = _printable(value)
        if text is None:
            raise FrameRejectedError(
                RejectReason.MALFORMED_HEADER,
                f"header {name}: expected 1..{MAX_ID_CHARS} printable characters, got {len(value or b'')} bytes",
            )
        found[name] = text
    return found


def _printable(value: bytes) -> str | None:
    if not value or len(value) > 4 * MAX_ID_CHARS:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and text.strip() == text and len(text) <= MAX_ID_CHARS else None


def _camera_id(header: str | None, key: bytes | None) -> str:
    from_key = _printable(key) if key else None
    if header is not None:
        if key and from_key != header:
            raise FrameRejectedError(
                RejectReason.CAMERA_ID_CONFLICT, f"header camera_id is {header!r}, the record's key is {key[:64]!r}"
            )
        return header
    if from_key is not None:
        return from_key
    if key:
        raise FrameRejectedError(RejectReason.MALFORMED_HEADER, "the key is no printable camera id")
    raise FrameRejectedError(RejectReason.NO_CAMERA_ID, "expected a camera_id header or the camera's id as key")


def _image(value: bytes | None, max_bytes: int) -> bytes:
    if not value:
        raise FrameRejectedError(RejectReason.EMPTY, "the record has no bytes")
    if len(value) > max_bytes:
        raise FrameRejectedError(RejectReason.TOO_LARGE, f"expected at most {max_bytes} bytes, got {len(value)}")
    return value


def _captured_at(text: str | None, timestamp_ms: int) -> datetime:
    if text is None:
        return _from_timestamp(timestamp_ms)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FrameRejectedError(
            RejectReason.MALFORMED_HEADER, f"captured_at: expected RFC 3339 with a zone, got {text!r}"
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise FrameRejectedError(RejectReason.MALFORMED_HEADER, f"captured_at: out of range: {text!r}") from error


def _from_timestamp(timestamp_ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(max(0, timestamp_ms) / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        detail = f"the record's timestamp is no date: {timestamp_ms} ms"
        raise FrameRejectedError(RejectReason.MALFORMED_HEADER, detail) from error


def _content_type(text: str | None, image: bytes) -> str:
    if text is None:
        return next((name for magic, name in _MAGIC if image.startswith(magic)), "application/octet-stream")
    if text not in CONTENT_TYPES:
        raise FrameRejectedError(RejectReason.CONTENT_TYPE, f"expected one of {', '.join(CONTENT_TYPES)}, got {text!r}")
    return text


def _traceparent(text: str | None) -> str | None:
    # W3C Trace Context, section 4: a receiver ignores a traceparent that it cannot parse.
    return text if text and _TRACEPARENT.fullmatch(text) else None

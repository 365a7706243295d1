from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import FrameMeta, FrameSource
from inspector.domain.outcome import RejectReason
from inspector.domain.product import CameraSettings
from inspector.pipeline.frame_record import MAX_ID_CHARS, encode_headers, parse, peek_ids
from inspector.pipeline.ports import LogRecord

JPEG = b"\xff\xd8\xff\xe0 not really"
CAMERA = CameraSettings(product="plate", line_id="line-7")


def record(
    value: bytes | None = JPEG,
    key: bytes | None = b"cam1",
    headers: tuple[tuple[str, bytes], ...] = (),
    offset: int = 3,
) -> LogRecord:
    return LogRecord(FrameSource("frames", 2, offset), 1_700_000_000_123, key, value, headers)


def reason_of(rec: LogRecord) -> RejectReason:
    with pytest.raises(FrameRejectedError) as caught:
        parse(rec, lambda _: CAMERA, max_bytes=1000)
    return caught.value.reason


def test_a_strangers_record_needs_only_an_image_and_a_camera_id_as_key() -> None:
    frame = parse(record(), lambda _: CAMERA, max_bytes=1000)
    again = parse(record(), lambda _: CAMERA, max_bytes=1000)
    assert frame == again  # a replay repeats every default
    assert frame.meta.camera_id == "cam1"
    assert frame.meta.captured_at == datetime.fromtimestamp(1_700_000_000.123, UTC)
    assert frame.meta.content_type == "image/jpeg"
    assert (frame.meta.product, frame.meta.line_id) == ("plate", "line-7")
    assert frame.meta.frame_id != parse(record(offset=4), lambda _: CAMERA, max_bytes=1000).meta.frame_id


def test_a_frame_of_the_next_minor_version_is_taken_and_its_new_headers_are_ignored() -> None:
    newer = (("schema", b"inspection.frame/1.4"), ("exposure_us", b"\xff\xfe"), ("part_id", b"p9"))
    assert parse(record(headers=newer), lambda _: CAMERA, max_bytes=1000).meta.part_id == "p9"
    assert reason_of(record(headers=(("schema", b"inspection.frame/2.0"),))) is RejectReason.UNKNOWN_SCHEMA


ids = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=MAX_ID_CHARS)


@given(
    st.builds(
        FrameMeta,
        frame_id=ids,
        camera_id=ids,
        line_id=ids,
        product=ids,
        captured_at=st.datetimes(timezones=st.just(UTC)),
        content_type=st.sampled_from(["image/jpeg", "image/png"]),
        part_id=st.none() | ids,
        lot=st.none() | ids,
        view=st.none() | ids,
        traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    )
)
def test_what_a_producer_writes_is_what_an_inspector_reads(meta: FrameMeta) -> None:
    rec = record(key=meta.camera_id.encode(), headers=encode_headers(meta))
    assert parse(rec, lambda _: CAMERA, max_bytes=1000).meta == meta


def test_times_with_another_zone_become_utc() -> None:
    local = datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=5)))
    rec = record(headers=(("captured_at", local.isoformat().encode()),))
    assert parse(rec, lambda _: CAMERA, max_bytes=1000).meta.captured_at.isoformat() == "2026-01-01T22:04:00+00:00"


@pytest.mark.parametrize(
    ("rec", "reason"),
    [
        (record(value=b""), RejectReason.EMPTY),
        (record(value=None), RejectReason.EMPTY),
        (record(value=JPEG + bytes(1000)), RejectReason.TOO_LARGE),
        (record(key=None), RejectReason.NO_CAMERA_ID),
        (record(key=b"\xff\xfe"), RejectReason.MALFORMED_HEADER),
        (record(key=b"cam2", headers=(("camera_id", b"cam1"),)), RejectReason.CAMERA_ID_CONFLICT),
        (record(headers=(("schema", b"inspection.frame/9"),)), RejectReason.UNKNOWN_SCHEMA),
        (record(headers=(("content_type", b"image/gif"),)), RejectReason.CONTENT_TYPE),
        (record(headers=(("captured_at", b"yesterday"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("captured_at", b"2026-01-01T00:00:00"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("captured_at", b"0001-01-01T00:00:00+23:00"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("part_id", b"\xff\xfe"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("lot", b"a\r\nb"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("lot", b"\x1b[31mred"),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("frame_id", b"x" * 10_000),)), RejectReason.MALFORMED_HEADER),
        (record(headers=(("frame_id", b"a"), ("frame_id", b"b"))), RejectReason.MALFORMED_HEADER),
    ],
)
def test_what_is_there_but_wrong_is_rejected_with_its_reason(rec: LogRecord, reason: RejectReason) -> None:
    assert reason_of(rec) is reason


@pytest.mark.parametrize("timestamp_ms", [253_402_300_800_000, 2**62])
def test_a_timestamp_beyond_every_calendar_is_rejected(timestamp_ms: int) -> None:
    rec = LogRecord(FrameSource("frames", 0, 0), timestamp_ms, b"cam1", JPEG)
    assert reason_of(rec) is RejectReason.MALFORMED_HEADER


def test_a_camera_that_may_not_be_served_is_rejected() -> None:
    with pytest.raises(FrameRejectedError) as caught:
        parse(record(), lambda _: None, max_bytes=1000)
    assert caught.value.reason is RejectReason.UNKNOWN_CAMERA


def test_a_broken_traceparent_is_ignored_and_unknown_headers_are_too() -> None:
    rec = record(headers=(("traceparent", b"nonsense"), ("x-other", b"\xff\xff")))
    assert parse(rec, lambda _: CAMERA, max_bytes=1000).meta.traceparent is None


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=40)), max_size=5))
def test_no_record_whatever_it_holds_does_anything_but_parse_or_reject(
    key: bytes, headers: list[tuple[str, bytes]]
) -> None:
    rec = record(key=key, headers=tuple(headers))
    with suppress(FrameRejectedError):
        parse(rec, lambda _: CAMERA, max_bytes=1000)
    frame_id, camera_id = peek_ids(rec)
    assert frame_id is None or frame_id.isprintable()
    assert camera_id is None or camera_id.isprintable()

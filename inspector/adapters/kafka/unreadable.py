"""Batches of records that cannot be read are handed out as one record each, so that none stops a partition for good."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Iterator
from typing import Any

from kafka import errors
from kafka.record import default_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

_log = logging.getLogger(__name__)

UNREADABLE_SCHEMA = "unreadable-record-batch"

# Far above what a batch of frames unpacks to, and below what a worker can hold.
_MAX_UNPACKED_BYTES = 128 * 1024 * 1024


def hand_out_unreadable_batches() -> None:
    """Make kafka-python yield one record in the place of a batch, or the rest of one, that it cannot read.

    Any producer can write such a batch: compressed with a codec that is not installed, a bomb, or with records that
    are not what they should be. kafka-python 3.0.12 raises at it, and does not come back from the next poll: it
    asks a generator that has ended by the exception for more, without end.

    The record stands at the batch's last offset, so that committing it passes the whole batch. Its value is the batch
    as it came (in part unpacked if the fault is inside), its ``schema`` header ``UNREADABLE_SCHEMA``, which no reader
    takes for its own, and its ``unreadable`` header says why. A checksum that does not fit is not covered: the batch
    may be whole at the broker, so it has to be fetched again.
    """
    if DefaultRecordBatch.__iter__ is _readable_records:
        return
    default_records.gzip_decode = _bounded_gzip_decode
    DefaultRecordBatch.__iter__ = _readable_records


_unpacked = DefaultRecordBatch.__iter__


def _readable_records(batch: Any) -> Iterator[Any]:
    records = _strict_records(batch)
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except MemoryError:
            raise  # ours, not the batch's
        except Exception as error:
            fault = error
            break
        yield record
    yield _stand_in(batch, fault)


def _strict_records(batch: Any) -> Iterator[Any]:
    _unpacked(batch)
    for _ in range(batch.records_count):
        yield next(batch)
    next(batch, None)  # raises where bytes are left over


def _stand_in(batch: Any, error: Exception) -> Any:
    why = f"offsets {batch.base_offset} to {batch.last_offset}: {error!r}"
    _log.warning("a batch of records cannot be read and is handed out as it came; %s", why)
    raw = bytes(batch._buffer)
    headers = [("schema", UNREADABLE_SCHEMA.encode()), ("unreadable", why.encode(errors="replace"))]
    return DefaultRecord(len(raw), batch.last_offset, batch.max_timestamp, batch.timestamp_type, None, raw, headers)


def _bounded_gzip_decode(payload: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as packed:
        unpacked = packed.read(_MAX_UNPACKED_BYTES + 1)
    if len(unpacked) > _MAX_UNPACKED_BYTES:
        raise errors.CorruptRecordError(f"it unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
    return unpacked

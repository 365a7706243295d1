"""A producer that compresses with lz4, for which no library is needed: a frame of plain blocks is an lz4 frame too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatchBuilder

_HEADER = bytes.fromhex("04224d18604082")  # independent blocks of at most 64 KiB, and the header's checksum
_STORED = 0x8000_0000
_END = bytes(4)


@contextmanager
def lz4_producer(bootstrap: str) -> Iterator[KafkaProducer]:
    """Yield the producer; nothing outside the block learns to read what it writes."""
    codec = {"lz4": (lambda: True, DefaultRecordBatchBuilder.CODEC_LZ4)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KafkaProducer, "_COMPRESSORS", KafkaProducer._COMPRESSORS | codec)
        patch.setattr(DefaultRecordBatchBuilder, "_maybe_compress", _compress)
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4")
        try:
            yield producer
        finally:
            producer.close()


def _compress(builder: Any) -> bool:
    start = builder.HEADER_STRUCT.size
    plain = bytes(builder._buffer[start:])
    builder._buffer[start:] = _HEADER + struct.pack("<I", _STORED | len(plain)) + plain + _END
    return True

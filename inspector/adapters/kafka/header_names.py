"""Header names that are no UTF-8: read as escapes, so that one such frame cannot stop a partition for good."""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch


class _EscapingBytes(bytes):
    """Bytes whose slices decode whatever they hold; what is no UTF-8 comes out as ``\\xNN``."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _EscapingBytes(found) if isinstance(found, bytes) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def accept_any_header_name() -> None:
    """Make kafka-python read records with such names instead of raising ``UnicodeDecodeError`` at every poll for ever.

    Kafka's protocol asks for UTF-8, its brokers do not check, so any producer can write such a record. kafka-python
    3.0.12 decodes strictly in a method that leaves the position unchanged when it fails: a second try is sound.
    """
    strict = DefaultRecordBatch._read_msg
    if getattr(strict, "accepts_any_header_name", False):
        return

    def read(batch: Any) -> Any:
        try:
            return strict(batch)
        except UnicodeDecodeError:
            buffer = batch._buffer
            batch._buffer = _EscapingBytes(buffer)
            try:
                return strict(batch)
            finally:
                batch._buffer = buffer

    read.accepts_any_header_name = True  # type: ignore[attr-defined]  # a mark on our own function
    DefaultRecordBatch._read_msg = read

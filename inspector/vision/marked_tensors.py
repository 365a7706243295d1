"""What a safetensors file of ours says it is: one metadata entry of a schema and a record, read before any tensor."""

from __future__ import annotations

import json

from inspector.domain.records import to_json
from inspector.domain.schema_version import readable

MAX_HEADER_BYTES = 2**20
_LENGTH_BYTES = 8  # safetensors: little-endian header length, then the header as JSON, then the tensors
_INFO = "info"


class UnmarkedError(ValueError):
    """The bytes do not say that they are of the schema; the message says what they are instead."""


def mark(schema: str, record: object) -> dict[str, str]:
    """Return the metadata to save tensors with.

    One entry only: safetensors does not promise an order for several, and files are known by the hash of their bytes.
    """
    return {_INFO: f"{schema}\n{to_json(record).decode()}"}


def marked_record(data: bytes, schema: str) -> str:
    """Return the record (JSON) of a file's bytes, untrusted. safetensors itself gives metadata of files on disk only.

    Raises:
        UnmarkedError: no readable header, no such metadata, or another schema or major version.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length]) if length <= MAX_HEADER_BYTES else None
    except (ValueError, RecursionError) as error:
        raise UnmarkedError("no safetensors header") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get(_INFO) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise UnmarkedError("no metadata")
    found, _, record = text.partition("\n")
    if not readable(found, schema):
        raise UnmarkedError(f"schema {found[:60]!r}")
    return record

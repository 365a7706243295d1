"""Records to and from JSON, and their published JSON Schemas.

The dataclasses of this package are the schema: validation, codec and published schema come from the same lines.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from inspector.domain.alert import ALERT_SCHEMA, Alert
from inspector.domain.artefact import CONFIG_SCHEMA, Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.report import REPORT_SCHEMA, FrameReport
from inspector.domain.result import RESULT_SCHEMA, InspectionResult
from inspector.domain.weights import WEIGHTS_SCHEMA, WeightsManifest

T = TypeVar("T")

SCHEMAS: dict[str, type] = {
    "result": InspectionResult,
    "alert": Alert,
    "config": Announcement,
    "weights": WeightsManifest,
    "report": FrameReport,
}
SCHEMA_IDS = {
    "result": RESULT_SCHEMA,
    "alert": ALERT_SCHEMA,
    "config": CONFIG_SCHEMA,
    "weights": WEIGHTS_SCHEMA,
    "report": REPORT_SCHEMA,
}


_adapters: dict[type, TypeAdapter[Any]] = {}


def _adapter(record_type: type) -> TypeAdapter[Any]:
    if record_type not in _adapters:
        _adapters[record_type] = TypeAdapter(record_type)
    return _adapters[record_type]


def to_json(record: object) -> bytes:
    """Encode a record as compact UTF-8 JSON; times are RFC 3339 in UTC."""
    return _adapter(type(record)).dump_json(record)


def from_json(record_type: type[T], data: bytes | str) -> T:
    """Decode a record.

    Raises:
        BadInputError: ``data`` is not JSON of that record, or the record refuses a value.
    """
    try:
        record: T = _adapter(record_type).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or "the record"
        raise BadInputError(
            f"a valid {record_type.__name__} as JSON",
            f"{first['msg']} at {place}",
            "check what wrote the record against `inspector schema`",
        ) from error
    return record


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of record ``name`` (a key of ``SCHEMAS``)."""
    schema = _adapter(SCHEMAS[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA_IDS[name]}", **schema}

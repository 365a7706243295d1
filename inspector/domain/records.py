"""Records to and from JSON, and their published JSON Schemas.

The dataclasses of this package are the schema: validation, codec and published schema come from the same lines.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from inspector.domain.alert import ALERT_SCHEMA, Alert
from inspector.domain.artefact import CONFIG_SCHEMA, Announcement
from inspector.domain.drift import BASELINE_SCHEMA, DRIFT_SCHEMA, CameraDrift, DriftBaseline
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import FEEDBACK_SCHEMA, Feedback
from inspector.domain.gate import GATE_SCHEMA, GateDecision
from inspector.domain.reject_alert import REJECT_ALERT_SCHEMA, RejectAlert
from inspector.domain.release import RELEASE_SCHEMA, ROLLOUT_SCHEMA, Rollout, WeightsRelease
from inspector.domain.report import REPORT_SCHEMA, FrameReport
from inspector.domain.result import RESULT_SCHEMA, InspectionResult
from inspector.domain.sample import SAMPLE_SCHEMA, Sample
from inspector.domain.schema_version import require_readable
from inspector.domain.trainer_run import TRAINER_RUN_SCHEMA, TrainerRun
from inspector.domain.weights import WEIGHTS_SCHEMA, WeightsManifest
from inspector.domain.whatif import WHATIF_SCHEMA, WhatIf

T = TypeVar("T")

SCHEMAS: dict[str, type] = {
    "result": InspectionResult,
    "alert": Alert,
    "reject-alert": RejectAlert,
    "config": Announcement,
    "weights": WeightsManifest,
    "report": FrameReport,
    "sample": Sample,
    "feedback": Feedback,
    "release": WeightsRelease,
    "rollout": Rollout,
    "gate": GateDecision,
    "trainer-run": TrainerRun,
    "drift": CameraDrift,
    "drift-baseline": DriftBaseline,
    "whatif": WhatIf,
}
SCHEMA_IDS = {
    "result": RESULT_SCHEMA,
    "alert": ALERT_SCHEMA,
    "reject-alert": REJECT_ALERT_SCHEMA,
    "config": CONFIG_SCHEMA,
    "weights": WEIGHTS_SCHEMA,
    "report": REPORT_SCHEMA,
    "sample": SAMPLE_SCHEMA,
    "feedback": FEEDBACK_SCHEMA,
    "release": RELEASE_SCHEMA,
    "rollout": ROLLOUT_SCHEMA,
    "gate": GATE_SCHEMA,
    "trainer-run": TRAINER_RUN_SCHEMA,
    "drift": DRIFT_SCHEMA,
    "drift-baseline": BASELINE_SCHEMA,
    "whatif": WHATIF_SCHEMA,
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
    """Decode a record; fields that are not known, as those of a newer minor version are, are ignored.

    Raises:
        BadInputError: ``data`` is not JSON of that record, the record refuses a value, or it says that it is of another
            schema or major version.
    """
    known = _known_schema(record_type)
    try:
        record: T = _adapter(record_type).validate_json(data)
    except ValidationError as error:
        if known is not None:
            # Of another major version, that is what is wrong with it, and not the first field that does not fit.
            require_readable(_said_schema(data, known), known)
        first = error.errors(include_url=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or "the record"
        raise BadInputError(
            f"a valid {record_type.__name__} as JSON",
            f"{first['msg']} at {place}",
            "check what wrote the record against `inspector schema`",
        ) from error
    if known is not None:
        require_readable(getattr(record, "schema", known), known)
    return record


def _known_schema(record_type: type) -> str | None:
    """Return the schema that a record type names as the default of its field ``schema``, if it has one."""
    if not is_dataclass(record_type):
        return None
    found = (field.default for field in fields(record_type) if field.name == "schema")
    return next((default for default in found if isinstance(default, str)), None)


def _said_schema(data: bytes | str, known: str) -> str:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return known
    said = document.get("schema", known) if isinstance(document, dict) else known
    return said if isinstance(said, str) else repr(said)


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of record ``name`` (a key of ``SCHEMAS``)."""
    schema = _adapter(SCHEMAS[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA_IDS[name]}", **schema}

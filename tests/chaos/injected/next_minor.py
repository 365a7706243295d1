"""A worker of the next minor version: every record it writes says so and has fields that this release does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

from patching import replace

from inspector.adapters.redis import result_store
from inspector.pipeline import alert_record, cloud_event, dead_letter
from inspector.pipeline.ports import OutRecord

MINOR = ".1"


def plant() -> None:
    replace(result_store, "to_json", _with_more(result_store.to_json))
    replace(cloud_event, "to_json", _with_more(cloud_event.to_json))
    replace(alert_record, "encode", _next_event(alert_record.encode))
    replace(dead_letter, "DEAD_LETTER_SCHEMA", dead_letter.DEAD_LETTER_SCHEMA + MINOR)
    replace(dead_letter, "encode", _next_letter(dead_letter.encode))


def _with_more(to_json: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode(record: Any) -> bytes:
        document = json.loads(to_json(record))
        more = {"exposure_us": 125, "heat_map": {"levels": [1, 2]}}
        return json.dumps({**document, "schema": document["schema"] + MINOR, **more}).encode()

    return encode


def _next_event(encode: Callable[..., OutRecord]) -> Callable[..., OutRecord]:
    def next_event(*arguments: Any) -> OutRecord:
        made = encode(*arguments)
        headers = [(name, value + MINOR.encode() if name == "ce_dataschema" else value) for name, value in made.headers]
        return changed(made, headers=(*headers, ("ce_sampledrate", b"1")))

    return next_event


def _next_letter(encode: Callable[..., OutRecord]) -> Callable[..., OutRecord]:
    def next_letter(*arguments: Any) -> OutRecord:
        made = encode(*arguments)
        return changed(made, headers=(*made.headers, ("retry_after", b"never")))

    return next_letter

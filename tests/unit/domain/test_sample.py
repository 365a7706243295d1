"""A sample's metadata may come from a bucket into which others write: what cannot be is refused."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jsonschema
import pytest
from sample_kit import sample

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, json_schema, to_json
from inspector.domain.sample import MAX_PARTS, Sample, SamplePart, feedback_part, is_spoken, mask_part

PART = SamplePart(mask_part("1b9d6bcd"), "0" * 64, 17)


def test_it_comes_back_as_it_was_and_fits_its_published_schema() -> None:
    whole = sample("f1", b"bytes", parts=(PART, SamplePart("result.json", "1" * 64, 0)))
    assert from_json(Sample, to_json(whole)) == whole
    jsonschema.validate(json.loads(to_json(whole)), json_schema("sample"))
    assert whole.total_bytes == len(b"bytes") + 17
    assert whole.margin == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("frame_id", ["", " ", "x" * 129, "a\nb", "\u202e"]),
        ("camera_id", ["", "\x1b[2J"]),
        ("product", ["", "x" * 129]),
        ("weights_version", [""]),
        ("captured_at", [datetime(2026, 1, 1)]),
        ("kept_at", [datetime(2026, 1, 1)]),
        ("sha256", ["", "0" * 63, "0" * 65, "G" * 64, "../" + "0" * 61]),
        ("phash", ["", "0" * 15, "x" * 16]),
        ("size_bytes", [0, -1]),
        ("anomaly_score", [-0.1, 1.1, float("nan")]),
        ("image_threshold", [-0.1, 1.1, float("inf")]),
        ("parts", [(PART, PART), tuple(SamplePart(f"p{n}", "0" * 64, 1) for n in range(MAX_PARTS + 1))]),
    ],
)
def test_what_cannot_be_is_refused(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(BadInputError):
            sample(**{"frame_id": "f1", name: value})


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "UPPER", "x" * 101, "a\n"])
def test_a_parts_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(BadInputError):
        SamplePart(name, "0" * 64, 1)


def test_what_people_said_and_drew_is_told_from_the_rest() -> None:
    assert [is_spoken(name) for name in (feedback_part("a"), mask_part("a"), "result.json")] == [True, True, False]

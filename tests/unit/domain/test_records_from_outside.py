"""Records from outside keep to their ranges, also where JSON is read that holds NaN and Infinity."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from inspector.domain.artefact import Calibration, ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraSettings, DefectSpec, ProductSettings
from inspector.domain.records import from_json, to_json
from inspector.domain.result import ScoreMode
from inspector.domain.weights import WeightsManifest

ZONE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
NOW = datetime(2026, 1, 2, tzinfo=UTC)
PRODUCT = ProductSettings("plate", (DefectSpec("scratch", 0.5, 3), DefectSpec("dent")), 0.1, (ZONE,), (ZONE,))
CAMERA = CameraSettings("plate", image_threshold=0.5, pixel_threshold=1.0)
CALIBRATION = Calibration("cam1", ScoreMode.BANK, "ab" * 32, ScoreMap(-1, 0.5), ScoreMap(2, 0.5), 9, 0.01, NOW)
MANIFEST = WeightsManifest("m", "random", "random, seed 0", 96, 1, 1, 1, 1, (1, 2), ("scratch",))
NO_NUMBERS = (float("nan"), float("inf"), -float("inf"))


def changed(record: object, path: str, value: object) -> bytes:
    """Return the record as JSON with one value changed, the NaN and Infinity of Python's writer included."""
    whole = json.loads(to_json(record))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inside: Any = whole
    for part in parents:
        inside = inside[part]
    inside[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize("record", [PRODUCT, CAMERA, CALIBRATION, MANIFEST], ids=lambda record: type(record).__name__)
def test_what_is_in_range_comes_back_as_it_was(record: object) -> None:
    assert from_json(type(record), to_json(record)) == record


@pytest.mark.parametrize(
    ("record", "path", "values"),
    [
        (PRODUCT, "object_word", ("", "  ", "x" * 81, "a\nb")),
        (PRODUCT, "mm_per_px", (0, -1, *NO_NUMBERS)),
        (PRODUCT, "defects", ([],)),
        (PRODUCT, "defects.1.name", ("scratch", "", "  ", "x" * 81, "\x1b[31m")),
        (PRODUCT, "defects.0.threshold", (-0.1, 1.1, *NO_NUMBERS)),
        (PRODUCT, "defects.0.min_area_px", (-1,)),
        (PRODUCT, "defects.0.severity_weight", (0, -1, 10.1, *NO_NUMBERS)),
        (PRODUCT, "region_of_interest.0", ([], [[0, 0]], [[0, 0], [1, 1]], [[0], [1], [0]])),
        (PRODUCT, "region_of_interest.0.1.0", (-0.01, 1.01, *NO_NUMBERS)),
        (PRODUCT, "ignore.0", ([],)),
        (PRODUCT, "ignore.0.2.1", (1e9, *NO_NUMBERS)),
        (CAMERA, "image_threshold", (-0.1, 1.1, *NO_NUMBERS)),
        (CAMERA, "pixel_threshold", (-0.1, 1.1, *NO_NUMBERS)),
        (CALIBRATION, "image.scale", (0, -1, *NO_NUMBERS)),
        (CALIBRATION, "pixel.scale", (0, -1, *NO_NUMBERS)),
        (CALIBRATION, "image.midpoint", NO_NUMBERS),
        (CALIBRATION, "frames", (0,)),
        (CALIBRATION, "target_false_alarm_rate", (-0.1, 1.5, *NO_NUMBERS)),
        (MANIFEST, "image_threshold", (-0.1, 7.0, *NO_NUMBERS)),
        (MANIFEST, "pixel_threshold", (-0.1, 7.0, *NO_NUMBERS)),
    ],
)
def test_what_is_out_of_range_is_refused(record: object, path: str, values: tuple[object, ...]) -> None:
    for value in values:
        with pytest.raises(BadInputError):
            from_json(type(record), changed(record, path, value))


def test_code_that_makes_a_record_is_held_to_the_same_ranges() -> None:
    with pytest.raises(BadInputError, match="expected image_threshold as a finite number of at least 0 and at most 1"):
        dataclasses.replace(CAMERA, image_threshold=float("nan"))
    with pytest.raises(BadInputError, match="different defect types, got scratch, scratch"):
        ProductSettings(defects=(DefectSpec("scratch"), DefectSpec("scratch")))

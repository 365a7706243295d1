"""How a table names the regions of a frame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inspector.apps.words import regions_cell
from inspector.domain.defect import Box, Defect

DENT = Defect("dent", 0.4, 934, 40, 0.01, Box(10, 20, 30, 5), (), "a dent")


@pytest.mark.parametrize(
    ("label", "count", "expected"),
    [
        ("anomalous", 2, "dent 934, dent 934"),
        ("normal", 1, "1 region, below the frame's threshold"),
        ("normal", 2, "2 regions, below the frame's threshold"),
        ("normal", 0, "-"),
        ("anomalous", 0, "the frame as a whole"),
    ],
)
def test_regions_of_a_normal_frame_are_counted_as_nobody_acts_on_them(label: str, count: int, expected: str) -> None:
    assert regions_cell(label, [DENT] * count).plain == expected


@pytest.mark.parametrize(("runner_up", "expected"), [(0.42, "dent? 934"), (0.2, "dent 934"), (None, "dent 934")])
def test_a_type_that_is_hardly_told_apart_is_asked_not_said(runner_up: float | None, expected: str) -> None:
    unsure = replace(DENT, type_probability=0.45, runner_up="hole", runner_up_probability=runner_up)
    assert regions_cell("anomalous", [unsure]).plain == expected

"""A replay is drawn whatever the names, and the same way each time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inspector.apps.whatif_picture import draw_whatif
from inspector.domain.whatif import AlarmCounts, ShiftCounts, WhatIf

START = datetime(2026, 3, 1, tzinfo=UTC)


def found(camera: str = "cam1", types: tuple[str, ...] = ("scratch", "dent")) -> WhatIf:
    return WhatIf(
        camera, 0.6, (0.5, 0.5), 100, START, START, 8.0, 12, 7,
        tuple(AlarmCounts(name, 6, 3) for name in types), (ShiftCounts("06-14", 100, 12, 7),), "UTC", (), (),
    )  # fmt: skip


def test_it_names_camera_counts_types_and_shifts_and_is_the_same_each_time() -> None:
    scores = [i / 100 for i in range(100)]
    svg = draw_whatif(found(), scores).decode()
    assert draw_whatif(found(), scores).decode() == svg
    for text in ("Camera cam1: 100 frames, 12 alarms now, 7 then", "scratch", "06-14", "then: 0.6"):
        assert text in svg
    assert "$" not in svg  # nothing is read as mathematics, and so nothing may be written so


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_hostile_names_neither_break_nor_act() -> None:
    svg = draw_whatif(found("<script>", ("$\\frac{1}{0}$", "<script>", "\x1b[2J\u202e", "x" * 500)), [0.5]).decode()
    assert "<script>" not in svg
    assert "\x1b" not in svg


def test_no_frames_and_many_types_are_drawn_too() -> None:
    nothing = WhatIf("cam1", 0.6, None, 0, None, None, 0.0, 0, 0, (), (), "UTC", (), ())
    assert draw_whatif(nothing, [], "png").startswith(b"\x89PNG")
    assert (
        "the 12 most frequent of 40" in draw_whatif(found(types=tuple(f"type {i}" for i in range(40))), [0.5]).decode()
    )

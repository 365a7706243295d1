"""The overlay shows the frame as it is, outlines defects where they are, and keeps labels apart and inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.domain.defect import Box, Defect, Point
from inspector.domain.result import PredLabel
from inspector.vision.label_layout import Rect, place_label
from inspector.vision.opencv import cv2
from inspector.vision.overlay import colour_of, draw_mask, draw_overlay, picture_size


def defect(x: int, y: int, w: int, h: int, name: str = "scratch") -> Defect:
    corners = (Point(x, y), Point(x + w, y), Point(x + w, y + h), Point(x, y + h))
    return Defect(name, 0.9, 500, w * h, 0.1, Box(x, y, w, h), corners, "")


VERDICT = (PredLabel.ANOMALOUS, 0.9, 0.5)


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def test_the_part_is_shown_unpainted_but_for_outlines_and_labels() -> None:
    frame = np.full((800, 1000, 3), 120, np.uint8)
    plain = decoded(draw_overlay(frame, frame.shape[1::-1], [], PredLabel.NORMAL, 0.1, 0.5, "cam1"))
    assert plain.shape[0] > 800
    assert plain.shape[1] == 1000
    np.testing.assert_allclose(plain[:780], 120, atol=3)
    marked = decoded(
        draw_overlay(frame, frame.shape[1::-1], [defect(300, 300, 200, 100)], PredLabel.ANOMALOUS, 0.9, 0.5)
    )
    changed = np.abs(marked[:780].astype(int) - 120).max(axis=2) > 25
    assert changed[295:306, 400].any()
    assert not changed[320:380, 320:480].any()
    assert not changed[:200].any()


SIZES = [(1, 1), (64, 48), (256, 256), (300, 2000), (1, 1000), (8, 2000), (100, 2000), (200, 4300), (70_000, 20)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_of_frame_and_a_crowd_of_defects_can_be_drawn(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.zeros((height, width, 3), np.uint8)
    crowd = [defect(0, 0, max(1, width - 1), max(1, height - 1), "a very long defect type name")] * 40
    picture = decoded(
        draw_overlay(frame, frame.shape[1::-1], crowd, PredLabel.ANOMALOUS, 0.9, 0.5, "camera " * 40, omitted=7)
    )
    assert picture.shape[1] == picture_size(width, height)[0]
    assert picture.shape[0] > picture_size(width, height)[1]


@pytest.mark.parametrize(
    ("frame", "picture"),
    [
        ((64, 48), (768, 576)),
        ((1, 1), (720, 720)),
        ((1, 1000), (1, 1000)),
        ((2448, 2048), (2448, 2048)),
        ((70_000, 20), (16_000, 4)),
        ((70_000, 2), (16_000, 1)),
    ],
)
def test_pictures_are_large_enough_to_see_and_small_enough_to_encode(
    frame: tuple[int, int], picture: tuple[int, int]
) -> None:
    assert picture_size(*frame) == picture


def test_a_large_frame_is_drawn_reduced_with_its_outlines_in_place() -> None:
    size = (6000, 4000)
    marked = decoded(
        draw_overlay(np.full((400, 600, 3), 120, np.uint8), size, [defect(1500, 1000, 3000, 2000)], *VERDICT)
    )
    width, height = picture_size(*size)
    assert width * height <= 6_000_000
    changed = np.abs(marked[:height].astype(int) - 120).max(axis=2) > 25
    assert changed[height // 4 - 3 : height // 4 + 4, width // 2].any()
    assert changed[height // 2, width * 3 // 4 - 3 : width * 3 // 4 + 4].any()
    assert not changed[height // 3 : height * 2 // 3, width // 3 : width * 2 // 3].any()


def test_labels_name_the_defects() -> None:
    frame = np.full((800, 1000, 3), 120, np.uint8)
    short = decoded(draw_overlay(frame, (1000, 800), [defect(300, 300, 200, 100, "pit")], *VERDICT))
    long = decoded(draw_overlay(frame, (1000, 800), [defect(300, 300, 200, 100, "missing capacitor")], *VERDICT))
    dark = [(picture[:295].max(axis=2) < 60).sum() for picture in (short, long)]  # above the box
    assert dark[0] > 500
    assert dark[1] > dark[0] * 1.5


def test_the_types_of_a_product_have_colours_of_their_own() -> None:
    types = [f"type {number}" for number in range(12)]
    assert len({colour_of(name, types) for name in types}) == 12
    frame = np.full((800, 1000, 3), 120, np.uint8)
    drawn = [
        decoded(draw_overlay(frame, (1000, 800), [defect(300, 300, 200, 100, name)], *VERDICT, types=types))
        for name in types
    ]
    lines = {tuple(picture[300, 400].astype(int) // 24) for picture in drawn}
    assert len(lines) == 12


def test_where_no_region_is_a_ring_marks_the_highest_spot() -> None:
    frame = np.full((800, 1000, 3), 120, np.uint8)
    ringed = decoded(draw_overlay(frame, (1000, 800), [], *VERDICT, highest=Point(400, 300)))
    changed = np.abs(ringed[:780].astype(int) - 120).max(axis=2) > 25
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - 300) < 2
    assert abs(columns.mean() - 400) < 2
    assert not changed[280:320, 380:420].any()
    outlined = [defect(300, 300, 200, 100)]
    with_defect = decoded(draw_overlay(frame, (1000, 800), outlined, *VERDICT, highest=Point(400, 300)))
    assert (with_defect == decoded(draw_overlay(frame, (1000, 800), outlined, *VERDICT))).all()


def test_the_mask_has_the_frames_size_and_two_values() -> None:
    mask = np.zeros((64, 64), np.bool_)
    mask[:32] = True
    grown = decoded(draw_mask(mask, 500, 301))
    assert grown.shape == (301, 500)
    assert set(np.unique(grown)) == {0, 255}
    assert (grown[:149] == 255).all()


@given(
    st.lists(st.builds(Rect, st.integers(0, 400), st.integers(0, 300), st.integers(1, 400), st.integers(1, 300))),
    st.tuples(st.integers(1, 500), st.integers(1, 60)),
)
def test_labels_stay_inside_the_picture_and_off_each_other(boxes: list[Rect], size: tuple[int, int]) -> None:
    taken: list[Rect] = []
    for box in boxes:
        spot = place_label(size, box, (400, 300), taken, gap=4)
        if spot is None:
            continue
        assert spot.x >= 0
        assert spot.y >= 0
        assert spot.x + spot.w <= 400
        assert spot.y + spot.h <= 300
        assert not any(spot.overlaps(other) for other in taken)
        taken.append(spot)

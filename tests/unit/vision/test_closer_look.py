"""A closer look at a region: the right square of the frame, enlarged, and how much of each patch is of the region."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.vision.closer_look import LEAST_SHARE, Window, look_closer, pixels_to_look_at, window_around
from inspector.vision.frame_pixels import FINE_PX, FramePixels

SIDE = 256
LEAST_SIDE_PX = round(LEAST_SHARE * SIDE)


def region(x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
    inside = np.zeros((SIDE, SIDE), np.uint8)
    inside[y : y + h, x : x + w] = 1
    return inside


@pytest.mark.parametrize(
    ("inside", "window"),
    [
        (region(100, 120, 4, 4), Window(78, 98, LEAST_SIDE_PX)),  # small: what it lies in is seen too
        (region(100, 100, 40, 10), Window(80, 65, 80)),  # twice the longer side, the region in the middle
        (region(0, 250, 6, 6), Window(0, SIDE - LEAST_SIDE_PX, LEAST_SIDE_PX)),  # never beyond the frame
        (region(10, 10, 200, 200), Window(0, 0, SIDE)),  # nor larger than it
        (region(0, 0, SIDE, SIDE), Window(0, 0, SIDE)),
    ],
)
def test_the_window_holds_the_region_and_lies_in_the_frame(inside: NDArray[np.uint8], window: Window) -> None:
    assert window_around(inside) == window


def test_what_is_seen_is_the_window_enlarged() -> None:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[98:146, 78:126] = 200
    look = look_closer(pixels, region(100, 120, 4, 4), Window(78, 98, 48), 128, 16)
    assert look.pixels.shape == (128, 128, 3)
    assert look.pixels.min() == 200
    assert look.share.shape == (8, 8)


def test_shares_say_where_in_the_window_the_region_lies_and_how_much_of_each_patch_it_covers() -> None:
    inside = region(128, 128, 64, 64)
    look = look_closer(np.zeros((SIDE, SIDE, 3), np.uint8), inside, Window(64, 64, 128), 128, 16)
    expected = np.zeros((8, 8), np.float32)
    expected[4:, 4:] = 1
    np.testing.assert_allclose(look.share, expected)
    half = look_closer(np.zeros((SIDE, SIDE, 3), np.uint8), region(128, 128, 8, 64), Window(64, 64, 128), 128, 16)
    assert half.share[4, 4] == pytest.approx(0.5)
    assert half.share.max() <= 1


def decoded(width: int, height: int, fine: NDArray[np.uint8] | None = None) -> tuple[DecodedFrame, NDArray[np.uint8]]:
    """A frame of stripes one pixel wide, as an engine of 256 px keeps it, and its stripes."""
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[:, ::2] = 255
    png = cv2.imencode(".png", stripes)[1].tobytes()
    meta = FrameMeta("f1", "cam1", "line-1", "plate", datetime(2026, 1, 1, tzinfo=UTC), "image/png")
    pixels = FramePixels(np.zeros((SIDE, SIDE, 3), np.uint8), fine)
    return DecodedFrame(Frame(meta, FrameSource("frames", 0, 0), png), pixels, width, height), stripes


def test_a_look_sees_the_frames_own_pixels() -> None:
    frame, stripes = decoded(600, 600)
    np.testing.assert_array_equal(pixels_to_look_at(frame), stripes)
    wide, _ = decoded(900, 300)
    assert pixels_to_look_at(wide).shape == (900, 900, 3)
    assert pixels_to_look_at(decoded(1500, 1200)[0]).shape == (FINE_PX, FINE_PX, 3)


def test_nothing_is_decoded_again_that_is_there_or_shows_no_more() -> None:
    fine = np.zeros((FINE_PX, FINE_PX, 3), np.uint8)
    assert pixels_to_look_at(decoded(1500, 1200, fine)[0]) is fine
    small, _ = decoded(200, 150)
    assert pixels_to_look_at(small) is small.pixels.square

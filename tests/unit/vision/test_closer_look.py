"""A closer look at a region: the right square of the frame, enlarged, and how much of each patch is of the region."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.vision.closer_look import LEAST_SIDE_PX, Window, look_closer, window_around

SIDE = 256


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

"""Line artwork is told by its two clean tones, and shown with its lines light, whichever tone they had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.vision.line_artwork import with_light_lines


def lines(light: bool) -> NDArray[np.uint8]:
    """Three conductors of 8 px on a ground."""
    tones = (30, 200) if light else (200, 30)
    picture = np.full((96, 96, 3), tones[0], np.uint8)
    for x in (10, 40, 70):
        picture[:, x : x + 8] = tones[1]
    return picture


def test_dark_lines_become_light_and_light_ones_stay() -> None:
    shown, artwork = with_light_lines(lines(light=True))
    assert artwork
    np.testing.assert_array_equal(shown, lines(light=True))
    turned, artwork = with_light_lines(lines(light=False))
    assert artwork
    assert turned[0, 12].mean() > turned[0, 0].mean()
    np.testing.assert_array_equal(turned, 255 - lines(light=False))


def test_other_pictures_stay_as_they_are() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    for picture in (noise, np.full((96, 96, 3), 90, np.uint8)):
        shown, artwork = with_light_lines(picture)
        assert not artwork
        np.testing.assert_array_equal(shown, picture)

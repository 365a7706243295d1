"""Line artwork is told by its two clean tones, and shown with its lines light, whichever tone they had."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.vision import line_tones
from inspector.vision.line_artwork import lines_are_light, with_light_lines
from inspector.vision.line_tones import LineTones


def lines(light: bool) -> NDArray[np.uint8]:
    """Three conductors of 8 px on a ground."""
    tones = (30, 200) if light else (200, 30)
    picture = np.full((96, 96, 3), tones[0], np.uint8)
    for x in (10, 40, 70):
        picture[:, x : x + 8] = tones[1]
    return picture


NOISE = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)


@pytest.mark.parametrize("light", [True, False])
def test_lines_are_the_thin_tone_and_are_shown_light(light: bool) -> None:
    assert lines_are_light(lines(light)) is light
    np.testing.assert_array_equal(with_light_lines(lines(light), light), lines(light) if light else 255 - lines(light))


def test_other_pictures_are_no_artwork_and_stay_as_they_are() -> None:
    for picture in (NOISE, np.full((96, 96, 3), 90, np.uint8)):
        assert lines_are_light(picture) is None
        np.testing.assert_array_equal(with_light_lines(picture, None), picture)


def test_colours_count_as_the_eye_weighs_them() -> None:
    """Green is lighter than red, and red than blue: told in the wrong order, blue lines on red would be light."""
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[...] = (230, 0, 0)
    for x in (10, 40, 70):
        picture[:, x : x + 8] = (0, 0, 230)
    assert lines_are_light(picture) is False


def test_what_most_frames_of_a_camera_say_counts() -> None:
    tones = LineTones()
    said = [tones.of("cam1", lines(light)) for light in (True, False, False, True, False)]
    assert said == [True, False, False, True, False]  # the frame's own word where it is even
    assert tones.of("cam1", lines(light=True)) is True
    assert tones.of("cam2", lines(light=True)) is True  # another camera
    assert tones.of("cam1", NOISE) is None  # even, and this frame does not say
    tones.forget("cam1")
    assert tones.of("cam1", lines(light=False)) is False


def test_a_camera_that_mostly_shows_something_else_shows_no_artwork() -> None:
    tones = LineTones()
    assert tones.of("cam1", NOISE) is None
    assert tones.of("cam1", lines(light=False)) is None
    assert tones.of("cam1", lines(light=False)) is False
    assert tones.of("cam1", NOISE) is None


def test_no_more_cameras_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_tones, "_MOST_CAMERAS", 2)
    tones = LineTones()
    for camera in ("a", "b", "c"):
        tones.of(camera, lines(light=True))
    assert tones.of("a", lines(light=False)) is False  # its earlier frame is forgotten

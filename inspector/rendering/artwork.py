"""Line artwork: printed conductors and whatever else is drawn in two flat tones with clean edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.rendering.tones import Tones, split_tones
from inspector.vision.opencv import cv2

_LEAST_SEPARATION = 0.86  # flat tones; shaded photographs of light and dark things stay below
_LEAST_CONTRAST = 24.0
_LEAST_CLEAN = 0.975  # how many pixels keep their tone when specks are smoothed away: lines, not a texture
_DECIDED = 0.08  # by how much one tone must cover less than the other to be the lines without a look at their width


@dataclass(frozen=True, slots=True)
class Artwork:
    """The lines of a picture: bool [H, W], true on conductors; ``light`` says which of the two tones they have."""

    lines: NDArray[np.bool_]
    light: bool
    tones: Tones


def find_artwork(image: ByteImage | FloatImage, light: bool | None = None) -> Artwork | None:
    """Return the line artwork that the picture BGR [H, W, 3] of 0..255 is; None if it is not of two clean tones.

    ``light`` tells which tone the lines have. None: the one that covers less, or if both cover about the same, the
    one whose shapes are thinner.
    """
    tones = split_tones(image)
    if tones is None or tones.separation < _LEAST_SEPARATION or tones.contrast < _LEAST_CONTRAST:
        return None
    bits = tones.light.astype(np.uint8)
    if float(np.mean(cv2.medianBlur(bits, 3) == bits)) < _LEAST_CLEAN:
        return None
    lines_light = _lines_are_light(bits) if light is None else light
    return Artwork(tones.light == lines_light, lines_light, tones)


def _lines_are_light(bits: NDArray[np.uint8]) -> bool:
    share = cv2.countNonZero(bits) / bits.size
    if abs(share - 0.5) > _DECIDED / 2:
        return share < 0.5
    return _thickness(bits) < _thickness(1 - bits)


def _thickness(bits: NDArray[np.uint8]) -> float:
    """Return the mean distance to the shape's edge, in pixels: half of it for a line twice as thin."""
    return cv2.mean(cv2.distanceTransform(bits, cv2.DIST_L2, 3), bits)[0]

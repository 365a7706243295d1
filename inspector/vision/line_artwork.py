"""Line artwork: printed conductors and whatever else is drawn in two flat tones with clean edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.vision.opencv import cv2

FloatImage = NDArray[np.float32]
ByteImage = NDArray[np.uint8]

_LEAST_SHARE = 0.015  # of the picture; less is a speck, not a tone
_LEAST_SEPARATION = 0.86  # flat tones; shaded photographs of light and dark things stay below
_LEAST_CONTRAST = 24.0
_LEAST_CLEAN = 0.975  # how many pixels keep their tone when specks are smoothed away: lines, not a texture
_DECIDED = 0.08  # by how much one tone must cover less than the other to be the lines without a look at their width


@dataclass(frozen=True, slots=True)
class Tones:
    """``light`` is bool [H, W]. ``separation`` (0..1) is the share of the variance that the two tones explain (Otsu,
    1979); ``contrast`` is the difference of their means in grey levels.
    """

    light: NDArray[np.bool_]
    separation: float
    contrast: float


def split_tones(image: FloatImage | ByteImage) -> Tones | None:
    """Split a picture BGR [H, W, 3] of 0..255 in two by Otsu's threshold; None where one tone is hardly there."""
    grey = grey_of(image)
    _, light = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    share = cv2.countNonZero(light) / light.size
    if not _LEAST_SHARE < share < 1 - _LEAST_SHARE:
        return None
    means = cv2.mean(grey, light)[0], cv2.mean(grey, 1 - light)[0]
    contrast = means[0] - means[1]
    total = float(cv2.meanStdDev(grey)[1][0, 0]) ** 2
    return Tones(light > 0, share * (1 - share) * contrast**2 / max(total, 1e-6), contrast)


def grey_of(image: FloatImage | ByteImage) -> ByteImage:
    """Return the lightness of a BGR picture of 0..255 as uint8 [H, W]."""
    return np.asarray(cv2.cvtColor(np.clip(image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY), np.uint8)


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


def lines_are_light(pixels: ByteImage) -> bool | None:
    """Tell whether the lines of a picture, uint8 RGB [H, W, 3], are its light tone; None if it is no line artwork."""
    found = find_artwork(np.ascontiguousarray(pixels[..., ::-1]))
    return None if found is None else found.light


def with_light_lines(pixels: ByteImage, light: bool | None) -> ByteImage:
    """Return a picture of line artwork with its lines light, whichever tone they have; None: it is none, and stays.

    What is missing of a dark line looks as what is too much of a light one.
    """
    return np.asarray(255 - pixels, np.uint8) if light is False else pixels

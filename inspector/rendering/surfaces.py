"""Building blocks of rendered surfaces: noise, relief lit from one side, anti-aliased shapes.

Pixels are display-encoded (about the square root of the light), images are BGR as OpenCV has them, and every random
draw comes from the caller's generator, so that a surface can be made again from its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.vision.opencv import cv2

FloatImage = NDArray[np.float32]
ByteImage = NDArray[np.uint8]

# Unit vector in the image plane (x right, y down) that points to the lamp: up and to the left.
LIGHT = (-0.6, -0.8)


def value_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float]) -> FloatImage:
    """Return smooth noise, float32 [H, W], mean 0 and deviation about 1, varying over ``cell_px`` (y, x) pixels."""
    cells = tuple(max(2, round(s / c) + 1) for s, c in zip(shape, cell_px, strict=True))
    grid = rng.standard_normal(cells, dtype=np.float32)
    return _float(cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float, octaves: int = 4) -> FloatImage:
    """Return value noise summed over ``octaves``, each half as wide and half as strong; deviation about 1."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = max(1.0, cell_px / 2**octave)
        total += value_noise(rng, shape, (cell, cell)) * np.float32(0.5**octave)
    return total


def shade(height: FloatImage, light: tuple[float, float] = LIGHT) -> FloatImage:
    """Return the slope of ``height`` (pixels, [H, W]) towards the lamp: above 0 is lit, below 0 lies in shade."""
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return _float(-(slope_x * light[0] + slope_y * light[1]))


def inside(signed_distance: NDArray[Any], softness_px: float = 0.8) -> FloatImage:
    """Return the coverage (0..1) of a shape from its signed distance in pixels (negative inside)."""
    return _float(np.clip(0.5 - signed_distance / (2 * softness_px), 0, 1))


def box_distance(
    x: NDArray[Any], y: NDArray[Any], half_size: tuple[float, float], radius: float = 0.0
) -> NDArray[np.float32]:
    """Return the signed distance to a box with rounded corners, centred at 0 (x and y are relative to it)."""
    out_x, out_y = np.abs(x) - half_size[0] + radius, np.abs(y) - half_size[1] + radius
    outside = np.hypot(np.maximum(out_x, 0), np.maximum(out_y, 0))
    return _float(outside + np.minimum(np.maximum(out_x, out_y), 0) - radius)


def blend(image: FloatImage, coverage: FloatImage, colour: Sequence[float] | FloatImage) -> None:
    """Lay ``colour`` over ``image`` (float32 [H, W, 3]) in place where ``coverage`` (0..1, [H, W]) says so."""
    image += coverage[..., None] * (np.asarray(colour, np.float32) - image)


def to_bytes(image: FloatImage) -> ByteImage:
    """Round to uint8, clipping at 0 and 255."""
    return np.asarray(np.clip(image + 0.5, 0, 255), np.uint8)


def _float(array: Any) -> FloatImage:
    return np.asarray(array, np.float32)

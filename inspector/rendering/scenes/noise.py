"""The noise of ``inspector.rendering.surfaces``, several times as fast and not the same numbers: scenes are many."""

from __future__ import annotations

import numpy as np

from inspector.rendering.surfaces import FloatImage
from inspector.vision.opencv import cv2

_COARSE_PX = 12  # cells wider than this are drawn at a quarter of the size first
_FEW = 2000  # numbers, below which NumPy's generator costs less than seeding OpenCV's


def white_noise(rng: np.random.Generator, shape: tuple[int, int]) -> FloatImage:
    """Return independent normal numbers, float32 [H, W], mean 0 and deviation 1."""
    if shape[0] * shape[1] < _FEW:
        return rng.standard_normal(shape, dtype=np.float32)
    # OpenCV's generator (one a thread, seeded here) draws four times as fast as NumPy's.
    noise = np.empty(shape, np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise, np.zeros(1), np.ones(1))
    return noise


def value_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: tuple[float, float]) -> FloatImage:
    """Return smooth noise, float32 [H, W], mean 0 and deviation about 1, varying over ``cell_px`` (y, x) pixels."""
    rows, columns = (max(2, round(s / c) + 1) for s, c in zip(shape, cell_px, strict=True))
    grid, size = white_noise(rng, (rows, columns)), (shape[1], shape[0])
    if min(cell_px) > _COARSE_PX:
        quarter = (-(-shape[1] // 4), -(-shape[0] // 4))
        grid = np.asarray(cv2.resize(grid, quarter, interpolation=cv2.INTER_CUBIC), np.float32)
        return np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR), np.float32)
    how = cv2.INTER_LINEAR if max(cell_px) < 2 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grid, size, interpolation=how), np.float32)


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float, octaves: int = 4) -> FloatImage:
    """Return value noise summed over ``octaves``, each half as wide and half as strong; deviation about 1.

    The sum stops where the next octave would be narrower than a pixel.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = cell_px / 2**octave
        if octave and cell < 1:
            break
        total += value_noise(rng, shape, (max(1.0, cell), max(1.0, cell))) * np.float32(0.5**octave)
    return total

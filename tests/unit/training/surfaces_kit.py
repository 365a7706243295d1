"""Rendered good parts to train on: plain, grained surfaces, no two alike, the same for a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import fractal_noise, to_bytes, value_noise


def good_surfaces(count: int, seed: int, side_px: int) -> list[NDArray[np.uint8]]:
    """Return ``count`` frames, uint8 [side_px, side_px, 3]: brushed or cast, grey with a tint, unevenly lit."""
    return [_surface(np.random.default_rng([seed, i]), side_px) for i in range(count)]


def _surface(rng: np.random.Generator, side_px: int) -> NDArray[np.uint8]:
    shape = (side_px, side_px)
    cast = fractal_noise(rng, shape, rng.uniform(4, 12), 3)
    brushed = value_noise(rng, shape, (1.5, rng.uniform(20, 60)))
    grain = rng.uniform(2, 6) * (brushed if rng.random() < 0.5 else cast)
    light = rng.uniform(2, 8) * value_noise(rng, shape, (side_px, side_px))
    tint = 1 + rng.normal(0, 0.03, 3)
    return to_bytes(((rng.uniform(110, 170) + grain + light)[..., None] * tint).astype(np.float32))

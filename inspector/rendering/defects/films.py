"""Defects of colour: what lies on the surface as a film, or what heat and air made of it."""

from __future__ import annotations

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted
from inspector.rendering.shapes import blob, blurred
from inspector.rendering.surfaces import FloatImage, fractal_noise

_STAINS_BGR = ((0.35, 0.55, 0.78), (0.62, 0.66, 0.70), (0.28, 0.42, 0.62), (0.80, 0.74, 0.66))  # rust, oil, tea, water


def stain(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A film: multiplies the surface by its colour, cloudy inside and densest at its dried edge."""
    size, radius = patch.shape[:2], shape.size_px / 2 * 0.8
    area = blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.11)
    area = blurred(area, 1 + radius * 0.03)
    edge = np.clip(area - blurred(area, 2 + radius * 0.10), 0, 1)
    cloud = 0.75 + 0.18 * fractal_noise(rng, size, max(6.0, radius * 0.5), 4)
    density = np.clip(area * cloud + edge * 0.7, 0, 1.25) * (0.22 + 0.68 * shape.strength)
    tint = np.asarray(_STAINS_BGR[int(rng.integers(len(_STAINS_BGR)))], np.float32)
    return patch * (1 - density[..., None] * (1 - tint)), area

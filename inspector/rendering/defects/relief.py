"""Defects of the surface's height, seen by how they turn light: dents, bubbles, wrinkles, pits, holes."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted
from inspector.rendering.shapes import blob, blurred, shifted
from inspector.rendering.surfaces import LIGHT, FloatImage, fractal_noise, shade
from inspector.vision.opencv import cv2


def dent(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A smooth bowl: dark on the wall near the lamp, light on the far one, what lay there a little smeared."""
    height, width = patch.shape[:2]
    radius = shape.size_px / 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, ratio = rng.uniform(0, math.pi), rng.uniform(0.65, 1)
    dx, dy = x - width / 2, y - height / 2
    along = (dx * math.cos(turn) + dy * math.sin(turn)) / radius
    cross = (dy * math.cos(turn) - dx * math.sin(turn)) / (radius * ratio)
    distance = np.sqrt(along**2 + cross**2) * (1 + 0.07 * fractal_noise(rng, (height, width), radius, 2))
    bowl = -radius * np.clip(1 - distance**2, 0, 1) ** 1.5
    slope = np.asarray(shade(bowl.astype(np.float32)), np.float32)
    smeared = cv2.GaussianBlur(patch, (0, 0), 1.2)
    light = 1 + (0.10 + 0.26 * shape.strength) * np.clip(slope, -1.4, 1.4)
    inner = (distance < 1).astype(np.float32)
    glint = (np.clip(slope - 0.9, 0, 1) * 50 * shape.strength)[..., None]
    # The flat bottom belongs to the dent as much as its walls do, although it shades little.
    return np.asarray(smeared * light[..., None] + glint, np.float32), inner


def hole(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Missing material: darkness with a lit far wall and a bright burr at the edge."""
    size = patch.shape[:2]
    radius = shape.size_px / 2 * 0.85
    opening = blob(rng, size, (radius, radius * rng.uniform(0.7, 1)), 0.12)
    rim_px = 1.5 + 1.5 * shape.strength
    edge = np.clip(blurred(np.asarray(cv2.dilate(opening, np.ones((3, 3))), np.float32), rim_px) - opening, 0, 1)
    wall = opening * np.clip(1 - shifted(opening, (LIGHT[0] * rim_px * 2, LIGHT[1] * rim_px * 2)), 0, 1)
    darkness = 0.62 + 0.33 * shape.strength
    changed = patch * (1 - darkness * opening)[..., None] + (wall * 55 + edge * (20 + 50 * shape.strength))[..., None]
    return changed, np.maximum(opening, edge)


def pits(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A field of small craters, as fatigue breaks them out of rolled steel: dark floors, some with a lit far wall."""
    size = patch.shape[:2]
    craters = np.zeros(size, np.float32)
    for crater in range(1 + int(rng.integers(0, 9))):
        radius = max(1.2, shape.size_px * (0.18 if crater == 0 else rng.uniform(0.03, 0.11)))
        offset = (0.0, 0.0) if crater == 0 else tuple(rng.normal(0, shape.size_px * 0.17, 2))
        craters = np.maximum(craters, shifted(blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.2), offset))
    depth_px = 1 + shape.size_px * 0.03
    wall = craters * np.clip(1 - shifted(craters, (LIGHT[0] * depth_px, LIGHT[1] * depth_px)), 0, 1)
    rough = 1 + 0.12 * fractal_noise(rng, size, 4, 2)
    darkness = (0.3 + 0.55 * shape.strength) * np.clip(rough, 0.6, 1.1)
    changed = patch * (1 - darkness * craters)[..., None] + (wall * (15 + 45 * shape.strength))[..., None]
    return np.asarray(changed, np.float32), craters

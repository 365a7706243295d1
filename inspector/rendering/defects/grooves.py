"""Defects along a line: what scratches, breaks, cuts or rubs the surface."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted, start_of_line
from inspector.rendering.shapes import blurred, shifted, stroke, wandering_line
from inspector.rendering.surfaces import LIGHT, FloatImage, blend
from inspector.vision.opencv import cv2


def scratch(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A groove: its wall facing the lamp shines, the other is dark; strongest when the lamp stands across it."""
    angle = rng.uniform(0, math.pi)
    across = (-math.sin(angle), math.cos(angle))
    lamp_across = across[0] * LIGHT[0] + across[1] * LIGHT[1]
    size, width = patch.shape[:2], 0.9 + 1.6 * shape.strength * rng.uniform(0.6, 1.2)
    core = np.zeros(size, np.float32)
    for strand in range(1 + int(rng.integers(0, 3))):
        length = shape.size_px * (1 if strand == 0 else rng.uniform(0.4, 0.8))
        offset = 0 if strand == 0 else rng.uniform(-7, 7)
        start = np.add(start_of_line(patch, angle, length), np.multiply(across, offset))
        points = wandering_line(rng, (float(start[0]), float(start[1])), angle, length, 0.012)
        core = np.maximum(core, stroke(size, points, width if strand == 0 else 0.8))
    side = 1.0 if lamp_across > 0 else -1.0
    dark = shifted(core, (across[0] * side * width, across[1] * side * width))
    gain = (35 + 75 * shape.strength) * (0.55 + 0.45 * abs(lamp_across))
    return patch + (core * gain - dark * gain * 0.6)[..., None], np.maximum(core, dark * 0.8)


def crack(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A jagged, branching gap without light, the lifted rim on the lamp's far side catching some."""
    angle, size = rng.uniform(0, 2 * math.pi), patch.shape[:2]
    width = 1.0 + 2.6 * shape.strength
    trunk = wandering_line(rng, start_of_line(patch, angle, shape.size_px * 0.95), angle, shape.size_px * 0.95, 0.3)
    gap = stroke(size, trunk, width)
    for _ in range(int(rng.integers(1, 5))):
        at = trunk[int(rng.integers(len(trunk) // 5, len(trunk) - 2))]
        turn = angle + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
        branch = wandering_line(rng, (at[0], at[1]), turn, shape.size_px * rng.uniform(0.12, 0.35), 0.3)
        gap = np.maximum(gap, stroke(size, branch, width * 0.55))
    rim = np.clip(shifted(gap, (-LIGHT[0] * width, -LIGHT[1] * width)) - gap, 0, 1)
    depth = 0.5 + 0.4 * shape.strength
    changed = patch * (1 - depth * gap)[..., None] + (rim * (12 + 30 * shape.strength))[..., None]
    return changed, np.maximum(gap, rim * 0.7)


def tear(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A slit pulled open: dark inside, lips lit like folds, loose fibres standing across it."""
    angle, size = rng.uniform(0, math.pi), patch.shape[:2]
    width = max(3.0, shape.size_px * (0.04 + 0.10 * shape.strength))
    spine = wandering_line(rng, start_of_line(patch, angle, shape.size_px * 0.9), angle, shape.size_px * 0.9, 0.10)
    frayed = spine + rng.normal(0, width * 0.12, spine.shape)
    slit = stroke(size, frayed, width)
    lips = np.clip(blurred(np.asarray(cv2.dilate(slit, np.ones((5, 5))), np.float32), 2.0) - slit, 0, 1)
    changed = (
        patch * (1 - (0.7 + 0.25 * shape.strength) * slit)[..., None] + (lips * (18 + 40 * shape.strength))[..., None]
    )
    reach = np.maximum(slit, lips)
    fibres = np.zeros(size, np.float32)
    for _ in range(int(shape.size_px / 7)):
        root = spine[int(rng.integers(1, len(spine) - 1))]
        side = angle + math.pi / 2 * rng.choice([-1, 1])
        start = (root[0] - math.cos(side) * width * 0.5, root[1] - math.sin(side) * width * 0.5)
        hair = wandering_line(rng, start, side + rng.normal(0, 0.4), width * rng.uniform(0.3, 1.0), 0.25)
        fibres = np.maximum(fibres, stroke(size, hair, 1.0))
    bright = np.clip(patch.mean(axis=(0, 1)) * 1.35 + 15, 0, 255)
    blend(changed, fibres * 0.75, bright)
    return changed, np.maximum(reach, fibres * 0.8)

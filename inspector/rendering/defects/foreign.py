"""Things that do not belong to the part: particles, threads, hairs."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted, middle, start_of_line
from inspector.rendering.shapes import blob, blurred, shifted, stroke, wandering_line
from inspector.rendering.surfaces import LIGHT, FloatImage, blend, fractal_noise, shade

_PARTICLES_BGR = ((40, 44, 50), (60, 84, 122), (205, 210, 214), (150, 96, 44), (52, 58, 160))  # soot, wood, lint, ...


def contamination(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Foreign particles: opaque, rounded, with a highlight towards the lamp and a shadow away from it."""
    size, count = patch.shape[:2], 1 + int(rng.integers(0, 4))
    colour = np.asarray(_PARTICLES_BGR[int(rng.integers(len(_PARTICLES_BGR)))], np.float32)
    body = np.zeros(size, np.float32)
    for grain in range(count):
        radius = max(2.5, shape.size_px * (0.22 if grain == 0 else rng.uniform(0.05, 0.14)))
        spread = 0 if grain == 0 else shape.size_px * 0.3
        place = (rng.uniform(-1, 1) * spread, rng.uniform(-1, 1) * spread)
        body = np.maximum(body, shifted(blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.22), place))
    relief = blurred(body, max(1.0, shape.size_px * 0.05)) * shape.size_px * 0.25
    reach_px = 1.5 + shape.size_px * 0.06
    shadow = blurred(shifted(body, (-LIGHT[0] * reach_px, -LIGHT[1] * reach_px)), 1 + reach_px * 0.3)
    changed = patch * (1 - 0.55 * shadow * (1 - body))[..., None]
    texture = 1 + 0.12 * fractal_noise(rng, size, 5, 2) + 0.5 * np.clip(shade(relief), -1, 1.5)
    opacity = body * (0.6 + 0.4 * min(1.0, shape.strength * 2))
    blend(changed, opacity, np.clip(colour * texture[..., None], 0, 255).astype(np.float32))
    return changed, np.maximum(body, np.where(shadow > 0.25, shadow, 0))


def loose_thread(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A thread pulled out of the cloth: a lit loop lying on its own shadow."""
    angle, size = rng.uniform(0, 2 * math.pi), patch.shape[:2]
    loop = wandering_line(rng, start_of_line(patch, angle, shape.size_px * 0.8), angle, shape.size_px * 1.0, 0.28)
    width = 1.8 + 2.2 * shape.strength
    thread = stroke(size, loop, width, taper=False)
    shadow = blurred(shifted(thread, (-LIGHT[0] * width, -LIGHT[1] * width * 1.2)), 1.2)
    changed = patch * (1 - 0.5 * shadow)[..., None]
    colour = np.clip(patch.mean(axis=(0, 1)) * (1.25 + 0.5 * shape.strength) + 12, 0, 245)
    ridge = 0.85 + 0.3 * np.clip(shade(blurred(thread, 0.8) * 4), -1, 1)
    blend(changed, thread * (0.7 + 0.3 * shape.strength), np.asarray(colour * ridge[..., None], np.float32))
    return changed, np.maximum(thread, np.where(shadow > 0.3, shadow, 0))


def fibre(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A hair or lint lying on the part: thin, evenly thick, curled, of its own colour, with a narrow shadow."""
    size, angle = patch.shape[:2], rng.uniform(0, 2 * math.pi)
    length = shape.size_px * rng.uniform(0.9, 1.7)
    count = max(5, round(length / 2))
    # Curvature that drifts makes arcs and curls, as a stiff hair lies; a line that wobbles would be a thread.
    bend = rng.uniform(-3.4, 3.4) / count
    headings = angle + np.cumsum(bend + np.cumsum(rng.normal(0, 1.6, count)) / count**1.5)
    points = np.concatenate([[[0.0, 0.0]], np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1), 0)])
    points *= length / count
    points += np.asarray(middle(patch)) - (points.max(axis=0) + points.min(axis=0)) / 2
    width = 0.8 + 0.9 * shape.strength * rng.uniform(0.6, 1.2)
    hair = stroke(size, points, width, taper=False)
    shadow = blurred(shifted(hair, (-LIGHT[0] * 1.6, -LIGHT[1] * 1.6)), 0.8)
    pale = rng.random() < 0.75 if float(patch.mean()) < 110 else rng.random() < 0.2
    # Hair and lint are mostly grey or brown; a coloured fibre comes off a garment.
    grey = rng.uniform(185, 240) if pale else rng.uniform(15, 75)
    colour = np.asarray(np.clip(grey + rng.normal(0, 30 if rng.random() < 0.2 else 7, 3), 0, 255), np.float32)
    changed = patch * (1 - 0.3 * shadow)[..., None]
    blend(changed, hair * (0.45 + 0.55 * shape.strength), colour)
    return changed, np.maximum(hair, np.where(shadow > 0.35, shadow, 0))

"""Defects of colour that heat, air and light make: rust, burns, changes of colour."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted
from inspector.rendering.shapes import blob, blurred
from inspector.rendering.surfaces import FloatImage, fractal_noise, shade
from inspector.vision.opencv import cv2

_RUST_BGR = ((24, 42, 74), (34, 74, 130), (52, 108, 172))  # deep, fresh, blooming
# Temper colours of steel from cool to hot, as factors on the surface: straw, brown, purple, blue.
_TEMPER_BGR = ((1.0, 1.0, 1.0), (0.55, 0.86, 1.0), (0.40, 0.58, 0.82), (0.72, 0.42, 0.66), (0.95, 0.60, 0.42))


def rust(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Corrosion: orange-brown, rough, grown together out of spots; a thin bleeding around it."""
    size, radius = patch.shape[:2], shape.size_px / 2
    noise = fractal_noise(rng, size, max(3.0, shape.size_px * rng.uniform(0.12, 0.3)), 5)
    # The threshold rises outwards: grown together in the middle, single spots further out.
    grown = rng.uniform(0.1, 0.7) - 1.6 * _distance(size, radius) ** 2 + 0.55 * noise
    cover = np.asarray(
        np.clip(grown * 5 + 0.5, 0, 1) * np.clip((1 - _distance(size, radius)) * radius, 0, 1), np.float32
    )
    halo = blurred(cover, 1 + radius * 0.08)
    rough = fractal_noise(rng, size, 3.5, 3)
    depth = np.clip(0.9 + 0.5 * np.clip(grown, -0.4, 0.9) * -1 + 0.35 * rough, 0, 1.99)
    tones = np.asarray(_RUST_BGR, np.float32)
    low = depth.astype(np.int32)
    colour = tones[low] + (depth - low)[..., None] * (tones[np.minimum(low + 1, 2)] - tones[low])
    lit = np.clip(1 + 0.35 * shade(rough * 1.5), 0.5, 1.6)
    opacity = cover * (0.3 + 0.7 * shape.strength) * np.clip(0.9 + 0.15 * rough, 0.4, 1)
    bled = halo * (0.12 + 0.4 * shape.strength)
    changed = patch * (1 - bled[..., None] * (1 - np.asarray((0.45, 0.66, 0.88), np.float32)))
    changed = changed + opacity[..., None] * (colour * lit[..., None] - changed)
    return np.asarray(changed, np.float32), np.maximum(cover, bled)


def burnt(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Heat: on metal the temper colours in rings, elsewhere a scorch from yellowish through brown to char."""
    size, radius = patch.shape[:2], shape.size_px / 2
    turn, ratio = rng.uniform(0, math.pi), rng.uniform(0.55, 1)
    distance = _distance(size, radius, turn, ratio) * (1 + 0.09 * fractal_noise(rng, size, max(4.0, radius * 0.6), 3))
    heat = np.clip(1 - distance, 0, 1) ** 0.8
    reach = np.asarray(np.clip(heat * 4, 0, 1), np.float32)
    if rng.random() < 0.35 and _is_grey(patch):
        scale = np.clip(heat * (1.6 + 2.4 * shape.strength), 0, len(_TEMPER_BGR) - 1.01)
        low = scale.astype(np.int32)
        bands = np.asarray(_TEMPER_BGR, np.float32)
        tint = bands[low] + (scale - low)[..., None] * (bands[low + 1] - bands[low])
        return np.asarray(patch * (1 + reach[..., None] * (tint - 1) * (0.5 + 0.5 * shape.strength)), np.float32), reach
    scorch = np.clip(heat * (0.5 + 1.1 * shape.strength) * (1 + 0.12 * fractal_noise(rng, size, 4, 3)), 0, 1)[..., None]
    # Blue goes first, red last: yellowish, brown, and where nothing is left, char.
    kept = np.exp(-scorch * np.asarray((3.6, 2.7, 2.0), np.float32))
    char = np.asarray((22, 24, 28), np.float32) * np.clip(scorch * 1.4 - 0.4, 0, 1)
    return np.asarray(patch * kept + char, np.float32), reach


def discoloration(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """The surface itself in another colour, bleached, yellowed or darkened, without an edge and without relief."""
    size, radius = patch.shape[:2], shape.size_px / 2
    area = blob(rng, size, (radius * 0.75, radius * rng.uniform(0.4, 0.75)), 0.14)
    area = blurred(area, max(1.0, radius * rng.uniform(0.1, 0.25)))
    density = area * np.clip(0.9 + 0.15 * fractal_noise(rng, size, max(6.0, radius), 2), 0.3, 1.2)
    amount = (density * (0.25 + 0.75 * shape.strength))[..., None]
    form = rng.random()
    if form < 0.3:  # bleached
        goal = patch + (235 - patch) * rng.uniform(0.35, 0.7)
    elif form < 0.5:  # darkened, as by damp
        goal = patch * rng.uniform(0.45, 0.7)
    else:
        tint = 1 + rng.uniform(0.12, 0.38) * _hue(rng)
        goal = patch * tint + 12 * (tint - 1)
    return np.asarray(patch + amount * (goal - patch), np.float32), np.clip(density * 1.2 - 0.05, 0, 1)


def _hue(rng: np.random.Generator) -> FloatImage:
    """A direction of colour without lightness: the weighted sum of its channels, as grey has it, is 0."""
    angle = rng.uniform(0, 2 * math.pi)
    red, blue = math.cos(angle), math.sin(angle)
    return np.asarray((blue, -(0.299 * red + 0.114 * blue) / 0.587, red), np.float32)


def _distance(size: tuple[int, ...], radius: float, turn: float = 0.0, ratio: float = 1.0) -> FloatImage:
    """Distance from the middle in units of ``radius``; of an ellipse, turned, if its short axis is ``ratio`` of it."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    dx, dy = x - size[1] / 2, y - size[0] / 2
    along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    return np.asarray(np.hypot(along, across / ratio) / radius, np.float32)


def _is_grey(patch: FloatImage) -> bool:
    blue, green, red = cv2.mean(patch)[:3]
    return max(blue, green, red) - min(blue, green, red) < 25 and green > 60

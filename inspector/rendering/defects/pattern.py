"""Defects of a pattern, outline or print: bent, gone in places, badly printed. On a blank surface they show little."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.defects.painting import DefectShape, Painted, middle
from inspector.rendering.shapes import blob, blurred, streaks
from inspector.rendering.surfaces import FloatImage, fractal_noise
from inspector.rendering.tones import retoned, spread
from inspector.vision.line_artwork import Tones, split_tones
from inspector.vision.opencv import cv2

_TWO_TONED = 0.72  # separation of a print from its ground


def deformation(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """What lies there is bent, bulged, pinched or twisted; everything around stays where it was."""
    height, width = patch.shape[:2]
    radius = shape.size_px / 2 + 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - width / 2, y - height / 2
    distance = np.hypot(dx, dy) / radius
    weight = np.clip(1 - distance**2, 0, 1) ** 2
    form, angle = rng.random(), rng.uniform(0, 2 * math.pi)
    if form < 0.5:  # pushed one way; at most half the steepness at which the surface would fold over itself
        push = radius * (0.10 + 0.32 * shape.strength)
        move_x, move_y = push * math.cos(angle) * weight, push * math.sin(angle) * weight
    elif form < 0.8:  # bulged or pinched
        pull = (0.22 + 0.45 * shape.strength) * (1 if rng.random() < 0.5 else -1)
        move_x, move_y = dx * weight * pull, dy * weight * pull
    else:
        twist = (0.4 + 1.0 * shape.strength) * weight * (1 if rng.random() < 0.5 else -1)
        move_x = dx * np.cos(twist) - dy * np.sin(twist) - dx
        move_y = dx * np.sin(twist) + dy * np.cos(twist) - dy
    to_x, to_y = np.asarray(x + move_x, np.float32), np.asarray(y + move_y, np.float32)
    moved = cv2.remap(patch, to_x, to_y, cv2.INTER_CUBIC, None, cv2.BORDER_REFLECT)
    far = np.hypot(move_x, move_y)
    return np.asarray(moved, np.float32), np.asarray(np.clip(far - 0.4, 0, 1), np.float32)


def missing(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A piece of the pattern is not there: its ground shows, as around it."""
    tones = split_tones(patch)
    piece = None if tones is None else _piece(rng, tones, shape)
    if tones is not None and piece is not None:
        ground = retoned(patch, tones, light=not piece[1])
        cover = piece[0]
    elif tones is not None and tones.separation > _TWO_TONED:
        cover = _ragged(rng, patch, shape)
        ground = retoned(patch, tones, light=bool(tones.light.mean() > 0.5))
    else:
        radius = shape.size_px / 2 * 0.85
        cover = blob(rng, _size(patch), (radius, radius * rng.uniform(0.5, 1)), 0.08)
        kept = cv2.dilate((cover > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        ground = _continued(patch, kept, radius)
    # The ground between the pieces of a pattern is not missing.
    cover = np.asarray(cover * np.clip(np.abs(ground - patch).max(axis=2) / 6, 0, 1), np.float32)
    opacity = (cover * (0.5 + 0.5 * shape.strength))[..., None]
    return np.asarray(patch + opacity * (ground - patch), np.float32), cover


def faulty_imprint(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Ink that is missing in streaks, or smeared along the print's way; on a blank ground, a smear of ink."""
    tones, area = split_tones(patch), _ragged(rng, patch, shape)
    if tones is None or tones.separation < _TWO_TONED:
        return _smear(rng, patch, area, shape)
    ink_is_light = bool(tones.light.mean() < 0.5)
    if rng.random() < 0.5:
        return _dragged(rng, patch, area, ink_is_light, shape)
    voids = streaks(rng, _size(patch), rng.uniform(0, math.pi), shape.size_px * 0.5 + 3, rng.uniform(1, 3))
    worn = np.clip(0.15 + 0.6 * shape.strength + 0.7 * voids + 0.3 * fractal_noise(rng, _size(patch), 4, 2), 0, 1)
    ground = retoned(patch, tones, light=not ink_is_light)
    ink = cv2.dilate((tones.light == ink_is_light).astype(np.uint8), np.ones((3, 3), np.uint8))
    opacity = area * worn * blurred(ink.astype(np.float32), 0.6)
    return np.asarray(patch + opacity[..., None] * (ground - patch), np.float32), np.asarray(opacity, np.float32)


def _dragged(rng: np.random.Generator, patch: FloatImage, area: FloatImage, light: bool, shape: DefectShape) -> Painted:
    """Wet ink pulled along: each pixel takes the inkiest of those behind it, thinner the further away."""
    angle, dragged = rng.uniform(0, 2 * math.pi), patch
    sign = 1.0 if light else -1.0
    length = shape.size_px * rng.uniform(0.12, 0.4)
    steps = min(12, max(3, round(length)))
    size = (patch.shape[1], patch.shape[0])
    for step in range(1, steps + 1):
        far = length * step / steps
        move = np.array([[1, 0, math.cos(angle) * far], [0, 1, math.sin(angle) * far]], np.float32)
        behind = cv2.warpAffine(patch, move, size, borderMode=cv2.BORDER_REPLICATE)
        thinner = patch + (behind - patch) * (0.9 * (1 - step / (steps + 1)) * (0.4 + 0.6 * shape.strength))
        dragged = np.where(sign * (thinner.sum(axis=2) - dragged.sum(axis=2))[..., None] > 0, thinner, dragged)
    changed = patch + area[..., None] * (dragged - patch)
    far_from = np.abs(changed - patch).max(axis=2)
    return np.asarray(changed, np.float32), np.asarray(np.clip(far_from / 8, 0, 1), np.float32)


def _smear(rng: np.random.Generator, patch: FloatImage, area: FloatImage, shape: DefectShape) -> Painted:
    """Ink wiped over the ground: streaky, thick where it begins and thin where it ends."""
    angle, size = rng.uniform(0, 2 * math.pi), _size(patch)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    along = ((x - size[1] / 2) * math.cos(angle) + (y - size[0] / 2) * math.sin(angle)) / shape.size_px + 0.5
    lines = streaks(rng, size, angle, shape.size_px * 0.8 + 3, rng.uniform(1.2, 3.0))
    density = area * np.clip(1.1 - along, 0.05, 1) * np.clip(0.65 + 0.5 * lines, 0, 1) * (0.3 + 0.7 * shape.strength)
    ink = np.asarray(rng.uniform(10, 90, 3) if patch.mean() > 70 else rng.uniform(150, 240, 3), np.float32)
    return np.asarray(patch + density[..., None] * (ink - patch), np.float32), np.asarray(density, np.float32)


def _ragged(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> FloatImage:
    radius = shape.size_px / 2 * 0.9
    return blurred(blob(rng, _size(patch), (radius, radius * rng.uniform(0.4, 0.9)), 0.15), 0.8)


def _piece(rng: np.random.Generator, tones: Tones, shape: DefectShape) -> tuple[FloatImage, bool] | None:
    """Return the coverage of one whole piece of the pattern and whether it is light; None if none fits.

    A piece is connected, no larger than the defect is meant to be, and not cut off by the patch.
    """
    if tones.separation < _TWO_TONED or tones.contrast < 15:
        return None
    light = bool(tones.light.mean() < 0.5)
    _, labels, boxes, centres = cv2.connectedComponentsWithStats((tones.light == light).astype(np.uint8))
    height, width = labels.shape
    longest = np.maximum(boxes[:, 2], boxes[:, 3])
    fits = (longest <= shape.size_px * 1.15) & (longest >= max(3.0, shape.size_px * 0.2)) & (boxes[:, 4] >= 6)
    fits &= (boxes[:, 0] > 0) & (boxes[:, 1] > 0)
    fits &= (boxes[:, 0] + boxes[:, 2] < width) & (boxes[:, 1] + boxes[:, 3] < height)
    fits[0] = False
    if not fits.any():
        return None
    aim = np.asarray(((width - 1) / 2, (height - 1) / 2)) + rng.normal(0, shape.size_px * 0.1, 2)
    distance = np.where(fits, np.linalg.norm(centres - aim, axis=1), np.inf)
    found = cv2.dilate((labels == int(distance.argmin())).astype(np.uint8), np.ones((3, 3), np.uint8))
    return blurred(found.astype(np.float32), 0.5), light


def _continued(patch: FloatImage, kept: NDArray[np.bool_], radius: float) -> FloatImage:
    """Return what surrounds the hole in ``kept`` carried on into it, smooth, with grain taken from beside it."""
    smooth = spread(patch, kept, max(2.0, radius * 0.5))
    grain = patch - cv2.GaussianBlur(patch, (0, 0), 1.5)
    return np.asarray(smooth + 0.6 * np.roll(grain, int(middle(patch)[0]), axis=1), np.float32)


def _size(patch: FloatImage) -> tuple[int, int]:
    return patch.shape[0], patch.shape[1]

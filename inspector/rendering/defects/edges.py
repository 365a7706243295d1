"""Defects of an edge, of a part or of a pattern: broken off there, or standing up ragged.

Where the patch has no edge, a chip is a flake out of the middle and a burr a ragged lip along a line.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.defects.painting import DefectShape, Painted, middle, start_of_line
from inspector.rendering.shapes import blurred, filled, shifted, stroke, wandering_line
from inspector.rendering.surfaces import LIGHT, FloatImage, fractal_noise
from inspector.rendering.tones import spread
from inspector.vision.line_artwork import split_tones
from inspector.vision.opencv import cv2

_LEAST_SEPARATION = 0.74  # of the tones on both sides; a texture whose tones make a bell curve has 2 / pi = 0.64
_LEAST_CONTRAST = 22.0
_LEAST_SMOOTH = 0.94  # how many pixels keep their side when small pieces are smoothed away: an edge, not a texture

Sides = NDArray[np.bool_]


def chip(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Material broken off: what lies behind shows outside, bright facets of the fresh fracture inside."""
    solid = _one_side(rng, patch)
    centre = middle(patch) if solid is None else _nearest_edge(rng, patch, solid, shape)
    if centre is None:
        return patch, np.zeros(patch.shape[:2], np.float32)
    broken = _facet_outline(rng, patch, centre, shape.size_px / 2 * rng.uniform(0.6, 0.95))
    gone = np.zeros(patch.shape[:2], np.float32)
    if solid is not None:
        inward = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, 3)
        broken = broken * blurred(solid.astype(np.float32), 0.5)
        depth = rng.uniform(0.2, 0.9) * shape.size_px * 0.35
        gone = np.asarray(np.clip(depth + 0.5 - inward, 0, 1) * broken, np.float32)
    facets = _facets(rng, patch, centre, shape)
    coarse = cv2.GaussianBlur(patch, (0, 0), max(1.5, shape.size_px / 12))
    fresh = coarse * 0.6 + patch.mean(axis=(0, 1)) * 0.4 + 14
    grain = 4 + 0.35 * float(patch.std())
    fracture = fresh * facets[..., None] + grain * fractal_noise(rng, _size(patch), 2.5, 2)[..., None]
    opacity = (broken * (0.45 + 0.55 * shape.strength))[..., None]
    changed = patch + opacity * (fracture - patch)
    if solid is not None:
        behind = spread(patch, ~solid, max(2.0, shape.size_px / 6))
        changed += gone[..., None] * (behind - changed)
    rim = np.clip(broken - shifted(broken, (-LIGHT[0] * 1.3, -LIGHT[1] * 1.3)), 0, 1) * (1 - gone)
    shaded = np.clip(broken - shifted(broken, (LIGHT[0] * 1.3, LIGHT[1] * 1.3)), 0, 1) * (1 - gone)
    # The wall under the lamp-side rim lies in shade, the wall opposite catches the light.
    changed = changed * (1 - 0.4 * shape.strength * shaded)[..., None] + (rim * (15 + 45 * shape.strength))[..., None]
    return np.asarray(changed, np.float32), broken


def burr(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A ragged lip of metal along an edge: bright, uneven, with single spikes, dark at its root."""
    size = _size(patch)
    solid = _one_side(rng, patch)
    if solid is None:
        angle = rng.uniform(0, math.pi)
        line = wandering_line(rng, start_of_line(patch, angle, shape.size_px), angle, shape.size_px, 0.03)
        root, centre = stroke(size, line, 1.0, taper=False) > 0.4, middle(patch)
        outward = cv2.distanceTransform((~root).astype(np.uint8), cv2.DIST_L2, 3)
    else:
        nearest = _nearest_edge(rng, patch, solid, shape)
        if nearest is None:
            return patch, np.zeros(size, np.float32)
        centre = nearest
        outward = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, 3)
        outward[solid] = 100.0
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    along = np.hypot(x - centre[0], y - centre[1]) / (shape.size_px / 2)
    ragged = fractal_noise(rng, size, max(2.5, shape.size_px * 0.06), 3)
    thickness = (1.2 + shape.size_px * (0.015 + 0.03 * shape.strength)) * np.clip(0.8 + 0.4 * ragged, 0.25, 2)
    thickness *= np.clip((1 - along) * 4, 0, 1)
    lip = _touching(np.asarray(np.clip(thickness - outward + 0.5, 0, 1), np.float32), centre)
    bright = patch.mean(axis=(0, 1)) * 0.6 + (65 + 65 * shape.strength)
    glitter = np.clip(1 + 0.16 * fractal_noise(rng, size, 2.5, 2), 0.6, 1.4)
    opacity = lip * (0.5 + 0.5 * shape.strength)
    step = 1.0 + thickness.max() * 0.3
    shadow = np.clip(shifted(lip, (-LIGHT[0] * step, -LIGHT[1] * step)) - lip, 0, 1)
    changed = patch * (1 - 0.45 * shadow)[..., None]
    changed += opacity[..., None] * (bright * glitter[..., None] - changed)
    return np.asarray(changed, np.float32), np.maximum(lip, np.where(shadow > 0.3, shadow, 0))


def _touching(lip: FloatImage, centre: tuple[float, float]) -> FloatImage:
    """Keep the piece nearest to ``centre``: one burr, not one on every edge of a pattern."""
    _, labels = cv2.connectedComponents((lip > 0).astype(np.uint8))
    rows, columns = np.nonzero(labels)
    if not rows.size:
        return lip
    nearest = int(np.hypot(columns - centre[0], rows - centre[1]).argmin())
    return np.where(labels == labels[rows[nearest], columns[nearest]], lip, 0).astype(np.float32)


def _one_side(rng: np.random.Generator, patch: FloatImage) -> Sides | None:
    """Return bool [H, W], true on the side of the patch's edge that is taken for the part; None without an edge."""
    smooth = cv2.GaussianBlur(patch, (0, 0), 1.2)
    tones = split_tones(np.asarray(smooth, np.float32))
    dark_side = rng.random() < 0.5
    if tones is None or tones.contrast < _LEAST_CONTRAST or tones.separation < _LEAST_SEPARATION:
        return None
    calm = cv2.medianBlur(tones.light.astype(np.uint8), 5) > 0
    if float(np.mean(calm == tones.light)) < _LEAST_SMOOTH:
        return None
    return ~calm if dark_side else calm


def _nearest_edge(
    rng: np.random.Generator, patch: FloatImage, solid: Sides, shape: DefectShape
) -> tuple[float, float] | None:
    """Return the (x, y) on the rim of ``solid`` nearest to about the middle, if the defect would reach it."""
    rim = solid & (cv2.erode(solid.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    rows, columns = np.nonzero(rim)
    x, y = np.add(middle(patch), rng.normal(0, 0.1 * shape.size_px, 2))
    distance = np.hypot(columns - x, rows - y)
    if not distance.size or float(distance.min()) > shape.size_px / 2 + 2:
        return None
    at = int(distance.argmin())
    return float(columns[at]), float(rows[at])


def _facet_outline(
    rng: np.random.Generator, patch: FloatImage, centre: tuple[float, float], radius: float
) -> FloatImage:
    """Return the coverage of a shell-shaped piece: a few straight or slightly hollow breaks around ``centre``."""
    corners = 5 + int(rng.integers(0, 5))
    angles = np.sort((np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2 * math.pi / corners)
    reach = max(1.5, radius) * rng.uniform(0.55, 1.0, corners)
    ratio, turn = rng.uniform(0.55, 1.0), rng.uniform(0, math.pi)
    x, y = reach * np.cos(angles), reach * np.sin(angles) * ratio
    points = np.stack([x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], axis=1)
    return filled(_size(patch), points + np.asarray(centre))


def _facets(rng: np.random.Generator, patch: FloatImage, centre: tuple[float, float], shape: DefectShape) -> FloatImage:
    """Return the light on the fracture, float32 [H, W] around 1: flat facets that meet at ridges, some glinting."""
    size = _size(patch)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    light = np.ones(size, np.float32)
    for _ in range(2 + int(rng.integers(0, 3))):
        angle = rng.uniform(0, 2 * math.pi)
        offset = float(rng.normal(0, 0.2)) * shape.size_px
        side = (x - centre[0]) * math.cos(angle) + (y - centre[1]) * math.sin(angle) > offset
        light += np.where(side, 1, -1) * float(rng.uniform(0.08, 0.26)) * (0.6 + 0.6 * shape.strength)
    return np.asarray(np.clip(light + 0.12, 0.45, 1.8), np.float32)


def _size(patch: FloatImage) -> tuple[int, int]:
    return patch.shape[0], patch.shape[1]

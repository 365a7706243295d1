"""Defects of use and handling: rubbed areas, cuts, folds, blisters."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects.painting import DefectShape, Painted, middle, start_of_line
from inspector.rendering.shapes import blob, blurred, shifted, streaks, stroke, wandering_line
from inspector.rendering.surfaces import LIGHT, FloatImage, fractal_noise, shade
from inspector.vision.opencv import cv2


def abrasion(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A scuffed area: many fine grooves one way, the gloss and the fine texture under them rubbed off."""
    size, radius = _size(patch), shape.size_px / 2
    area = blob(rng, size, (radius * 0.9, radius * rng.uniform(0.35, 0.8)), 0.12)
    density = np.clip(0.85 + 0.35 * fractal_noise(rng, size, max(5.0, radius * 0.6), 3), 0.15, 1.2)
    area = blurred(area, max(0.8, radius * rng.uniform(0.05, 0.14))) * density
    grooves = streaks(rng, size, rng.uniform(0, math.pi), max(6.0, radius * rng.uniform(0.5, 1.2)), rng.uniform(1, 1.8))
    # A rubbed surface scatters: dark ones turn pale, light ones dull.
    grey = float(patch.mean())
    pale = 1.0 if rng.random() < 0.25 + 0.6 * (grey < 150) else -1.0
    rubbed = cv2.GaussianBlur(patch, (0, 0), 1.5)
    worn = rubbed + pale * (6 + 34 * shape.strength) + (grooves * (12 + 42 * shape.strength))[..., None]
    opacity = np.clip(area * (0.55 + 0.6 * shape.strength), 0, 1)
    return np.asarray(patch + opacity[..., None] * (worn - patch), np.float32), opacity


def cut(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """The slit of a blade: straight, clean, open in the middle; one lip shines, the other lies in shade."""
    size, angle, length = _size(patch), rng.uniform(0, math.pi), shape.size_px * 0.95
    width = 0.9 + shape.size_px * (0.008 + 0.035 * shape.strength)
    line = wandering_line(rng, start_of_line(patch, angle, length), angle, length, 0.004)
    slit = stroke(size, line, width)
    across = (-math.sin(angle), math.cos(angle))
    towards_lamp = across[0] * LIGHT[0] + across[1] * LIGHT[1] > 0
    step = (width * 0.7 + 0.6) * (1 if towards_lamp else -1)
    shaded = np.clip(shifted(slit, (across[0] * step, across[1] * step)) - slit, 0, 1)
    lit = np.clip(shifted(slit, (-across[0] * step, -across[1] * step)) - slit, 0, 1)
    changed = patch * (1 - (0.55 + 0.4 * shape.strength) * slit - 0.2 * shaded)[..., None]
    return changed + (lit * (18 + 45 * shape.strength))[..., None], np.maximum(slit, np.maximum(lit, shaded) * 0.7)


def wrinkle(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Folds: ridges that run side by side, one flank lit and the other in shade; a sharp one is a crease."""
    size, angle = _size(patch), rng.uniform(0, math.pi)
    crease = rng.random() < 0.35
    width = max(1.6, shape.size_px * (rng.uniform(0.015, 0.04) if crease else rng.uniform(0.05, 0.12)))
    across = (-math.sin(angle), math.cos(angle))
    relief = np.zeros(size, np.float32)
    for ridge in range(1 if crease else 1 + int(rng.integers(1, 5))):
        length = shape.size_px * (0.9 if ridge == 0 else rng.uniform(0.35, 0.75))
        turn = angle if ridge == 0 else angle + rng.normal(0, 0.18)
        offset = 0.0 if ridge == 0 else float(rng.uniform(-1, 1)) * shape.size_px * 0.28
        x, y = start_of_line(patch, turn, length)
        points = wandering_line(rng, (x + across[0] * offset, y + across[1] * offset), turn, length, 0.06)
        relief += stroke(size, points, width) * (1 if rng.random() < 0.75 else -0.7)
    relief = blurred(relief, width * 0.45)
    slope = shade(relief * width)
    light = np.clip(slope * (0.25 + 0.55 * shape.strength) * 1.6, -0.65, 0.8)
    # A ridge that runs towards the lamp has no lit flank, but its crest shines all the same.
    crest = np.clip(relief, -1, 1) * (0.04 + 0.08 * shape.strength)
    change = light + crest
    changed = patch * (1 + change)[..., None] + (np.clip(light, 0, 1) * 22)[..., None]
    return np.asarray(changed, np.float32), np.clip(np.abs(change) * 2.5 - 0.02, 0, 1)


def bubble(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A blister, or several: a smooth dome, lit towards the lamp, with a glint, a dark foot and a short shadow."""
    size, radius = _size(patch), shape.size_px / 2
    several = rng.random() < 0.4
    height, inside = np.zeros(size, np.float32), np.zeros(size, np.float32)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    for dome in range(1 + int(several) * int(rng.integers(2, 7))):
        r = radius * 0.9 if not several else radius * (0.4 if dome == 0 else rng.uniform(0.12, 0.3))
        r = max(1.6, r)
        reach = max(0.0, radius - r)
        at = (0.0, 0.0) if dome == 0 else (float(rng.uniform(-1, 1)) * reach * 0.7, float(rng.uniform(-1, 1)) * reach)
        cx, cy = middle(patch)[0] + at[0], middle(patch)[1] + at[1]
        ratio = rng.uniform(0.8, 1.25)
        distance = np.sqrt(((x - cx) * ratio) ** 2 + ((y - cy) / ratio) ** 2) / r
        height = np.maximum(height, r * np.clip(1 - distance**2, 0, 1) ** 0.8 * 0.6)
        inside = np.maximum(inside, np.clip((1 - distance) * r + 0.5, 0, 1))
    slope = np.clip(np.asarray(shade(blurred(height, 0.8)), np.float32), -1.6, 1.6)
    light = 1 + (0.08 + 0.26 * shape.strength) * slope
    glint = np.clip(slope - 0.6, 0, 1) ** 2 * (40 + 120 * shape.strength)
    short = max(1.0, radius * 0.12)
    shadow = np.clip(shifted(inside, (-LIGHT[0] * short, -LIGHT[1] * short)) - inside, 0, 1)
    smooth = cv2.GaussianBlur(patch, (0, 0), 0.9)
    changed = patch + inside[..., None] * (smooth * light[..., None] + glint[..., None] - patch)
    changed *= (1 - (0.12 + 0.3 * shape.strength) * shadow)[..., None]
    return np.asarray(changed, np.float32), np.maximum(inside, shadow * 0.8)


def _size(patch: FloatImage) -> tuple[int, int]:
    return patch.shape[0], patch.shape[1]

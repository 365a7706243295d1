"""A face-milled aluminium plate with a bore, countersunk holes, slots and cap screws, on a dark carrier."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.rendering.surfaces import (
    LIGHT,
    FloatImage,
    blend,
    box_distance,
    fractal_noise,
    inside,
    to_bytes,
    value_noise,
)
from inspector.simulator.scene import SCENE_SHAPE, Mark, PartFault, Scene, pixel_grid

_HALF_SIZE = (545.0, 405.0)
_BORE_RADIUS, _SCREW_CIRCLE, _SCREW_RADIUS = 128.0, 225.0, 34.0
_HOLES = ((-455, -315), (455, -315), (-455, 315), (455, 315))
_SLOTS = ((-410, 0), (410, 0))


def plate_scene(layout_rng: np.random.Generator, rng: np.random.Generator) -> Scene:
    """Render one plate: ``layout_rng`` fixes what all plates share, ``rng`` what is this one's own."""
    grid_x, grid_y = pixel_grid(SCENE_SHAPE)
    x, y = grid_x - SCENE_SHAPE[1] / 2, grid_y - SCENE_SHAPE[0] / 2
    image = _carrier(rng)
    edge = box_distance(x, y, _HALF_SIZE, 26)
    shadow = inside(box_distance(x + LIGHT[0] * 14, y + LIGHT[1] * 14, _HALF_SIZE, 26), 12)
    image *= (1 - 0.7 * shadow)[..., None]
    blend(image, inside(edge), _milled(rng, x, y))
    _bevel(image, edge, x, y, 7, 1.0)
    surface = edge < -10
    for hole_x, hole_y in _HOLES:
        surface &= _countersunk(image, x - hole_x, y - hole_y, 30, 46) > 4
    for slot_x, slot_y in _SLOTS:
        surface &= _opening(image, box_distance(x - slot_x, y - slot_y, (26, 110), 26), x - slot_x, y - slot_y, rng) > 4
    surface &= _opening(image, np.hypot(x, y) - _BORE_RADIUS, x, y, rng) > 4
    phase = layout_rng.uniform(0, math.pi / 3)
    centres = [
        (_SCREW_CIRCLE * math.cos(phase + k * math.pi / 3), _SCREW_CIRCLE * math.sin(phase + k * math.pi / 3))
        for k in range(6)
    ]
    for cx, cy in centres:
        surface &= _countersunk(image, x - cx, y - cy, 22, _SCREW_RADIUS + 4) > 3
    empty = image.copy()
    for cx, cy in centres:
        _screw(image, x - cx, y - cy, rng)
    image, empty = _lens(image), _lens(empty)
    faults = tuple(_missing_screw(empty, cx, cy) for cx, cy in centres)
    mark = Mark(Box(520, 842, 300, 44), (62, 60, 58), 0.8, "PL")
    return Scene(to_bytes(image), surface.astype(np.uint8) * 255, mark, faults)


def _carrier(rng: np.random.Generator) -> FloatImage:
    noise = fractal_noise(rng, SCENE_SHAPE, 9, 3) * 3 + value_noise(rng, SCENE_SHAPE, (300, 300)) * 3
    return np.clip(noise[..., None] + np.array([44, 41, 39], np.float32), 0, 255).astype(np.float32)


def _milled(rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]) -> FloatImage:
    """Marks of a face mill: every turn of the cutter leaves an arc; the trailing edge cuts back, fainter."""
    passes, radius = 3, 210.0
    band = _HALF_SIZE[1] * 2 / passes
    number = np.clip(np.floor((y + _HALF_SIZE[1]) / band), 0, passes - 1)
    from_axis = y + _HALF_SIZE[1] - (number + 0.5) * band
    sag = np.sqrt(np.maximum(radius**2 - from_axis**2, 0))
    grooves = np.zeros(x.shape, np.float32)
    for depth, direction in ((1.0, 1), (0.45, -1)):
        profile = _groove_profile(rng)
        place = np.clip(x + direction * sag + 900 + 7 * number, 0, len(profile) - 2)
        low = place.astype(np.int32)
        part = place - low
        grooves += depth * ((1 - part) * profile[low] + part * profile[low + 1])
    sheen = 7 * np.sin(from_axis / band * math.pi) + 6 * value_noise(rng, x.shape, (500, 400))
    grain = fractal_noise(rng, (x.shape[0], x.shape[1]), 3, 2) * 1.6
    tone = 168 + 6.5 * grooves + sheen + grain + 2.5 * (number - 1)
    return np.asarray(tone[..., None] * np.array([1.01, 1.0, 0.985], np.float32), np.float32)


def _groove_profile(rng: np.random.Generator) -> NDArray[np.float32]:
    t = np.arange(1900, dtype=np.float32)
    feed = 1.0 * np.sin(2 * np.pi * t / 11.0) + 0.5 * np.sin(2 * np.pi * t / 5.5 + 1)
    rough = np.repeat(rng.standard_normal(475).astype(np.float32), 4)
    smooth = np.convolve(rough, np.ones(5, np.float32) / 5, mode="same")
    return np.asarray(0.7 * feed + 1.0 * smooth, np.float32)


def _bevel(
    image: FloatImage, distance: FloatImage, x: NDArray[np.float32], y: NDArray[np.float32], width: float, sign: float
) -> None:
    """Light a chamfer ``width`` px wide inside ``distance`` = 0; ``sign`` -1 turns it into the wall of a recess."""
    slope_x, slope_y = np.gradient(distance, axis=1), np.gradient(distance, axis=0)
    facing = (slope_x * LIGHT[0] + slope_y * LIGHT[1]) * sign
    ring = inside(distance) * inside(-distance - width)
    image += (ring * (58 * facing + 4))[..., None]


def _countersunk(
    image: FloatImage, x: NDArray[np.float32], y: NDArray[np.float32], radius: float, outer: float
) -> NDArray[np.float32]:
    distance = np.asarray(np.hypot(x, y), np.float32)
    cone = inside(distance - outer)
    facing = -(x * LIGHT[0] + y * LIGHT[1]) / np.maximum(distance, 1)
    turned = 3 * np.sin(distance * 2.1)
    tone = 140 + 62 * facing + turned
    blend(image, cone, np.repeat(tone[..., None], 3, axis=2).astype(np.float32))
    image += (inside(np.abs(distance - outer) - 0.8) * 22)[..., None]
    depth = np.clip(26 + 30 * np.clip(facing, 0, 1) * np.clip((distance / radius - 0.55) * 2.5, 0, 1), 0, 255)
    blend(image, inside(distance - radius), np.repeat(depth[..., None], 3, axis=2).astype(np.float32))
    return np.asarray(distance - outer, np.float32)


def _opening(
    image: FloatImage,
    distance: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    distance = np.asarray(distance, np.float32)
    reach = np.maximum(np.hypot(x, y), 1)
    facing = -(x * LIGHT[0] + y * LIGHT[1]) / reach
    floor = 34 + 2.0 * fractal_noise(rng, (x.shape[0], x.shape[1]), 9, 2)
    wall = np.clip(1 + distance / 26, 0, 1) * np.clip(0.25 + facing, 0, 1.2) * 85
    blend(image, inside(distance), np.repeat((floor + wall)[..., None], 3, axis=2).astype(np.float32))
    _bevel(image, np.asarray(-distance, np.float32), x, y, 5, 1.0)
    return distance


def _screw(image: FloatImage, x: NDArray[np.float32], y: NDArray[np.float32], rng: np.random.Generator) -> None:
    distance = np.asarray(np.hypot(x, y), np.float32)
    near = distance < _SCREW_RADIUS * 2
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    patch, x, y, distance = image[window], x[window], y[window], distance[window]
    facing = (x * LIGHT[0] + y * LIGHT[1]) / np.maximum(distance, 1)
    dome = np.clip((distance / _SCREW_RADIUS - 0.72) * 3.6, 0, 1)
    tone = 78 + 26 * value_noise(rng, (len(x), x.shape[1]), (40, 40)) * 0.15 + 70 * facing * dome
    blend(patch, inside(np.hypot(x + LIGHT[0] * 5, y + LIGHT[1] * 5) - _SCREW_RADIUS, 3) * 0.5, (20, 20, 20))
    blend(patch, inside(distance - _SCREW_RADIUS), np.asarray(tone[..., None] * [1.04, 1.0, 0.97], np.float32))
    turn = rng.uniform(0, math.pi / 3)
    sides = [np.abs(x * math.cos(turn + k * math.pi / 3) + y * math.sin(turn + k * math.pi / 3)) for k in range(3)]
    socket = np.maximum(np.maximum(sides[0], sides[1]), sides[2]) - 14
    blend(patch, inside(socket), (22, 21, 20))
    patch += (inside(np.abs(socket) - 0.7) * np.clip(-facing, 0, 1) * 70)[..., None]


def _missing_screw(empty: FloatImage, cx: float, cy: float) -> PartFault:
    half = int(_SCREW_RADIUS) + 14
    left, top = round(SCENE_SHAPE[1] / 2 + cx) - half, round(SCENE_SHAPE[0] / 2 + cy) - half
    return PartFault("missing part", left, top, to_bytes(empty[top : top + 2 * half, left : left + 2 * half]))


def _lens(image: FloatImage) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.float32)

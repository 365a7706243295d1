"""A face-milled aluminium plate with a bore, countersunk holes, slots and cap screws, on a dark carrier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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
from inspector.simulator.scene import MIDDLE, SCENE_SHAPE, Mark, PartFault, Scene, pixel_grid
from inspector.vision.opencv import cv2

_HALF_SIZE = (545.0, 405.0)
_BORE_RADIUS, _SCREW_CIRCLE, _SCREW_RADIUS = 128.0, 225.0, 34.0
_HOLES: tuple[tuple[float, float], ...] = ((-455, -315), (455, -315), (-455, 315), (455, 315))
_SLOTS: tuple[tuple[float, float], ...] = ((-410, 0), (410, 0))


def plate_scene(layout_rng: np.random.Generator, rng: np.random.Generator) -> Scene:
    """Render one plate: ``layout_rng`` fixes what all plates share, ``rng`` what is this one's own."""
    x, y = pixel_grid(SCENE_SHAPE, MIDDLE)
    image = _carrier(rng)
    edge = box_distance(x, y, _HALF_SIZE, 26)
    shadow = inside(box_distance(x + LIGHT[0] * 14, y + LIGHT[1] * 14, _HALF_SIZE, 26), 12)
    image *= (1 - 0.7 * shadow)[..., None]
    blend(image, inside(edge), _milled(rng, x, y))
    _bevel(image, edge, 7)
    surface = edge < -10
    for centre in _HOLES:
        _countersunk(_around(image, surface, centre, 60), 30, 46)
    for centre in _SLOTS:
        slot = _around(image, surface, centre, 130)
        _opening(slot, box_distance(slot.x, slot.y, (26, 110), 26), rng)
    bore = _around(image, surface, (0, 0), 150)
    _opening(bore, np.hypot(bore.x, bore.y) - _BORE_RADIUS, rng)
    phase = layout_rng.uniform(0, math.pi / 3)
    angles = [phase + k * math.pi / 3 for k in range(6)]
    centres = [(_SCREW_CIRCLE * math.cos(a), _SCREW_CIRCLE * math.sin(a)) for a in angles]
    for centre in centres:
        _countersunk(_around(image, surface, centre, 55), 22, _SCREW_RADIUS + 4)
    empty = image.copy()
    for centre in centres:
        _screw(_around(image, surface, centre, 68), rng)
    image, empty = _lens(image), _lens(empty)
    faults = tuple(_missing_screw(empty, cx, cy) for cx, cy in centres)
    mark = Mark(Box(520, 842, 300, 44), (62, 60, 58), 0.8, "PL")
    return Scene(to_bytes(image), surface.astype(np.uint8) * 255, mark, faults)


@dataclass(frozen=True, slots=True)
class _Spot:
    """Views of the picture around a feature; ``x`` and ``y`` are pixels from its middle."""

    image: FloatImage
    surface: NDArray[np.bool_]
    x: FloatImage
    y: FloatImage

    @property
    def radius(self) -> FloatImage:
        return np.asarray(np.hypot(self.x, self.y), np.float32)

    @property
    def facing(self) -> FloatImage:
        """1 in the direction of the lamp as seen from the middle, -1 away from it."""
        return np.asarray((self.x * LIGHT[0] + self.y * LIGHT[1]) / np.maximum(self.radius, 1), np.float32)


def _around(image: FloatImage, surface: NDArray[np.bool_], centre: tuple[float, float], reach: int) -> _Spot:
    left, top = round(MIDDLE[0] + centre[0]) - reach, round(MIDDLE[1] + centre[1]) - reach
    window = (slice(top, top + 2 * reach), slice(left, left + 2 * reach))
    x, y = pixel_grid((2 * reach, 2 * reach), (MIDDLE[0] + centre[0] - left, MIDDLE[1] + centre[1] - top))
    return _Spot(image[window], surface[window], x, y)


def _carrier(rng: np.random.Generator) -> FloatImage:
    noise = fractal_noise(rng, SCENE_SHAPE, 9, 3) * 3 + value_noise(rng, SCENE_SHAPE, (300, 300)) * 3
    return np.asarray(np.clip(noise[..., None] + np.array([44, 41, 39], np.float32), 0, 255), np.float32)


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


def _bevel(image: FloatImage, distance: FloatImage, width: float) -> None:
    """Light a chamfer ``width`` px wide just inside the outline where ``distance`` is 0."""
    facing = np.gradient(distance, axis=1) * LIGHT[0] + np.gradient(distance, axis=0) * LIGHT[1]
    ring = inside(distance) * inside(-distance - width)
    image += (ring * (58 * facing + 4))[..., None]


def _countersunk(spot: _Spot, radius: float, outer: float) -> None:
    """A through hole with a turned cone around it, whose far side faces the lamp."""
    distance, facing = spot.radius, -spot.facing
    blend(spot.image, inside(distance - outer), _grey(140 + 62 * facing + 3 * np.sin(distance * 2.1)))
    spot.image[:] += (inside(np.abs(distance - outer) - 0.8) * 22)[..., None]
    wall = np.clip(facing, 0, 1) * np.clip((distance / radius - 0.55) * 2.5, 0, 1)
    blend(spot.image, inside(distance - radius), _grey(26 + 30 * wall))
    spot.surface[:] &= distance > outer + 4


def _opening(spot: _Spot, signed_distance: NDArray[Any], rng: np.random.Generator) -> None:
    """A cut-out through which the carrier is seen, with the lit part of its wall and a broken edge."""
    distance = np.asarray(signed_distance, np.float32)
    floor = 34 + 2.0 * fractal_noise(rng, (distance.shape[0], distance.shape[1]), 9, 2)
    wall = np.clip(1 + distance / 26, 0, 1) * np.clip(0.25 - spot.facing, 0, 1.2) * 85
    blend(spot.image, inside(distance), _grey(floor + wall))
    _bevel(spot.image, np.asarray(-distance, np.float32), 5)
    spot.surface[:] &= distance > 9


def _screw(spot: _Spot, rng: np.random.Generator) -> None:
    """A black cap screw with a rounded rim and a hexagon socket at a random angle."""
    x, y, distance, facing = spot.x, spot.y, spot.radius, spot.facing
    dome = np.clip((distance / _SCREW_RADIUS - 0.72) * 3.6, 0, 1)
    tone = 78 + 4 * value_noise(rng, (x.shape[0], x.shape[1]), (40, 40)) + 70 * facing * dome
    shadow = inside(np.hypot(x + LIGHT[0] * 5, y + LIGHT[1] * 5) - _SCREW_RADIUS, 3)
    blend(spot.image, shadow * np.float32(0.5), (20, 20, 20))
    blend(spot.image, inside(distance - _SCREW_RADIUS), _grey(tone) * np.array([1.04, 1.0, 0.97], np.float32))
    turn = rng.uniform(0, math.pi / 3)
    sides = [np.abs(x * math.cos(turn + k * math.pi / 3) + y * math.sin(turn + k * math.pi / 3)) for k in range(3)]
    socket = np.maximum(np.maximum(sides[0], sides[1]), sides[2]) - 14
    blend(spot.image, inside(socket), (22, 21, 20))
    spot.image[:] += (inside(np.abs(socket) - 0.7) * np.clip(-facing, 0, 1) * 70)[..., None]


def _grey(tone: NDArray[Any]) -> FloatImage:
    return np.repeat(np.asarray(tone, np.float32)[..., None], 3, axis=2)


def _missing_screw(empty: FloatImage, cx: float, cy: float) -> PartFault:
    half = int(_SCREW_RADIUS) + 14
    left, top = round(SCENE_SHAPE[1] / 2 + cx) - half, round(SCENE_SHAPE[0] / 2 + cy) - half
    return PartFault("missing part", left, top, to_bytes(empty[top : top + 2 * half, left : left + 2 * half]))


def _lens(image: FloatImage) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.float32)

"""Defects of printed conductors: where etching took too much or too little. They need line artwork to be seen.

Every painter looks for the place nearest to the patch's middle where its fault is possible - a trace that can be cut,
a gap that can be bridged - and takes its measures from the width of the trace or gap there. Without one it paints
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.artwork import Artwork, find_artwork
from inspector.rendering.defects.painting import DefectShape, Painted, Painter
from inspector.rendering.shapes import blob, filled, shifted, stroke
from inspector.rendering.surfaces import FloatImage
from inspector.rendering.tones import retoned
from inspector.vision.opencv import cv2

_LEAST_PX = 1.1  # radius; a smaller fault is no whole pixel


@dataclass(frozen=True, slots=True)
class _Layout:
    """The artwork of a patch: how far each pixel of a line is from its edge, and each pixel between from a line."""

    art: Artwork
    inward: FloatImage
    outward: FloatImage

    @property
    def size(self) -> tuple[int, int]:
        return self.art.lines.shape[0], self.art.lines.shape[1]


Drawn = tuple[FloatImage, bool]  # coverage [H, W], and whether it becomes conductor (or else bare ground)
_Draw = Callable[[np.random.Generator, _Layout, DefectShape], Drawn | None]


def _open(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A gap across a trace, its ends ragged."""
    ridge = _ridge(layout.inward) & (layout.inward * 2 < max(4.0, shape.size_px * 0.8))
    at = _nearest(rng, ridge, shape)
    if at is None:
        return None
    width = 2 * float(layout.inward[at[1], at[0]]) + 1
    gap = float(np.clip(shape.size_px * rng.uniform(0.15, 0.5), max(1.5, 0.35 * width), 2.5 * width + 2))
    along = _direction(layout.art.lines, at, width)
    ragged = _box(rng, layout.size, at, along, (gap / 2, width * 0.95 + 1))
    return ragged * layout.art.lines, False


def _short(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bridge of conductor over the gap between two traces."""
    ridge = _ridge(layout.outward) & (layout.outward * 2 < max(4.0, shape.size_px * 1.0)) & (layout.outward >= 1)
    at = _nearest(rng, ridge, shape)
    ends = None if at is None else _facing(layout, at)
    if ends is None:
        return None
    trace = max(2.0, 2 * float(np.median(layout.inward[_ridge(layout.inward)])))
    width = float(np.clip(shape.size_px * rng.uniform(0.1, 0.4), max(1.6, 0.4 * trace), 1.6 * trace + 1))
    steps = max(3, round(float(np.hypot(*(ends[1] - ends[0]))) / 2))
    points = ends[0] + np.linspace(0, 1, steps + 1)[:, None] * (ends[1] - ends[0])
    points[1:-1] += rng.normal(0, width * 0.15, points[1:-1].shape)
    bridge = stroke(layout.size, points, width, taper=False)
    for point in points:  # a bridge is no ruler's line: it grows thick and thin
        lump = blob(rng, layout.size, (width * rng.uniform(0.35, 0.7), width * 0.5), 0.15)
        bridge = np.maximum(bridge, _moved(lump, (float(point[0]), float(point[1]))))
    return bridge * ~layout.art.lines, True


def _mouse_bite(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bite out of a trace's edge that leaves it connected."""
    rim = layout.art.lines & (layout.inward < 1.6)
    at = _nearest(rng, rim, shape)
    if at is None:
        return None
    half = _largest_near(layout.inward, at, shape.size_px)
    deep = float(np.clip(shape.size_px * rng.uniform(0.2, 0.5), 1.3, max(1.3, half * rng.uniform(0.7, 1.5))))
    return _lump(rng, layout, at, deep, deep * rng.uniform(0.6, 1.1)) * layout.art.lines, False


def _spur(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bump of conductor on a trace's edge that reaches no other trace."""
    rim = ~layout.art.lines & (layout.outward < 1.6)
    at = _nearest(rng, rim, shape)
    if at is None:
        return None
    gap = _largest_near(layout.outward, at, shape.size_px)
    trace = max(1.5, _largest_near(layout.inward, at, shape.size_px))
    high = min(shape.size_px * rng.uniform(0.2, 0.5), gap * rng.uniform(0.6, 1.3), trace * 2.5 + 1)
    high = max(1.3, high)
    return _lump(rng, layout, at, high, high * rng.uniform(0.5, 1.0)) * ~layout.art.lines, True


def _spurious_copper(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A ragged island of conductor on bare ground."""
    at = _nearest(rng, layout.outward >= _LEAST_PX + 2.2, shape)
    if at is None:
        return None
    radius = _free_radius(rng, float(layout.outward[at[1], at[0]]) - 2, shape)
    return _lump(rng, layout, at, radius, radius * rng.uniform(0.45, 0.95)), True


def _pin_hole(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A small hole within a conductor, all round of it conductor left."""
    at = _nearest(rng, layout.inward >= _LEAST_PX + 1.4, shape)
    if at is None:
        return None
    radius = _free_radius(rng, float(layout.inward[at[1], at[0]]) - 1.2, shape)
    hole = blob(rng, layout.size, (radius, radius * rng.uniform(0.6, 1.0)), 0.07)
    return _moved(hole, at) * layout.art.lines, False


def _paint(draw: _Draw, light: bool | None, rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    nothing = patch, np.zeros(patch.shape[:2], np.float32)
    art = find_artwork(patch, light)
    if art is None:
        return nothing
    lines = art.lines.astype(np.uint8)
    inward = np.asarray(cv2.distanceTransform(lines, cv2.DIST_L2, 5), np.float32)
    outward = np.asarray(cv2.distanceTransform(1 - lines, cv2.DIST_L2, 5), np.float32)
    drawn = draw(rng, _Layout(art, inward, outward), shape)
    if drawn is None:
        return nothing
    # Etching is all or nothing, but a thin film of copper may be left, or the lacquer show it only faintly.
    opacity = np.asarray(drawn[0] * (0.75 + 0.25 * min(1.0, 2 * shape.strength)), np.float32)
    tone = retoned(patch, art.tones, light=art.light == drawn[1])
    return np.asarray(patch + opacity[..., None] * (tone - patch), np.float32), opacity


def painters(light: bool | None = None) -> dict[str, Painter]:
    """Return the painters by type, for artwork whose conductors are ``light`` or dark; None: each patch tells."""
    draws = {
        "open": _open,
        "short": _short,
        "mouse bite": _mouse_bite,
        "spur": _spur,
        "spurious copper": _spurious_copper,
        "pin hole": _pin_hole,
    }
    return {kind: partial(_paint, draw, light) for kind, draw in draws.items()}


def _ridge(distance: FloatImage) -> NDArray[np.bool_]:
    """The middle line of a shape: where nothing next to it lies further from the edge."""
    return (distance >= 1) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)) - 0.3)


def _nearest(rng: np.random.Generator, possible: NDArray[np.bool_], shape: DefectShape) -> tuple[int, int] | None:
    """Return the (x, y) of ``possible`` nearest to about the middle, within the defect's extent; None without one."""
    rows, columns = np.nonzero(possible)
    height, width = possible.shape
    x, y = np.add((width / 2, height / 2), rng.normal(0, 0.12 * shape.size_px, 2))
    distance = np.hypot(columns - x, rows - y)
    if not distance.size or float(distance.min()) > shape.size_px / 2 + 4:
        return None
    at = int(distance.argmin())
    return int(columns[at]), int(rows[at])


def _facing(layout: _Layout, at: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the two ends [2, 2] (x, y) of a bridge through ``at``: the nearest line, and one on the other side."""
    rows, columns = np.nonzero(layout.art.lines)
    nearest = int(np.hypot(columns - at[0], rows - at[1]).argmin())
    start = np.array([columns[nearest], rows[nearest]], np.float64)
    far = float(np.hypot(*(start - at)))
    away = (np.asarray(at, np.float64) - start) / max(far, 1e-6)
    for step in np.arange(1.0, 2.2 * far + 3, 0.7):
        x, y = np.round(at + away * step).astype(int)
        if not (0 <= x < layout.size[1] and 0 <= y < layout.size[0]):
            return None
        if layout.art.lines[y, x]:
            return np.stack([start - away, np.array([x, y], np.float64) + away])
    return None


def _direction(lines: NDArray[np.bool_], at: tuple[int, int], width: float) -> float:
    """Return the angle (radians) at which the line through ``at`` runs: the main axis of its pixels around there."""
    reach = max(3, round(width * 1.5))
    top, left = max(0, at[1] - reach), max(0, at[0] - reach)
    near = lines[top : at[1] + reach + 1, left : at[0] + reach + 1]
    _, marks = cv2.connectedComponents(near.astype(np.uint8))
    rows, columns = np.nonzero(marks == marks[at[1] - top, at[0] - left])
    dx, dy = columns + left - at[0], rows + top - at[1]
    round_ = dx**2 + dy**2 <= reach**2
    spread = np.cov(np.stack([dx[round_], dy[round_]])) if round_.sum() > 2 else np.eye(2)
    return 0.5 * math.atan2(2 * float(spread[0, 1]), float(spread[0, 0] - spread[1, 1]))


def _box(
    rng: np.random.Generator, size: tuple[int, int], at: tuple[int, int], angle: float, half: tuple[float, float]
) -> FloatImage:
    """Return the coverage of a box at ``angle`` whose two long sides are ragged."""
    across = np.linspace(-half[1], half[1], 7)
    rough = max(0.5, half[0] * 0.3)
    one, other = half[0] + rng.normal(0, rough, 7) * 0.6, -half[0] + rng.normal(0, rough, 7) * 0.6
    x, y = np.concatenate([one, other[::-1]]), np.concatenate([across, across[::-1]])
    points = np.stack([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)], axis=1)
    return filled(size, points + np.add(at, 0.5))


def _lump(rng: np.random.Generator, layout: _Layout, at: tuple[int, int], radius: float, other: float) -> FloatImage:
    return _moved(blob(rng, layout.size, (radius, other), 0.16), at)


def _moved(coverage: FloatImage, at: tuple[float, float]) -> FloatImage:
    return shifted(coverage, (at[0] + 0.5 - coverage.shape[1] / 2, at[1] + 0.5 - coverage.shape[0] / 2))


def _largest_near(distance: FloatImage, at: tuple[int, int], reach_px: int) -> float:
    reach = max(3, reach_px // 2)
    near = distance[max(0, at[1] - reach) : at[1] + reach + 1, max(0, at[0] - reach) : at[0] + reach + 1]
    return float(near.max())


def _free_radius(rng: np.random.Generator, room_px: float, shape: DefectShape) -> float:
    return max(_LEAST_PX, min(room_px, shape.size_px * rng.uniform(0.15, 0.45)))

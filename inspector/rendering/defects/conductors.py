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

from inspector.rendering.defects.painting import DefectShape, Painted, Painter
from inspector.rendering.shapes import blob, filled, shifted, stroke
from inspector.rendering.surfaces import FloatImage
from inspector.rendering.tones import retoned
from inspector.vision.line_artwork import Artwork, find_artwork
from inspector.vision.opencv import cv2

_LEAST_PX = 1.6  # radius; a smaller fault would be no whole pixel of the other tone
_ROUNDEST = 0.75  # of the room that there is: a ragged outline reaches out further than its radius
_BLACK_AND_WHITE = 0.995  # separation of the tones from which on there are no others
_SEEN = 12.0  # grey levels; a change by this much is the defect's in full


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
    for at in _nearest(rng, ridge, shape, 4):
        width = 2 * float(layout.inward[at[1], at[0]]) + 1
        along = _direction(layout.art.lines, at, width)
        if along is not None:
            gap = float(np.clip(shape.size_px * rng.uniform(0.15, 0.5), max(1.5, 0.35 * width), 2.5 * width + 2))
            return _box(rng, layout.size, at, along, (gap / 2, width * 0.6 + 1.5)), False
    return None


def _short(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bridge of conductor over the gap between two traces."""
    ridge = _ridge(layout.outward) & (layout.outward * 2 < max(4.0, shape.size_px * 1.0))
    nets = np.asarray(cv2.connectedComponents(layout.art.lines.astype(np.uint8))[1], np.int32)
    found = (_facing(layout, nets, at) for at in _nearest(rng, ridge, shape, 6))
    ends = next((pair for pair in found if pair is not None), None)
    if ends is None:
        return None
    trace = max(2.0, 2 * float(np.median(layout.inward[_ridge(layout.inward)])))
    width = float(np.clip(shape.size_px * rng.uniform(0.1, 0.4), max(1.6, 0.4 * trace), 1.6 * trace + 1))
    steps = max(3, round(float(np.hypot(*(ends[1] - ends[0]))) / 2))
    points = ends[0] + np.linspace(0, 1, steps + 1)[:, None] * (ends[1] - ends[0])
    points[1:-1] += rng.normal(0, width * 0.15, points[1:-1].shape)
    bridge = stroke(layout.size, points, width, taper=False)
    for _ in range(3):  # a bridge is no ruler's line: it grows thick and thin
        x, y = points[int(rng.integers(len(points)))]
        lump = blob(rng, layout.size, (width * rng.uniform(0.4, 0.8), width * 0.55), 0.15)
        bridge = np.maximum(bridge, _moved(lump, (float(x), float(y))))
    return bridge, True


def _mouse_bite(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bite out of a trace's edge that leaves it connected."""
    for at in _nearest(rng, layout.art.lines & (layout.inward < 1.6), shape):
        half = _largest_near(layout.inward, at, shape.size_px)
        gap = _largest_near(layout.outward, at, shape.size_px)
        most = min(half * rng.uniform(0.7, 1.5), gap * 1.6)
        deep = float(np.clip(shape.size_px * rng.uniform(0.2, 0.5), 1.3, max(1.3, most)))
        return _lump(rng, layout, at, deep, deep * rng.uniform(0.6, 1.1)), False
    return None


def _spur(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A bump of conductor on a trace's edge that reaches no other trace."""
    for at in _nearest(rng, ~layout.art.lines & (layout.outward < 1.6), shape):
        gap = _largest_near(layout.outward, at, shape.size_px)
        trace = max(1.5, _largest_near(layout.inward, at, shape.size_px))
        high = min(shape.size_px * rng.uniform(0.2, 0.5), gap * rng.uniform(0.6, 1.3), trace * 2.5 + 1)
        return _lump(rng, layout, at, max(1.3, high), max(1.3, high) * rng.uniform(0.5, 1.0)), True
    return None


def _spurious_copper(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A ragged island of conductor on bare ground."""
    wanted = max(_LEAST_PX, shape.size_px * rng.uniform(0.12, 0.45))
    for at in _nearest(rng, _roomy(layout.outward, wanted + 2), shape):
        radius = max(_LEAST_PX, min(wanted, _ROUNDEST * (float(layout.outward[at[1], at[0]]) - 2)))
        return _lump(rng, layout, at, radius, radius * rng.uniform(0.45, 0.95)), True
    return None


def _pin_hole(rng: np.random.Generator, layout: _Layout, shape: DefectShape) -> Drawn | None:
    """A small hole within a conductor, all round of it conductor left."""
    wanted = max(_LEAST_PX, shape.size_px * rng.uniform(0.08, 0.3))
    for at in _nearest(rng, _roomy(layout.inward, wanted + 1.2), shape):
        radius = max(_LEAST_PX, min(wanted, _ROUNDEST * (float(layout.inward[at[1], at[0]]) - 1)))
        return _moved(blob(rng, layout.size, (radius, radius * rng.uniform(0.6, 1.0)), 0.07), at), False
    return None


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
    tone = retoned(patch, art.tones, light=art.light == drawn[1])
    # Etching is all or nothing, but a thin film of copper may be left. On black and white artwork nothing is between.
    film = rng.random() < 0.2 and art.tones.separation < _BLACK_AND_WHITE
    cover = drawn[0] * (0.5 + 0.5 * shape.strength if film else 1.0)
    changed = patch + cover[..., None] * (tone - patch)
    # A bridge begins on its trace, where it changes nothing.
    reach = cover * np.clip(np.abs(tone - patch).max(axis=2) / _SEEN, 0, 1)
    return np.where(reach[..., None] > 0, changed, patch).astype(np.float32), np.asarray(reach, np.float32)


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


def _nearest(
    rng: np.random.Generator, possible: NDArray[np.bool_], shape: DefectShape, count: int = 1
) -> list[tuple[int, int]]:
    """Return up to ``count`` places (x, y) that are ``possible``, within the defect's extent, about from the middle."""
    rows, columns = np.nonzero(possible)
    height, width = possible.shape
    x, y = np.add((width / 2, height / 2), rng.normal(0, 0.12 * shape.size_px, 2))
    distance = np.hypot(columns - x, rows - y)
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] <= shape.size_px / 2 + 4]
    # Neighbours fail for the same reason: the others are taken from further and further away.
    chosen = order[(np.linspace(0, 1, count) ** 2 * (len(order) - 1)).astype(int)] if len(order) else order
    return [(int(columns[at]), int(rows[at])) for at in chosen]


def _facing(layout: _Layout, nets: NDArray[np.int32], at: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the ends [2, 2] (x, y) of a bridge through ``at``: the nearest trace, and another on the other side."""
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
            another = nets[y, x] != nets[rows[nearest], columns[nearest]]
            return np.stack([start - away, np.array([x, y], np.float64) + away]) if another else None
    return None


def _direction(lines: NDArray[np.bool_], at: tuple[int, int], width: float) -> float | None:
    """Return the angle (radians) at which the line through ``at`` runs; None if what is there is no line.

    It is the main axis of its pixels around there.
    """
    reach = max(3, round(width * 1.5))
    top, left = max(0, at[1] - reach), max(0, at[0] - reach)
    near = lines[top : at[1] + reach + 1, left : at[0] + reach + 1]
    _, marks = cv2.connectedComponents(near.astype(np.uint8))
    rows, columns = np.nonzero(marks == marks[at[1] - top, at[0] - left])
    dx, dy = columns + left - at[0], rows + top - at[1]
    around = dx**2 + dy**2 <= reach**2
    if around.sum() < 4:
        return None
    spread = np.cov(np.stack([dx[around], dy[around]]))
    minor, major = np.linalg.eigvalsh(spread)
    if major < 2 * minor:
        return None
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


def _roomy(distance: FloatImage, wanted_px: float) -> NDArray[np.bool_]:
    """Where the edge is ``wanted_px`` away; if nowhere, where it is about as far away as anywhere in the patch."""
    least = min(wanted_px, 0.85 * float(distance.max()))
    return distance >= max(_LEAST_PX + 1.4, least)

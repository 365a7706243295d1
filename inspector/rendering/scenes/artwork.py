"""Line artwork in two tones, as printed conductors are: traces with bends of 45 degrees, buses, pads, pours, rings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inspector.rendering.scenes.noise import fractal_noise, value_noise
from inspector.rendering.scenes.surface import Surface, brightened, lerp, log_uniform, other_tone, tone
from inspector.rendering.shapes import blurred
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

_HEADINGS = tuple((round(math.cos(k * math.pi / 4)), round(math.sin(k * math.pi / 4))) for k in range(8))
_TRIES = 28  # items of the layout's own mixture that are laid where there is room
_ANY_ITEMS = 8  # of any kind before them, so that no layout stays bare


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a layout keeps to: ``width`` of a trace, ``gap`` between conductors, how often each item is tried."""

    width: int
    gap: int
    shares: tuple[float, ...]
    rounded: bool


def conductors(rng: np.random.Generator, unit: float) -> Surface:
    """Printed conductors; a third are pure black and white, as scanned or binarised artwork is."""
    width = max(2, round(log_uniform(rng, 3, 13) * unit))
    rules = _Rules(
        width,
        max(3, round(width * rng.uniform(0.8, 2.2))),
        tuple(rng.dirichlet(np.full(len(_ITEMS), 1.0))),
        rng.random() < 0.6,
    )
    binary, dark = rng.random() < 0.4, rng.random() < 0.6
    ground, copper = (
        (np.full(3, 255, np.float32), np.zeros(3, np.float32))
        if dark
        else (
            np.zeros(3, np.float32),
            np.full(3, 255, np.float32),
        )
    )
    if not binary:
        ground = tone(rng)
        copper = other_tone(rng, ground, rng.uniform(45, 170))
    grain, rough = rng.uniform(0, 0.05), rng.uniform(0, 1.0)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        layout = np.asarray(_layout(rng, side, rules), np.float32) * np.float32(1 / 255)
        # Etching leaves edges that wander by a fraction of a pixel.
        soft = blurred(layout, 0.9) + 0.16 * rough * value_noise(rng, (side, side), (2.5, 2.5))
        cover = np.asarray(np.clip((soft - 0.5) * 2.5 + 0.5, 0, 1), np.float32)
        if binary:
            return lerp((cover > 0.5).astype(np.float32), ground, copper)
        noise = grain * fractal_noise(rng, (side, side), 6 * unit, 3)
        return brightened(lerp(cover, ground, copper), 1 + noise)

    words = (
        "a printed circuit",
        "a printed circuit board",
        "printed conductors",
        "circuit artwork",
        "copper traces",
        "a bare board",
        "a circuit pattern",
    )
    return Surface(words, "artwork", draw, laid_out=True, binary=binary)


def _layout(rng: np.random.Generator, side: int, rules: _Rules) -> ByteImage:
    """Return uint8 [side, side], 255 on conductors that keep their distance from one another."""
    # What is taken is kept at half the size: distances are exact to two pixels, and dilation costs a quarter.
    layout = np.zeros((side, side), np.uint8)
    taken = np.zeros_like(layout[::2, ::2])
    reach = 2 * -(-rules.gap // 2) + 1
    kernel = np.ones((reach, reach), np.uint8)
    kinds = [*rng.integers(0, len(_ITEMS), _ANY_ITEMS), *rng.choice(len(_ITEMS), _TRIES, p=rules.shares)]
    for kind in kinds:
        item = np.zeros((side, side), np.uint8)
        _ITEMS[kind](rng, item, rules)
        small = np.ascontiguousarray(item[::2, ::2])
        if cv2.countNonZero(cv2.bitwise_and(small, taken)):
            continue
        layout = np.asarray(cv2.bitwise_or(layout, item), np.uint8)
        taken = np.asarray(cv2.bitwise_or(taken, cv2.dilate(small, kernel)), np.uint8)
    return layout


def _path(rng: np.random.Generator, side: int, step: float) -> list[tuple[float, float]]:
    """Return the corners of a route with bends of 45 degrees, from anywhere until it leaves or ends."""
    x, y, heading = side * rng.uniform(-0.1, 1.1), side * rng.uniform(-0.1, 1.1), int(rng.integers(8))
    corners = [(x, y)]
    for _ in range(int(rng.integers(1, 6))):
        length = step * rng.uniform(0.5, 3)
        x, y = x + length * _HEADINGS[heading][0], y + length * _HEADINGS[heading][1]
        corners.append((x, y))
        heading = (heading + (1 if rng.random() < 0.5 else -1)) % 8
    return corners


def _route(item: ByteImage, corners: list[tuple[float, float]], width: int) -> None:
    points = [np.round(np.asarray(corners)).astype(np.int32)]
    cv2.polylines(item, points, False, (255,), width)


def _trace(rng: np.random.Generator, item: ByteImage, rules: _Rules) -> None:
    """A conductor with pads at its ends."""
    side = item.shape[0]
    corners = _path(rng, side, side * rng.uniform(0.1, 0.4))
    _route(item, corners, rules.width)
    for end in (corners[0], corners[-1]):
        _pad(rng, item, rules, end)


def _bus(rng: np.random.Generator, item: ByteImage, rules: _Rules) -> None:
    """Parallel conductors that bend together."""
    side, pitch = item.shape[0], rules.width + rules.gap
    corners = np.asarray(_path(rng, side, side * rng.uniform(0.3, 0.9)))
    moves = np.diff(corners, axis=0)
    normals = np.stack([-moves[:, 1], moves[:, 0]], axis=1) / np.maximum(np.linalg.norm(moves, axis=1), 1e-6)[:, None]
    # At a corner both neighbours are displaced alike: along the bisector, further by the inverse of its cosine.
    joined = np.concatenate([normals[:1], normals[:-1] + normals[1:], normals[-1:]])
    joined /= np.maximum((joined**2).sum(axis=1), 1e-6)[:, None] / np.array([1, *[2] * (len(normals) - 1), 1])[:, None]
    count = int(rng.integers(2, 8))
    for k in range(count):
        offset = (k - (count - 1) / 2) * pitch
        _route(item, [(float(x), float(y)) for x, y in corners + joined * offset], rules.width)


def _pad(rng: np.random.Generator, item: ByteImage, rules: _Rules, at: tuple[float, float]) -> None:
    """A land: round, square or ring with its drill hole."""
    radius, centre = max(3, round(rules.width * rng.uniform(0.9, 1.9))), (round(at[0]), round(at[1]))
    form = rng.random()
    if form < 0.35:
        corners = (centre[0] - radius, centre[1] - radius), (centre[0] + radius, centre[1] + radius)
        cv2.rectangle(item, *corners, (255,), cv2.FILLED)
        return
    cv2.circle(item, centre, radius, (255,), cv2.FILLED)
    if form > 0.6 and radius > 4:
        cv2.circle(item, centre, max(1, round(radius * rng.uniform(0.3, 0.5))), (0,), cv2.FILLED)


def _ring(rng: np.random.Generator, item: ByteImage, rules: _Rules) -> None:
    """A large annular land."""
    side = item.shape[0]
    radius, centre = side * rng.uniform(0.05, 0.2), tuple(int(c) for c in rng.uniform(0, side, 2))
    cv2.circle(item, centre, round(radius), (255,), cv2.FILLED)
    cv2.circle(item, centre, max(2, round(radius * rng.uniform(0.2, 0.6))), (0,), cv2.FILLED)


def _pads(rng: np.random.Generator, item: ByteImage, rules: _Rules) -> None:
    """A row of lands, each with a short conductor, as a chip or a plug needs them."""
    side, pitch = item.shape[0], (rules.width + rules.gap) * rng.uniform(1.0, 2.2)
    start, upright = rng.uniform(0, side, 2), rng.random() < 0.5
    long, wide = rules.width * rng.uniform(1.2, 4), max(2.0, min(pitch - rules.gap, pitch * 0.7)) / 2
    stub = rules.width * rng.uniform(0, 10)
    for k in range(int(rng.integers(2, 9))):
        x, y = (start[0] + k * pitch, start[1]) if upright else (start[0], start[1] + k * pitch)
        half = (wide, long) if upright else (long, wide)
        corners = (round(x - half[0]), round(y - half[1])), (round(x + half[0]), round(y + half[1]))
        cv2.rectangle(item, *corners, (255,), cv2.FILLED)
        end = (round(x), round(y + stub + long)) if upright else (round(x + stub + long), round(y))
        cv2.line(item, (round(x), round(y)), end, (255,), max(1, min(rules.width, round(wide * 2))))


def _pour(rng: np.random.Generator, item: ByteImage, rules: _Rules) -> None:
    """A wide area with chamfered corners, a hole in it at times."""
    side = item.shape[0]
    x, y = rng.uniform(-0.2, 1.0, 2) * side
    wide, high = rng.uniform(0.15, 0.7, 2) * side
    cut = min(wide, high) * rng.uniform(0.05, 0.45, 4)
    corners = [
        (x + cut[0], y), (x + wide - cut[1], y), (x + wide, y + cut[1]), (x + wide, y + high - cut[2]),
        (x + wide - cut[2], y + high), (x + cut[3], y + high), (x, y + high - cut[3]), (x, y + cut[0]),
    ]  # fmt: skip
    cv2.fillPoly(item, [np.round(np.asarray(corners)).astype(np.int32)], (255,))
    if rules.rounded:
        cv2.polylines(item, [np.round(np.asarray(corners)).astype(np.int32)], True, (255,), rules.width)
    if rng.random() < 0.4:
        centre = (round(x + wide * rng.uniform(0.25, 0.75)), round(y + high * rng.uniform(0.25, 0.75)))
        cv2.circle(item, centre, max(2, round(rules.width * 0.6)), (0,), cv2.FILLED)


_ITEMS: tuple[Callable[[np.random.Generator, ByteImage, _Rules], None], ...] = (
    _trace, _trace, _bus, _bus, _pads, _pour, _ring,
)  # fmt: skip

"""Pieces that lie free: discs, rings, boxes, rods with threads, lumps, bottles from above; one, or several in rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inspector.rendering.scenes.surface import brightened, choose, lamp, log_uniform
from inspector.rendering.shapes import blob, blurred
from inspector.rendering.surfaces import ByteImage, FloatImage, box_distance, inside, shade
from inspector.vision.opencv import cv2

Piece = Callable[[np.random.Generator, int], tuple[FloatImage, FloatImage]]
"""Draws (coverage 0..1, gain about 1) of one piece that fills a square patch of the given side."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which pieces lie how: parameters that both views of a part share."""

    words: tuple[str, ...]
    piece: Piece
    rows: int
    columns: int
    size: float  # of a piece, as a share of its cell
    turn: float  # radians, of all pieces
    loose: float  # how far turns and places differ from piece to piece, 0..1
    shadow: tuple[float, float]  # towards the lamp
    softness: float


def arrangement(rng: np.random.Generator) -> Arrangement:
    """Draw an arrangement: one piece most of the time, else several in rows."""
    words, make = _KINDS[int(rng.integers(len(_KINDS)))]
    rows, columns = (1, 1) if rng.random() < 0.7 else (int(rng.integers(1, 4)), int(rng.integers(2, 4)))
    return Arrangement(
        words, make(rng), rows, columns, rng.uniform(0.6, 0.98), choose(rng, 0.0, rng.uniform(0, 2 * math.pi)),
        rng.uniform(0, 1), lamp(rng), rng.uniform(0.01, 0.05),
    )  # fmt: skip


def lay(
    rng: np.random.Generator, how: Arrangement, background: FloatImage, surface: FloatImage
) -> tuple[FloatImage, ByteImage]:
    """Lay pieces made of ``surface`` onto ``background`` (both float32 [S, S, 3]).

    Returns:
        The picture, and the foreground uint8 [S, S]: 255 where a piece is.
    """
    side = background.shape[0]
    cover, gain = np.zeros((side, side), np.float32), np.ones((side, side), np.float32)
    # The frame that is cut out of the canvas later is smaller: pieces keep to its middle.
    frame = side * 0.86
    cell = (frame / how.rows, frame / how.columns)
    for row in range(how.rows):
        for column in range(how.columns):
            size = min(cell) * how.size * (1 + 0.06 * how.loose * rng.normal())
            slack = (np.asarray(cell) - size).clip(0) * 0.5 * how.loose
            y = (side - frame) / 2 + (row + 0.5) * cell[0] + rng.uniform(-1, 1) * slack[0]
            x = (side - frame) / 2 + (column + 0.5) * cell[1] + rng.uniform(-1, 1) * slack[1]
            turn = how.turn + how.loose * rng.normal(0, 0.4)
            _stamp(cover, gain, *how.piece(rng, max(12, round(size))), (x, y), turn)
    reach = how.softness * side * 1.2
    move = np.array([[1, 0, -how.shadow[0] * reach], [0, 1, -how.shadow[1] * reach]], np.float32)
    cast = blurred(np.asarray(cv2.warpAffine(cover, move, (side, side)), np.float32), max(1.0, how.softness * side))
    picture = brightened(background, 1 - 0.5 * cast)
    weight = np.asarray(cv2.merge([cover, cover, cover]), np.float32)
    picture += weight * (brightened(surface, gain) - picture)
    return picture, np.where(cover > 0.5, 255, 0).astype(np.uint8)


def _stamp(
    cover: FloatImage,
    gain: FloatImage,
    piece: FloatImage,
    piece_gain: FloatImage,
    at: tuple[float, float],
    turn: float,
) -> None:
    """Put a piece's patch onto the canvas, its middle ``at`` (x, y), turned by ``turn`` radians, in place."""
    half, side = piece.shape[0] / 2, cover.shape[0]
    cos, sin = math.cos(turn), math.sin(turn)
    # Only the window that a turned piece can reach.
    reach = half * (abs(cos) + abs(sin)) + 2
    left, top = max(0, int(at[0] - reach)), max(0, int(at[1] - reach))
    size = min(side, int(at[0] + reach) + 1) - left, min(side, int(at[1] + reach) + 1) - top
    if min(size) <= 0:
        return
    x, y = at[0] - left, at[1] - top
    move = np.array([[cos, -sin, x - cos * half + sin * half], [sin, cos, y - sin * half - cos * half]])
    laid = np.asarray(cv2.warpAffine(piece, move, size), np.float32)
    shaded = cv2.warpAffine(piece_gain, move, size, borderMode=cv2.BORDER_REPLICATE)
    window = (slice(top, top + size[1]), slice(left, left + size[0]))
    np.copyto(gain[window], shaded, where=laid > 0.02)
    np.maximum(cover[window], laid, out=cover[window])


def _axes(side: int) -> tuple[FloatImage, FloatImage]:
    """Return x and y in -1..1 over a patch."""
    steps = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    x, y = np.meshgrid(steps, steps)
    return x, y


def _bevelled(distance: FloatImage, side: int, bevel: float, light: tuple[float, float], depth: float) -> FloatImage:
    """Return the gain of a piece whose edge is rounded over ``bevel``; ``distance`` is signed, both in half sides."""
    height = np.sqrt(np.clip(-distance / bevel, 0, 1)) * (bevel * side / 2)
    return np.asarray(np.clip(1 + depth * shade(blurred(height.astype(np.float32), 1.0), light), 0.3, 1.7), np.float32)


def _disc(rng: np.random.Generator) -> Piece:
    bevel, depth, light = rng.uniform(0.05, 0.6), rng.uniform(0.2, 0.7), lamp(rng)
    grooves = [(rng.uniform(0.2, 0.85), rng.uniform(-0.3, 0.3)) for _ in range(int(rng.integers(0, 4)))]
    hole, squash = choose(rng, 0.0, rng.uniform(0.15, 0.65)), choose(rng, 1.0, rng.uniform(0.6, 1))

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        x, y = _axes(side)
        radius = np.hypot(x, y / squash)
        distance = np.maximum(radius - 0.96, hole - radius if hole else -1).astype(np.float32)
        gain = _bevelled(distance, side, bevel, light, depth)
        for at, strength in grooves:
            gain += strength * inside(np.asarray((np.abs(radius - at) - 0.02) * side / 2, np.float32), 1.0)
        return inside(distance * side / 2), gain

    return draw


def _box(rng: np.random.Generator) -> Piece:
    half, corner = (0.96, 0.96 * rng.uniform(0.3, 1)), rng.uniform(0.02, 0.3)
    bevel, depth, light = rng.uniform(0.04, 0.3), rng.uniform(0.2, 0.7), lamp(rng)
    holes = [(rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6) * half[1]) for _ in range(int(choose(rng, 0, 0, 1, 2, 4)))]
    size = rng.uniform(0.06, 0.14)

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        x, y = _axes(side)
        distance = box_distance(x, y, half, min(half) * corner)
        for hole in holes:
            distance = np.maximum(distance, size - np.hypot(x - hole[0], y - hole[1])).astype(np.float32)
        return inside(distance * side / 2), _bevelled(distance, side, bevel, light, depth)

    return draw


def _polygon(rng: np.random.Generator) -> Piece:
    """A nut or a gear: teeth or flats around a hole."""
    sides, teeth = int(rng.integers(5, 9)), rng.random() < 0.5
    count, height, hole = int(rng.integers(8, 30)), rng.uniform(0.05, 0.16), rng.uniform(0.15, 0.5)
    bevel, depth, light = rng.uniform(0.04, 0.2), rng.uniform(0.2, 0.6), lamp(rng)

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        x, y = _axes(side)
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        if teeth:
            outline = 0.93 - height * np.clip(0.5 + 2 * np.sin(angle * count), 0, 1)
        else:
            sector = 2 * math.pi / sides
            outline = 0.95 * math.cos(sector / 2) / np.cos((angle % sector) - sector / 2)
        distance = np.maximum(radius - outline, hole - radius).astype(np.float32)
        return inside(distance * side / 2), _bevelled(distance, side, bevel, light, depth)

    return draw


def _rod(rng: np.random.Generator) -> Piece:
    """A cylinder lying down, with thread, collar or head: screws, shafts, pens, tubes."""
    thin, head = rng.uniform(0.12, 0.4), choose(rng, 0.0, rng.uniform(1.3, 2.2))
    turns, threaded = log_uniform(rng, 6, 30), rng.random() < 0.6
    depth, gloss, pitch = rng.uniform(0.3, 0.7), rng.uniform(0, 0.8), rng.uniform(0.1, 0.35)
    start, point = rng.uniform(-0.5, 0.4), rng.random() < 0.4
    slant = rng.uniform(0, 0.6)

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        x, y = _axes(side)
        half = np.full_like(x, thin)
        if head:
            half = np.where(x < -0.7, min(0.9, thin * head), half)
        if point:
            half = np.minimum(half, np.clip((0.97 - x) * 1.5, 0, None))
        wave = np.sin(turns * math.pi * (x - slant * thin * y / np.maximum(half, 0.05)))
        screw = (x > start) & threaded
        half = np.where(screw, half * (1 - 0.06 * (1 - wave)), half)
        across = np.clip(y / np.maximum(half, 1e-3), -1, 1)
        distance = np.maximum(np.abs(y) - half, np.abs(x) - 0.97)
        round_gain = 1 - depth * np.abs(across + 0.25) ** 2 + gloss * np.exp(-(((across + 0.35) / 0.18) ** 2))
        gain = round_gain * np.where(screw, 1 + pitch * wave, 1)
        return inside(np.asarray(distance * side / 2, np.float32)), np.asarray(np.clip(gain, 0.2, 1.9), np.float32)

    return draw


def _lump(rng: np.random.Generator) -> Piece:
    """No two alike: biscuits, nuts, fruit, stones, sweets."""
    rough, squash = rng.uniform(0.01, 0.14), rng.uniform(0.55, 1)
    depth, flat, light = rng.uniform(0.3, 0.9), rng.uniform(0.3, 1.0), lamp(rng)

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        cover = blob(rng, (side, side), (side * 0.42, side * 0.42 * squash), rough)
        body = (cover > 0.5).astype(np.uint8)
        distance = np.asarray(cv2.distanceTransform(body, cv2.DIST_L2, 5), np.float32)
        edge = flat * 0.3 * side
        dome = np.sqrt(np.clip(1 - (1 - np.clip(distance / edge, 0, 1)) ** 2, 0, 1)) * edge
        height = blurred(dome.astype(np.float32), max(1.0, side * 0.02))
        return cover, np.asarray(np.clip(1 + depth * 0.5 * shade(height, light), 0.3, 1.6), np.float32)

    return draw


def _bottle(rng: np.random.Generator) -> Piece:
    """A vessel from above or a lamp's reflector: rings of light and dark around an opening."""
    count = int(rng.integers(2, 7))
    radii = np.sort(rng.uniform(0.1, 0.92, count))
    gains, soft = rng.uniform(0.2, 1.6, count + 1), rng.uniform(0.01, 0.05)
    lobes, shine, opening = int(rng.integers(1, 4)), rng.uniform(0, 0.4), rng.uniform(0, 0.5)

    def draw(rng: np.random.Generator, side: int) -> tuple[FloatImage, FloatImage]:
        x, y = _axes(side)
        radius, turned = np.hypot(x, y), rng.uniform(0, 2 * math.pi)
        gain = np.full_like(x, gains[0] * (1 - opening))
        for at, step in zip(radii, np.diff(gains), strict=True):
            gain += step * np.clip((radius - at) / soft + 0.5, 0, 1)
        gain *= 1 + shine * np.cos(lobes * np.arctan2(y, x) + turned) * radius
        return inside(np.asarray((radius - 0.96) * side / 2, np.float32)), np.clip(gain, 0.05, 1.9).astype(np.float32)

    return draw


_KINDS: tuple[tuple[tuple[str, ...], Callable[[np.random.Generator], Piece]], ...] = (
    (("disc", "washer", "coin", "cap", "ring", "tablet"), _disc),
    (("block", "box", "plate", "tile", "bracket", "card"), _box),
    (("nut", "gear", "wheel", "fitting", "sprocket"), _polygon),
    (("rod", "screw", "bolt", "shaft", "pin", "tube", "pencil"), _rod),
    (("piece", "biscuit", "lump", "nut", "stone", "fruit", "bean"), _lump),
    (("bottle", "cup", "lid", "reflector", "bowl", "vessel"), _bottle),
)

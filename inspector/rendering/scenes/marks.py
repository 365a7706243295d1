"""Marks that belong: print, labels, holes, screws, seams, zones, reflections, shadows. None of them is a defect.

Unlike what goes wrong, they are regular, drawn clean, or run through the whole frame; and both views of a part carry
marks of the same style, so that what tells a defect is not that something is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from inspector.rendering.scenes.glyphs import fill_of, glyph, random_text, write
from inspector.rendering.scenes.surface import as_bytes, brightened, choose, grid, lamp, other_tone
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

Marks = Callable[[np.random.Generator, ByteImage], None]
"""Draws marks into a picture uint8 BGR [S, S, 3], in place, laid out by the generator."""


def marks(rng: np.random.Generator, unit: float, ground: FloatImage) -> tuple[Marks, bool]:
    """Draw a style of marks for a surface of mean colour ``ground`` (BGR [3]); lengths are multiplied by ``unit``.

    Returns:
        The marks, and whether they are light that falls on everything, not only on that surface.
    """
    style = _STYLES[int(rng.integers(len(_STYLES)))]
    return style(rng, unit, ground), style in (_glare, _shadow)


def _places(rng: np.random.Generator, side: int, count: int) -> list[tuple[float, float]]:
    """Return ``count`` places (x, y): in a row, on a lattice's corners, or scattered."""
    if count > 1 and rng.random() < 0.6:
        start, end = rng.uniform(0.12, 0.88, 2) * side, rng.uniform(0.12, 0.88, 2) * side
        if rng.random() < 0.7:
            end[int(rng.integers(2))] = start[int(rng.integers(2))]
        return [(float(x), float(y)) for x, y in np.linspace(start, end, count)]
    return [(float(x), float(y)) for x, y in rng.uniform(0.1, 0.9, (count, 2)) * side]


def _text(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    ink, font, weight = other_tone(rng, ground, rng.uniform(40, 170)), int(rng.integers(8)), int(rng.integers(1, 3))
    height, lines, length = rng.uniform(5, 22) * unit, int(rng.integers(1, 5)), int(rng.integers(3, 14))
    upright, text = rng.random() < 0.25, random_text(rng, length)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        target = np.ascontiguousarray(np.rot90(image)) if upright else image
        x, y = rng.uniform(0.05, 0.5, 2) * side
        for line in range(lines):
            written = text if line == 0 else random_text(rng, length)
            write(target, written, (x, y + 1.7 * height * (line + 1)), height, ink, font, weight)
        if upright:
            image[:] = np.rot90(target, -1)

    return draw


def _label(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    paper, wide, high = other_tone(rng, ground, rng.uniform(30, 120)), rng.uniform(0.2, 0.5), rng.uniform(0.12, 0.35)
    ink, bars = other_tone(rng, paper, rng.uniform(80, 180)), rng.random() < 0.5

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        x, y = (int(rng.uniform(0.05, 0.93 - extent) * side) for extent in (wide, high))
        right, bottom = x + int(wide * side), y + int(high * side)
        cv2.rectangle(image, (x, y), (right, bottom), fill_of(paper), cv2.FILLED)
        if bars:
            at = x + 4 * unit
            while at < right - 4 * unit:
                width = rng.uniform(0.8, 3) * unit
                ends = (round(at), y + round(3 * unit)), (round(at + width), bottom - round(3 * unit))
                cv2.rectangle(image, *ends, fill_of(ink), cv2.FILLED)
                at += width + rng.uniform(1, 3) * unit
            return
        height = rng.uniform(5, 9) * unit
        for line in range(int((bottom - y) / (1.6 * height))):
            letters = max(1, int((right - x - 6 * unit) / height))
            write(image, random_text(rng, letters), (x + 3 * unit, y + 1.5 * height * (line + 1)), height, ink)

    return draw


def _holes(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """Drilled: true circles of one size, with a chamfer that is lit on one side."""
    radius, count, light = rng.uniform(3, 11) * unit, int(rng.integers(2, 7)), lamp(rng)
    bottom = np.asarray(ground * rng.uniform(0.05, 0.3), np.float32)
    shine = np.asarray(np.clip(ground * 1.35 + 15, 0, 255), np.float32)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        for x, y in _places(rng, image.shape[0], count):
            centre, size = (round(x), round(y)), round(radius)
            angle = math.degrees(math.atan2(-light[1], -light[0]))
            cv2.circle(
                image, centre, size + max(1, round(unit)), fill_of(ground * np.float32(0.7)), cv2.FILLED, cv2.LINE_AA
            )
            axes = (size + max(1, round(unit)),) * 2
            cv2.ellipse(image, centre, axes, angle, -80, 80, fill_of(shine), max(1, round(unit)), cv2.LINE_AA)
            cv2.circle(image, centre, size, fill_of(bottom), cv2.FILLED, cv2.LINE_AA)

    return draw


def _screws(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    radius, count, cross = rng.uniform(5, 13) * unit, int(rng.integers(1, 5)), rng.random() < 0.6
    head = other_tone(rng, ground, rng.uniform(15, 70))
    slot = np.asarray(head * rng.uniform(0.25, 0.5), np.float32)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        for x, y in _places(rng, image.shape[0], count):
            centre, size, turn = (round(x), round(y)), round(radius), rng.uniform(0, math.pi)
            shadow = (centre[0] + max(1, round(unit)), centre[1] + max(1, round(unit)))
            cv2.circle(image, shadow, size + 1, fill_of(ground * np.float32(0.5)), cv2.FILLED, cv2.LINE_AA)
            cv2.circle(image, centre, size, fill_of(head), cv2.FILLED, cv2.LINE_AA)
            cv2.circle(image, centre, max(1, size - 1), fill_of(np.clip(head * 1.2, 0, 255)), 1, cv2.LINE_AA)
            for quarter in range(2 if cross else 1):
                angle = turn + quarter * math.pi / 2
                dx, dy = round(math.cos(angle) * size * 0.65), round(math.sin(angle) * size * 0.65)
                ends = (centre[0] - dx, centre[1] - dy), (centre[0] + dx, centre[1] + dy)
                cv2.line(image, *ends, fill_of(slot), max(1, round(size * 0.28)), cv2.LINE_AA)

    return draw


def _seam(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """A straight joint through the whole frame, stitched at times."""
    upright, count, width = rng.random() < 0.5, int(rng.integers(1, 3)), max(1, round(rng.uniform(1, 3) * unit))
    dark, light = fill_of(ground * np.float32(0.4)), fill_of(np.clip(ground * np.float32(1.3), 0, 255))
    stitch, step = rng.random() < 0.4, rng.uniform(5, 11) * unit
    yarn = fill_of(other_tone(rng, ground, 70))

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]

        def line(a: tuple[float, float], b: tuple[float, float], fill: tuple[float, ...], width: int) -> None:
            start, end = ((round(p[0]), round(p[1])) if upright else (round(p[1]), round(p[0])) for p in (a, b))
            cv2.line(image, start, end, fill, width, cv2.LINE_AA)

        for at in rng.uniform(0.15, 0.85, count) * side:
            line((at, 0), (at, side), dark, width)
            line((at + width, 0), (at + width, side), light, 1)
            for k in range(int(side / step) if stitch else 0):
                for away in (-5 * unit, 5 * unit + width):
                    line((at + away, k * step), (at + away, (k + 0.6) * step), yarn, max(1, round(1.5 * unit)))

    return draw


def _zone(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """A straight border beyond which the surface is of another colour on purpose."""
    gain = np.clip(1 + choose(rng, -1, 1) * rng.uniform(0.12, 0.5) + rng.normal(0, 0.08, 3), 0.2, 1.6)
    angle, stripe = choose(rng, 0, math.pi / 2, rng.uniform(0, math.pi)), rng.uniform(0.1, 0.5)
    banded = rng.random() < 0.6

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        x, y = grid(side)
        away = (x - side / 2) * math.cos(angle) + (y - side / 2) * math.sin(angle) - rng.uniform(-0.3, 0.3) * side
        inner = np.abs(away) < stripe * side / 2 if banded else away > 0
        image[inner] = np.clip(image[inner] * gain, 0, 255).astype(np.uint8)

    return draw


def _glare(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """Reflections of lamps: soft, bright, of even outline."""
    count, size, flat = int(rng.integers(1, 4)), rng.uniform(0.08, 0.35), rng.uniform(0.2, 1)
    gain, turn, hard = rng.uniform(30, 130), rng.uniform(0, math.pi), rng.uniform(1, 3)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        coarse = side // 4  # a soft spot needs no more
        x, y = grid(coarse)
        for at in rng.uniform(0.1, 0.9, (count, 2)) * coarse:
            dx, dy = (x - at[0]) / (size * coarse), (y - at[1]) / (size * coarse)
            along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
            spot = np.exp(-((along**2 + (across / flat) ** 2) ** hard)).astype(np.float32) * np.float32(gain)
            light = np.asarray(cv2.resize(spot, (side, side)), np.float32)
            image[:] = as_bytes(image.astype(np.float32) + np.asarray(cv2.merge([light, light, light]), np.float32))

    return draw


def _shadow(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """The shadow of a frame or a gantry: a band with soft sides through the whole frame."""
    depth, wide, soft = rng.uniform(0.12, 0.5), rng.uniform(0.08, 0.5), rng.uniform(3, 25) * unit
    angle = rng.uniform(0, math.pi)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        x, y = grid(side)
        away = (x - side / 2) * math.cos(angle) + (y - side / 2) * math.sin(angle) - rng.uniform(-0.5, 0.5) * side
        cover = np.clip((wide * side / 2 - np.abs(away)) / soft + 0.5, 0, 1)
        image[:] = as_bytes(brightened(image.astype(np.float32), np.asarray(1 - depth * cover, np.float32)))

    return draw


def _dots(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """A regular field of printed dots, or a row of them."""
    radius, ink = rng.uniform(1.2, 4) * unit, fill_of(other_tone(rng, ground, rng.uniform(40, 150)))
    step, columns, rows = radius * rng.uniform(3, 6), int(rng.integers(4, 12)), int(rng.integers(1, 9))

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        x, y = rng.uniform(0.05, 0.5, 2) * image.shape[0]
        for row in range(rows):
            for column in range(columns):
                centre = (round(x + column * step), round(y + row * step))
                cv2.circle(image, centre, max(1, round(radius)), ink, cv2.FILLED, cv2.LINE_AA)

    return draw


def _logos(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    ink, size = other_tone(rng, ground, rng.uniform(40, 150)), rng.uniform(7, 28) * unit
    count, seed = int(rng.integers(1, 6)), int(rng.integers(2**32))

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        for at in _places(rng, image.shape[0], count):
            glyph(np.random.default_rng(seed), image, at, size, ink)  # the same sign each time

    return draw


def _scale(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """A graduated scale along a straight line."""
    ink, step = fill_of(other_tone(rng, ground, rng.uniform(50, 150))), rng.uniform(3, 8) * unit
    long, upright = rng.uniform(6, 16) * unit, rng.random() < 0.5

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        at = rng.uniform(0.15, 0.85) * side
        for k in range(int(side / step)):
            reach = long * (1 if k % 5 == 0 else 0.55)
            ends = ((round(at), round(k * step)), (round(at + reach), round(k * step)))
            start, end = (e if upright else (e[1], e[0]) for e in ends)
            cv2.line(image, start, end, ink, max(1, round(unit)), cv2.LINE_AA)

    return draw


def _outlines(rng: np.random.Generator, unit: float, ground: FloatImage) -> Marks:
    """Printed frames and rings, larger than what goes wrong usually is."""
    ink, width = fill_of(other_tone(rng, ground, rng.uniform(35, 130))), max(1, round(rng.uniform(1, 4) * unit))
    rings, size = rng.random() < 0.5, rng.uniform(0.15, 0.4)

    def draw(rng: np.random.Generator, image: ByteImage) -> None:
        side = image.shape[0]
        x, y = (round(c) for c in rng.uniform(0.3, 0.7, 2) * side)
        for shrink in (1.0, 0.8):
            half = round(size * side * shrink)
            if rings:
                cv2.circle(image, (x, y), half, ink, width, cv2.LINE_AA)
            else:
                cv2.rectangle(image, (x - half, y - round(half * 0.7)), (x + half, y + round(half * 0.7)), ink, width)

    return draw


_STYLES: tuple[Callable[[np.random.Generator, float, FloatImage], Marks], ...] = (
    _text, _label, _holes, _screws, _seam, _zone, _glare, _shadow, _dots, _logos, _scale, _outlines,
)  # fmt: skip

"""Printed signs: letters, figures, dots, crosses, stars, rings. Drawn anti-aliased into uint8 BGR pictures."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

_SYLLABLES = (
    "ka",
    "ro",
    "mi",
    "ten",
    "lux",
    "ser",
    "vo",
    "pal",
    "42",
    "in",
    "es",
    "or",
    "A7",
    "B",
    "X",
    "-",
    "9",
    "mm",
)
_WORDS = ("LOT", "No.", "EXP", "REF", "MADE IN", "TYPE", "SERIES", "Ingredients", "220 V", "CLASS", "kg", "TOP", "CE")


def fill_of(colour: FloatImage) -> tuple[float, ...]:
    """Return a colour as OpenCV takes it."""
    return tuple(float(c) for c in colour)


def random_text(rng: np.random.Generator, length: int) -> str:
    """Return about ``length`` characters that look like words, codes and figures."""
    text = ""
    while len(text) < max(1, length):
        if rng.random() < 0.2:
            text += _WORDS[int(rng.integers(len(_WORDS)))]
        else:
            text += "".join(_SYLLABLES[int(i)] for i in rng.integers(0, len(_SYLLABLES), int(rng.integers(1, 4))))
        text += " "
    return text[: max(1, length)]


def write(
    image: ByteImage,
    text: str,
    at: tuple[float, float],
    height_px: float,
    colour: FloatImage,
    font: int = 0,
    weight: int = 1,
) -> None:
    """Write ``text`` with its baseline's left end ``at`` (x, y), capitals ``height_px`` tall."""
    place, scale = (round(at[0]), round(at[1])), height_px / 22.0
    cv2.putText(image, text, place, font, scale, fill_of(colour), max(1, round(weight * scale * 1.6)), cv2.LINE_AA)


def glyph(
    rng: np.random.Generator, image: ByteImage, at: tuple[float, float], radius_px: float, colour: FloatImage
) -> None:
    """Draw a random sign of ``radius_px`` around ``at`` (x, y)."""
    fill, kind = fill_of(colour), int(rng.integers(7))
    centre, radius = (round(at[0]), round(at[1])), max(2, round(radius_px))
    if kind == 0:
        cv2.circle(image, centre, radius, fill, cv2.FILLED, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(image, centre, radius, fill, max(1, radius // 3), cv2.LINE_AA)
    elif kind == 2:
        arm = max(1, radius // 3)
        for a, b in (((-radius, 0), (radius, 0)), ((0, -radius), (0, radius))):
            ends = (centre[0] + a[0], centre[1] + a[1]), (centre[0] + b[0], centre[1] + b[1])
            cv2.line(image, *ends, fill, arm, cv2.LINE_AA)
    elif kind == 3:
        write(image, random_text(rng, 1), (at[0] - radius * 0.7, at[1] + radius * 0.7), radius * 1.5, colour, 0, 2)
    else:
        _star(rng, image, at, radius, fill)


def _star(
    rng: np.random.Generator, image: ByteImage, at: tuple[float, float], radius: int, fill: tuple[float, ...]
) -> None:
    """Draw a polygon, star or flower: its outline alternates between two radii."""
    points, inner, turn = int(rng.integers(3, 9)), rng.uniform(0.4, 1.0), rng.uniform(0, math.pi)
    angles = turn + np.arange(points * 2) * math.pi / points
    radii = np.where(np.arange(points * 2) % 2, inner, 1.0) * radius
    corners = np.stack([at[0] + radii * np.cos(angles), at[1] + radii * np.sin(angles)], axis=1)
    cv2.fillPoly(image, [np.round(corners).astype(np.int32)], fill, cv2.LINE_AA)

"""What a surface is to a scene, and how surfaces get their colours."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from inspector.rendering.surfaces import ByteImage, FloatImage, shade
from inspector.vision.opencv import cv2

Material = Literal["hard", "soft", "artwork"]
Draw = Callable[[np.random.Generator, int], FloatImage]


@dataclass(frozen=True, slots=True)
class Surface:
    """A surface with its parameters fixed.

    ``draw(rng, side_px)`` returns another place of it, float32 BGR [side_px, side_px, 3], 0..255. ``words`` are the
    names people give it, ``material`` tells which defects it can have. ``laid_out`` says that every piece has the same
    pattern (print, conductors), ``binary`` that it is pure black and white.
    """

    words: tuple[str, ...]
    material: Material
    draw: Draw
    laid_out: bool = False
    binary: bool = False


Family = Callable[[np.random.Generator, float], Surface]
"""Draws the parameters of a surface; lengths are multiplied by the second argument (pixels of the frame / 192)."""


def tone(rng: np.random.Generator, lightness: tuple[float, float] = (25, 230)) -> FloatImage:
    """Return a colour, float32 BGR [3], 0..255, its brightest channel in ``lightness``; most are muted."""
    saturation = rng.uniform(0, 0.22) if rng.random() < 0.65 else rng.uniform(0.2, 0.8)
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(*lightness))
    return np.array([blue, green, red], np.float32)


def other_tone(rng: np.random.Generator, first: FloatImage, contrast: float) -> FloatImage:
    """Return a colour whose mean differs from that of ``first`` by ``contrast`` grey levels where there is room."""
    mean = float(first.mean())
    darker = mean - contrast > 5 and (mean + contrast > 240 or rng.random() < 0.5)
    target = max(0.0, mean - contrast) if darker else min(250.0, mean + contrast)
    # Half of the second tones keep the hue, as shading or a darker yarn does.
    base = first if rng.random() < 0.5 else tone(rng)
    return np.asarray(np.clip(base * (target / max(1.0, float(base.mean()))), 0, 255), np.float32)


def lerp(weight: FloatImage, low: FloatImage, high: FloatImage) -> FloatImage:
    """Return the mixture [H, W, 3] of two colours by ``weight`` [H, W], 0 giving ``low`` and 1 ``high``."""
    # Merged channels: several times as fast as broadcasting over a last axis of three.
    return np.asarray(cv2.merge([low[c] + weight * (high[c] - low[c]) for c in range(3)]), np.float32)


def tinted(gain: FloatImage, colour: FloatImage) -> FloatImage:
    """Return ``colour`` brightened pixel by pixel by ``gain`` [H, W]."""
    return np.asarray(cv2.merge([gain * colour[c] for c in range(3)]), np.float32)


def brightened(image: FloatImage, gain: FloatImage) -> FloatImage:
    """Return ``image`` [H, W, 3] brightened pixel by pixel by ``gain`` [H, W]."""
    return image * np.asarray(cv2.merge([gain, gain, gain]), np.float32)


def as_bytes(image: FloatImage) -> ByteImage:
    """Round to uint8, clipping at 0 and 255."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(image, 0)), np.uint8)


def lit(height: FloatImage, relief: float, lamp: tuple[float, float]) -> FloatImage:
    """Return the gain (about 1) of a relief ``height`` [H, W] lit from ``lamp`` (x, y), as strong as ``relief``."""
    return np.asarray(np.clip(1 + relief * shade(height, lamp), 0.25, 1.9), np.float32)


def lamp(rng: np.random.Generator) -> tuple[float, float]:
    """Return a unit vector (x, y) towards a lamp anywhere around."""
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between ``low`` and ``high`` whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@lru_cache(maxsize=8)
def grid(side_px: int) -> tuple[FloatImage, FloatImage]:
    """Return the x and the y of every pixel, float32 [side_px, side_px], not to be written to."""
    steps = np.arange(side_px, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Return one of ``options``."""
    return options[int(rng.integers(len(options)))]


def choose(rng: np.random.Generator, *options: float) -> float:
    """Return one of ``options`` as Python's float: NumPy's would turn float32 pictures into float64."""
    return float(options[int(rng.integers(len(options)))])

"""Defects of no type: what a part may show that no vocabulary names. They teach "defective" without teaching a word.

Two recipes from the literature: a piece of the picture pasted elsewhere (CutPaste, Li et al., CVPR 2021) and a foreign
texture under a thresholded noise mask (DRAEM, Zavrtanik et al., ICCV 2021).
"""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.defects import DefectShape, Painted, Painter
from inspector.rendering.shapes import blob, blurred
from inspector.rendering.surfaces import (
    ByteImage,
    FloatImage,
    box_distance,
    fractal_noise,
    inside,
    value_noise,
)
from inspector.vision.opencv import cv2

_CONTRAST = 30.0  # grey levels: a foreign texture nearer than this to what it covers would not be foreign


def pasted_from(source: ByteImage) -> Painter:
    """Return a painter that covers the surface with a piece of ``source`` (uint8 BGR [H, W, 3]) from elsewhere."""

    def paint(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
        piece = _piece(rng, source, (patch.shape[0], patch.shape[1]))
        # The piece is as much another part's as it is of this one: light and colour differ a little.
        tint = 1 + rng.normal(0, 0.12, 3) * shape.strength
        gain = 1 + rng.normal(0, 0.25) * shape.strength
        cover = _outline(rng, (patch.shape[0], patch.shape[1]), shape.size_px)
        opacity = (cover * (0.35 + 0.65 * shape.strength))[..., None]
        foreign = np.asarray(piece * (tint * gain), np.float32)
        return patch + opacity * (foreign - patch), cover

    return paint


def perlin_masked(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A foreign texture wherever fractal noise exceeds a threshold, within the defect's extent."""
    size = (patch.shape[0], patch.shape[1])
    radius = shape.size_px / 2
    noise = fractal_noise(rng, size, max(3.0, shape.size_px * rng.uniform(0.12, 0.4)), 4)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    distance = np.hypot(x - size[1] / 2, y - size[0] / 2) / radius
    # The threshold rises outwards, so that the noise runs out by itself and no circle shows where it is cut off.
    threshold = rng.uniform(-0.6, 0.2) + 3.0 * distance**3
    cover = blurred(inside((threshold - noise) * 2, 1.0) * inside((distance - 1) * radius), 0.6)
    opacity = cover * (0.15 + 0.85 * shape.strength)
    texture = _foreign_texture(rng, size, patch.mean(axis=(0, 1)))
    return patch + opacity[..., None] * (texture - patch), cover


def _piece(rng: np.random.Generator, source: ByteImage, size: tuple[int, int]) -> FloatImage:
    """Cut ``size`` out of ``source`` anywhere, mirrored and turned by quarters; mirrored on where it is too small."""
    turned = np.rot90(source, int(rng.integers(4)))[:: rng.choice([-1, 1])]
    short = [max(0, wanted - there) for wanted, there in zip(size, turned.shape[:2], strict=True)]
    turned = np.pad(turned, ((0, short[0]), (0, short[1]), (0, 0)), "symmetric")
    top, left = (int(rng.integers(turned.shape[axis] - size[axis] + 1)) for axis in (0, 1))
    return np.asarray(turned[top : top + size[0], left : left + size[1]], np.float32)


def _outline(rng: np.random.Generator, size: tuple[int, int], size_px: int) -> FloatImage:
    """A patch, a scar (long and thin) or a ragged piece around the middle, turned at random, with soft edges."""
    longest, form = size_px / 2, rng.random()
    if form < 0.35:
        return blob(rng, size, (longest * 0.8, longest * rng.uniform(0.4, 0.8)), 0.15)
    ratio = rng.uniform(0.5, 1.0) if form < 0.7 else rng.uniform(0.08, 0.25)
    turn = rng.uniform(0, math.pi)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    dx, dy = x - size[1] / 2, y - size[0] / 2
    along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    half = (longest * 0.9, max(1.0, longest * 0.9 * ratio))
    return inside(box_distance(along, across, half, min(half) * rng.uniform(0.05, 0.5)))


def _foreign_texture(rng: np.random.Generator, size: tuple[int, int], under: FloatImage) -> FloatImage:
    """Return a grained, streaked or striped texture between two tones that stand off from the colour ``under``."""
    grain = rng.random()
    if grain < 0.4:
        pattern = fractal_noise(rng, size, rng.uniform(3, 20), 4)
    elif grain < 0.75:
        long, short = rng.uniform(10, 60), rng.uniform(1.5, 4)
        pattern = value_noise(rng, size, (long, short) if rng.random() < 0.5 else (short, long))
    else:
        turn, period = rng.uniform(0, math.pi), rng.uniform(4, 16)
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        waves = np.sin((x * math.cos(turn) + y * math.sin(turn)) * 2 * math.pi / period)
        pattern = np.asarray(waves + 0.3 * fractal_noise(rng, size, 6, 2), np.float32)
    mean, deviation = cv2.meanStdDev(pattern)
    weight = np.clip(0.5 + (pattern - float(mean[0, 0])) / (4 * float(deviation[0, 0]) + 1e-6), 0, 1)[..., None]
    tones = _tone(rng, under), _tone(rng, under)
    return np.asarray(tones[0] + weight * (tones[1] - tones[0]), np.float32)


def _tone(rng: np.random.Generator, under: FloatImage) -> FloatImage:
    """A muted colour, lighter or darker than ``under`` by at least ``_CONTRAST`` where the range has room."""
    grey = float(under.mean())
    room = np.array([grey - _CONTRAST, 255 - grey - _CONTRAST]).clip(0)
    darker = rng.random() < room[0] / max(1e-6, room.sum())
    level = rng.uniform(0, room[0]) if darker else 255 - rng.uniform(0, room[1])
    # Grey most of the time: few of the things that spoil a part are of a bright colour.
    return np.asarray(np.clip(level + rng.normal(0, 14, 3), 0, 255), np.float32)


def through_lens(painter: Painter, sigma_px: float) -> Painter:
    """Return ``painter`` as seen through a lens that blurs what it paints, and nothing else, by ``sigma_px``."""

    def paint(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
        changed, reach = painter(rng, patch, shape)
        return patch + blurred(changed - patch, sigma_px), np.maximum(reach, blurred(reach, sigma_px))

    return paint

"""Random outlines of defects: wandering lines, ragged blobs, strokes that taper. All coverage is float32 0..1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import FloatImage, value_noise
from inspector.vision.opencv import cv2

Points = NDArray[np.float64]

_SUPERSAMPLE = 3  # thin strokes need sub-pixel widths; three subdivisions leave steps of a ninth of a grey range


def wandering_line(
    rng: np.random.Generator, start: tuple[float, float], angle: float, length_px: float, wobble: float
) -> Points:
    """Return points [N, 2] (x, y) about 3 px apart of a line that turns by ``wobble`` radians (deviation) a step."""
    steps = max(4, round(length_px / 3))
    turns = rng.normal(0, wobble, steps)
    # The heading is pulled back to where it started, or a long line would curl up.
    heading, headings = angle, []
    for turn in turns:
        heading += float(turn) + 0.15 * (angle - heading)
        headings.append(heading)
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length_px / steps)
    return np.concatenate([[start], start + np.cumsum(moves, axis=0)])


def stroke(shape: tuple[int, int], points: Points, width_px: float, taper: bool = True) -> FloatImage:
    """Return the coverage of a line of ``width_px``, running out to a point at both ends if ``taper``."""
    big = np.zeros((shape[0] * _SUPERSAMPLE, shape[1] * _SUPERSAMPLE), np.uint8)
    corners = np.round(points * _SUPERSAMPLE).astype(np.int32)
    count = len(corners) - 1
    for i in range(count):
        part = math.sin(math.pi * (i + 0.5) / count) ** 0.5 if taper else 1.0
        width = max(1, round(width_px * part * _SUPERSAMPLE))
        start, end = corners[i], corners[i + 1]
        cv2.line(big, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 255, width)
    return _shrink(big, shape)


def blob(
    rng: np.random.Generator, shape: tuple[int, int], radii_px: tuple[float, float], roughness: float
) -> FloatImage:
    """Return the coverage of a closed ragged outline around the middle of ``shape``.

    ``radii_px`` are the half axes before a random rotation; ``roughness`` is the relative deviation of the outline.
    """
    angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    outline = np.ones_like(angles)
    for wave in range(2, 9):
        outline += rng.normal(0, roughness / wave**0.7) * np.cos(wave * angles + rng.uniform(0, 2 * math.pi))
    outline = np.clip(outline, 0.35, 1.5)
    turn = rng.uniform(0, math.pi)
    x, y = radii_px[0] * outline * np.cos(angles), radii_px[1] * outline * np.sin(angles)
    points = np.stack([x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], axis=1)
    return filled(shape, np.add(points, (shape[1] / 2, shape[0] / 2)))


def filled(shape: tuple[int, int], outline: Points) -> FloatImage:
    """Return the coverage of the polygon ``outline`` [N, 2] (x, y)."""
    big = np.zeros((shape[0] * _SUPERSAMPLE, shape[1] * _SUPERSAMPLE), np.uint8)
    cv2.fillPoly(big, [np.round(outline * _SUPERSAMPLE).astype(np.int32)], (255,))
    return _shrink(big, shape)


def shifted(coverage: FloatImage, offset: tuple[float, float]) -> FloatImage:
    """Return ``coverage`` moved by ``offset`` (x, y) pixels, 0 moving in."""
    move = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32)
    moved = cv2.warpAffine(coverage, move, (coverage.shape[1], coverage.shape[0]))
    return np.asarray(moved, np.float32)


def blurred(coverage: FloatImage, sigma_px: float) -> FloatImage:
    """Return ``coverage`` smoothed by a Gaussian."""
    return np.asarray(cv2.GaussianBlur(coverage, (0, 0), sigma_px), np.float32)


def _shrink(big: NDArray[np.uint8], shape: tuple[int, int]) -> FloatImage:
    small = cv2.resize(big, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def streaks(
    rng: np.random.Generator, shape: tuple[int, int], angle: float, length_px: float, width_px: float
) -> FloatImage:
    """Return fine lines at ``angle`` (radians), float32 [H, W], about -1..1, most of the surface near 0."""
    side = int(math.hypot(*shape)) + 4
    noise = value_noise(rng, (side, side), (width_px, length_px))
    lines = np.asarray(np.sign(noise) * np.clip(np.abs(noise) - 0.7, 0, 1.5), np.float32)
    middle = (side / 2, side / 2)
    turn = cv2.getRotationMatrix2D(middle, -math.degrees(angle), 1.0)
    turn[:, 2] += np.array([shape[1] / 2 - middle[0], shape[0] / 2 - middle[1]])
    turned = cv2.warpAffine(lines, turn, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.float32)

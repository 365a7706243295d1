"""Surfaces of many small pieces: leather, granules, crumb, foam, dead leaves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.scenes.noise import fractal_noise
from inspector.rendering.scenes.surface import Surface, brightened, lamp, lit, log_uniform, other_tone, tinted, tone
from inspector.rendering.shapes import blurred
from inspector.rendering.surfaces import FloatImage, blend
from inspector.vision.opencv import cv2


def _cells(rng: np.random.Generator, side: int, cell_px: float, order: float) -> tuple[FloatImage, NDArray[np.int32]]:
    """Return the distance to the nearest of scattered points and which it is; ``order`` 1 puts them on a lattice."""
    count = max(2, math.ceil(side / cell_px))
    lattice = (np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1) + 0.5).reshape(-1, 2)
    lattice[:, 0] += (lattice[:, 1] // 1 % 2) * 0.5 * order
    points = (lattice + rng.uniform(-0.5, 0.5, lattice.shape) * (1 - order) * 1.4) * side / count
    at = np.clip(points.astype(np.intp), 0, side - 1)
    seeds = np.ones((side, side), np.uint8)
    seeds[at[:, 1], at[:, 0]] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(distance, np.float32), np.asarray(labels, np.int32)


def _borders(labels: NDArray[np.int32]) -> FloatImage:
    """Return 1 where neighbours belong to different cells."""
    edge = np.zeros(labels.shape, np.float32)
    edge[:, 1:] = labels[:, 1:] != labels[:, :-1]
    edge[1:] = np.maximum(edge[1:], labels[1:] != labels[:-1])
    return edge


def leather(rng: np.random.Generator, unit: float) -> Surface:
    """Cells parted by creases."""
    colour, cell = tone(rng, (30, 200)), log_uniform(rng, 5, 26) * unit
    depth, order, light = rng.uniform(0.25, 1.0), rng.uniform(0, 0.5), lamp(rng)
    width, mottle = rng.uniform(0.7, 1.6) * unit, rng.uniform(0, 0.1)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        _, labels = _cells(rng, side, cell, order)
        crease = blurred(_borders(labels), width)
        gain = lit(-crease * cell * 0.6, 0.8 * depth, light) - 0.5 * depth * crease
        return tinted(gain + mottle * fractal_noise(rng, (side, side), 12 * unit, 3), colour)

    words = ("leather", "grained leather", "artificial leather", "embossed vinyl", "hide")
    return Surface(words, "soft", draw)


def mosaic(rng: np.random.Generator, unit: float) -> Surface:
    """Cells of different tones: terrazzo, chip board, spangled zinc, mosaic."""
    colour, cell, order = tone(rng, (50, 230)), log_uniform(rng, 6, 45) * unit, rng.uniform(0, 0.9)
    spread, joint = rng.uniform(0.05, 0.35), rng.uniform(-0.5, 0.4) * (rng.random() < 0.5)
    hue = rng.uniform(0, 0.12)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        _, labels = _cells(rng, side, cell, order)
        tones = (
            1 + spread * rng.uniform(-1, 1, (int(labels.max()) + 1, 1)) + hue * rng.normal(0, 1, (labels.max() + 1, 3))
        )
        image = (tones * colour).astype(np.float32)[labels]
        return brightened(image, 1 + joint * blurred(_borders(labels), 0.8 * unit))

    words = ("terrazzo", "a mosaic", "galvanised steel", "chipboard", "a stone mosaic", "composite stone", "flakes")
    return Surface(words, "hard", draw)


def granules(rng: np.random.Generator, unit: float) -> Surface:
    """Grains side by side: granulate, gravel, cork, rice, tablets in bulk."""
    colour, cell, order = tone(rng, (70, 235)), log_uniform(rng, 5, 30) * unit, rng.uniform(0, 0.6)
    relief, gap, light = rng.uniform(0.4, 1.4), rng.uniform(0.3, 0.9), lamp(rng)
    spread = rng.uniform(0, 0.2)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        distance, labels = _cells(rng, side, cell, order)
        rounded = np.sqrt(np.clip(1 - (distance / (cell * 0.75)) ** 2, 0, 1)).astype(np.float32)
        rounded = blurred(rounded, 0.8 * unit)
        shades = 1 + spread * rng.uniform(-1, 1, int(labels.max()) + 1).astype(np.float32)
        gain = lit(rounded * cell * 0.5, relief, light) * (1 - gap + gap * rounded) * shades[labels]
        return tinted(gain, colour)

    return Surface(("granules", "cork", "gravel", "plastic granulate", "grains", "pebbles", "beads"), "soft", draw)


def crumb(rng: np.random.Generator, unit: float) -> Surface:
    """Baked or foamed: pores of all sizes in a lumpy relief, with pieces baked in."""
    brown = np.array([rng.uniform(60, 130), rng.uniform(110, 170), rng.uniform(150, 225)], np.float32)
    colour = brown if rng.random() < 0.6 else tone(rng, (90, 245))
    cell, relief, light = log_uniform(rng, 5, 25) * unit, rng.uniform(0.2, 0.6), lamp(rng)
    pores, level, chips = rng.uniform(0.1, 0.55), rng.uniform(0.7, 1.6), rng.random() < 0.4
    chip, share = np.asarray(colour * rng.uniform(0.15, 0.6), np.float32), rng.uniform(1.0, 1.8)
    chip_px = rng.uniform(6, 14) * unit

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        lumps = fractal_noise(rng, (side, side), cell, 4)
        fine = fractal_noise(rng, (side, side), cell * 0.5, 2)
        holes = np.clip((fine - level) * 2, 0, 1)
        image = tinted(lit(lumps, relief * cell * 0.3, light) * (1 - pores * holes) + 0.05 * lumps, colour)
        if chips:
            pieces = np.clip((fractal_noise(rng, (side, side), chip_px, 2) - share) * 4, 0, 1)
            blend(image, np.asarray(pieces, np.float32), chip)
        return image

    words = ("bread", "a biscuit", "foam", "a baked crumb", "sponge", "porous material", "cake", "dough")
    return Surface(words, "soft", draw)


def dead_leaves(rng: np.random.Generator, unit: float) -> Surface:
    """Opaque pieces of all sizes over one another (Lee, Mumford and Huang, 2001), as natural pictures are made."""
    tones = [tone(rng)]
    tones += [other_tone(rng, tones[0], rng.uniform(10, 120)) for _ in range(int(rng.integers(2, 6)))]
    smallest, largest = rng.uniform(2, 6) * unit, rng.uniform(14, 50) * unit
    boxes, jitter = rng.random(), rng.uniform(0.02, 0.15)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        image = np.empty((side, side, 3), np.uint8)
        image[:] = tones[0]
        count = 140
        # Areas between the extremes are equally often covered: the radius follows an inverse cube law.
        inverse = rng.uniform(largest**-2.0, smallest**-2.0, count)
        radii, places = inverse**-0.5, rng.uniform(0, side, (count, 2))
        radii[: count // 2] = rng.uniform(largest * 0.5, largest, count // 2)
        shades = np.stack(tones)[rng.integers(0, len(tones), count)] * (1 + rng.normal(0, jitter, (count, 1)))
        fills = np.clip(shades, 0, 255).tolist()
        turns, ratios, boxed = rng.uniform(0, 180, count), rng.uniform(0.8, 2, count), rng.random(count) < boxes
        for k in range(count):
            fill = fills[k]
            box = (places[k].tolist(), (float(radii[k]) * 2, float(radii[k] * ratios[k])), float(turns[k]))
            if boxed[k]:
                cv2.fillConvexPoly(image, np.round(cv2.boxPoints(box)).astype(np.int32), fill, cv2.LINE_AA)
            else:
                cv2.ellipse(image, box, fill, cv2.FILLED, cv2.LINE_AA)
        return image.astype(np.float32)

    words = ("shredded paper", "chips", "a pile of flakes", "leaves", "mixed scrap", "a collage", "confetti")
    return Surface(words, "soft", draw)

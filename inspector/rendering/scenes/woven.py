"""Surfaces of crossing or looped strands, and sheets with openings: weave, knit, threads, mesh, perforated sheet."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.scenes.noise import fractal_noise, value_noise
from inspector.rendering.scenes.surface import (
    Surface,
    brightened,
    choose,
    grid,
    lamp,
    lerp,
    lit,
    log_uniform,
    other_tone,
    tinted,
    tone,
)
from inspector.rendering.shapes import blurred
from inspector.rendering.surfaces import FloatImage, inside
from inspector.vision.opencv import cv2


def weave(rng: np.random.Generator, unit: float) -> Surface:
    """Warp over weft by a rule: plain weave, twill, basket, carbon fibre."""
    period, steps, shift = log_uniform(rng, 5, 26) * unit, int(rng.integers(2, 5)), 1
    warp = tone(rng)
    weft = (
        warp * np.float32(rng.uniform(0.8, 1.1)) if rng.random() < 0.6 else other_tone(rng, warp, rng.uniform(10, 80))
    )
    depth, uneven, fuzz = rng.uniform(0.25, 0.75), rng.uniform(0, 0.12), rng.uniform(0.02, 0.12)
    ply = rng.uniform(0, 0.12)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        u = (
            x + rng.uniform(0, period) + uneven * period * value_noise(rng, (side, side), (40 * unit, 6 * unit))
        ) / period
        v = (
            y + rng.uniform(0, period) + uneven * period * value_noise(rng, (side, side), (6 * unit, 40 * unit))
        ) / period
        column, row = np.floor(u), np.floor(v)
        on_top = ((column + shift * row) % steps) < (1 if steps < 4 else 2)
        across = np.where(on_top, u - column, v - row) - 0.5
        along = np.where(on_top, v - row, u - column) - 0.5
        gain = 1 - depth * (4 * across**2 * 0.8 + along**2) + ply * np.sin(14 * across + 9 * along)
        yarn = lerp(on_top.astype(np.float32), weft, warp)
        return brightened(yarn, np.asarray(gain + fuzz * fractal_noise(rng, (side, side), 2.5 * unit, 2), np.float32))

    words = ("woven fabric", "cloth", "a textile", "canvas", "twill", "carbon fibre fabric", "linen", "fabric")
    return Surface(words, "soft", draw)


def knit(rng: np.random.Generator, unit: float) -> Surface:
    """Columns of stitches, each a V."""
    wide, ratio = log_uniform(rng, 7, 30) * unit, rng.uniform(0.45, 0.9)
    colour, depth, steep = tone(rng), rng.uniform(0.3, 0.75), rng.uniform(0.6, 1.2)
    fuzz, ribs = rng.uniform(0.03, 0.14), rng.uniform(0, 0.3)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        wobble = value_noise(rng, (side, side), (20 * unit, 20 * unit)) * 0.06
        u = (x + rng.uniform(0, wide)) / wide + wobble
        side_of = u - np.floor(u) - 0.5
        v = (y + rng.uniform(0, wide)) / (wide * ratio) + steep * np.abs(side_of) * 2 + wobble
        leg = np.abs(np.sin(math.pi * v)) * np.sqrt(np.sin(math.pi * np.clip(np.abs(side_of) * 2, 0.02, 0.98)))
        rib = ribs * np.sin(math.pi * np.floor(u))
        gain = 1 - depth + depth * 1.3 * leg + rib
        return tinted(np.asarray(gain + fuzz * fractal_noise(rng, (side, side), 2 * unit, 2), np.float32), colour)

    return Surface(("knitted fabric", "knitwear", "jersey", "a jumper", "stockinette", "fabric"), "soft", draw)


def threads(rng: np.random.Generator, unit: float) -> Surface:
    """Strands side by side, a little irregular: wound wire, corduroy, yarn, rope."""
    period, colour = log_uniform(rng, 3, 18) * unit, tone(rng)
    uneven, twist, fuzz = rng.uniform(0, 0.35), rng.uniform(0, 0.3), rng.uniform(0.02, 0.1)
    depth, pitch = rng.uniform(0.25, 0.8), rng.uniform(0.5, 2.0)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        u = (x + uneven * period * value_noise(rng, (side, side), (120 * unit, 3 * period))) / period
        strand = np.floor(u)
        across = u - strand - 0.5
        tones = 1 + 0.25 * uneven * rng.normal(0, 1, int(strand.max() - strand.min()) + 1)
        shades = tones.astype(np.float32)[(strand - strand.min()).astype(np.intp)]
        plies = np.sin(2 * math.pi * (y / (period * pitch * 2) + across * 1.2))
        gain = (1 - depth * 3.4 * across**2 + twist * plies * 0.6) * shades
        return tinted(np.asarray(gain + fuzz * fractal_noise(rng, (side, side), 2 * unit, 2), np.float32), colour)

    words = ("wound wire", "yarn", "corduroy", "parallel threads", "a rope winding", "a cable winding", "a coil")
    return Surface(words, "soft", draw)


def mesh(rng: np.random.Generator, unit: float) -> Surface:
    """Wires over a ground: a grid, a net, wire cloth, expanded metal."""
    period = log_uniform(rng, 8, 42) * unit
    width = max(1.6, period * rng.uniform(0.12, 0.4) / 2)
    wire = tone(rng)
    ground = other_tone(rng, wire, rng.uniform(50, 150))
    skew, crossing = choose(rng, 0.0, rng.uniform(-1, 1)), rng.uniform(0, 0.5)
    grain = rng.uniform(0, 0.08)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        wobble = 0.03 * period * value_noise(rng, (side, side), (30 * unit, 30 * unit))
        u = _within(x + skew * y + wobble + rng.uniform(0, period), period)
        v = _within(y - skew * x + wobble + rng.uniform(0, period), period)
        height_u, height_v = 1 - np.abs(u) / width, 1 - np.abs(v) / width
        over = np.sin(math.pi * x / period) * np.sin(math.pi * y / period) > 0
        top = np.where(over, height_u + 0.3, height_v)
        rounded = np.clip(np.maximum(np.maximum(height_u, height_v), np.where(crossing > 0.25, top, -1)), 0, 1)
        cover = inside(np.asarray(-np.maximum(height_u, height_v) * width, np.float32))
        image = lerp(cover, ground, wire)
        gain = (1 - 0.6 * cover) + 0.6 * cover * np.sqrt(rounded) * 1.3
        return brightened(image, np.asarray(gain + grain * fractal_noise(rng, (side, side), 4 * unit, 2), np.float32))

    words = ("wire mesh", "a grid", "a net", "a metal grid", "expanded metal", "wire cloth", "a sieve", "a lattice")
    return Surface(words, "hard", draw)


def _within(at: FloatImage, period: float) -> FloatImage:
    """Return how far ``at`` is from the middle of its period."""
    return np.asarray(at - np.floor(at / period) * period - period / 2, np.float32)


def perforated(rng: np.random.Generator, unit: float) -> Surface:
    """A sheet with regular round or square openings, or with raised studs of the same forms."""
    period = log_uniform(rng, 9, 45) * unit
    half = period * rng.uniform(0.18, 0.38)
    colour, light = tone(rng, (70, 235)), lamp(rng)
    square, staggered, studs = rng.random() < 0.3, rng.random() < 0.5, rng.random() < 0.35
    depth, grain, bevel = rng.uniform(0.45, 0.92), rng.uniform(0, 0.07), rng.uniform(0.15, 0.7)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        v = (y + rng.uniform(0, period)) / period
        row = np.floor(v)
        u = (x + rng.uniform(0, period)) / period + (0.5 * (row % 2) if staggered else 0)
        dx, dy = (u - np.floor(u) - 0.5) * period, (v - row - 0.5) * period
        distance = np.maximum(np.abs(dx), np.abs(dy)) if square else cv2.magnitude(dx, dy)
        opening = inside(np.asarray(distance - half, np.float32))
        rim = lit(blurred(opening, 1.2 * unit) * half * (0.5 if studs else -0.5), bevel, light)
        noise = grain * fractal_noise(rng, (side, side), 6 * unit, 3)
        return tinted(np.asarray(rim * (1 if studs else 1 - depth * opening) + noise, np.float32), colour)

    words = (
        "perforated metal",
        "a perforated sheet",
        "a studded surface",
        "a punched plate",
        "a hole plate",
        "a grille",
    )
    return Surface(words, "hard", draw)

"""Surfaces without a pattern: cast, plain, brushed, wood, machined."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.scenes.noise import fractal_noise, value_noise
from inspector.rendering.scenes.surface import (
    Surface,
    brightened,
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
from inspector.rendering.surfaces import FloatImage
from inspector.vision.opencv import cv2


def cast(rng: np.random.Generator, unit: float) -> Surface:
    """Rough relief of several widths: castings, concrete, plaster, orange peel."""
    colour, light = tone(rng), lamp(rng)
    cell, octaves = log_uniform(rng, 2.5, 40) * unit, int(rng.integers(1, 5))
    relief, mottle = rng.uniform(0.05, 0.5), rng.uniform(0, 0.12)
    wide = log_uniform(rng, 15, 120) * unit

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        height = fractal_noise(rng, (side, side), cell, octaves)
        gain = lit(height, relief * min(4.0, cell / 2), light)
        return tinted(gain + mottle * fractal_noise(rng, (side, side), wide, 2), colour)

    words = ("cast metal", "a rough casting", "concrete", "plaster", "sandblasted metal", "stone", "a rough surface")
    return Surface(words, "hard", draw)


def plain(rng: np.random.Generator, unit: float) -> Surface:
    """Almost no texture: plastic, lacquer, glass, with a reflection that runs over it."""
    colour, grain = tone(rng, (40, 250)), rng.uniform(0, 0.03)
    wide, depth = log_uniform(rng, 60, 250) * unit, rng.uniform(0, 0.15)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        gain = 1 + depth * value_noise(rng, (side, side), (wide, wide))
        return tinted(gain + grain * fractal_noise(rng, (side, side), 3 * unit, 2), colour)

    words = ("smooth plastic", "plastic", "a painted surface", "glass", "lacquer", "coated metal", "a plain surface")
    return Surface(words, "hard", draw)


def brushed(rng: np.random.Generator, unit: float) -> Surface:
    """Fine parallel streaks with the broad bands that brushing leaves."""
    colour, fine = tone(rng, (70, 235)), rng.uniform(0.03, 0.16)
    length, width = log_uniform(rng, 25, 200) * unit, rng.uniform(1, 2.5) * unit
    band, bands = log_uniform(rng, 10, 80) * unit, rng.uniform(0, 0.12)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        streaks = value_noise(rng, (side, side), (width, length)) + 0.6 * value_noise(
            rng, (side, side), (width * 1.7, length * 2)
        )
        return tinted(1 + fine * streaks + bands * value_noise(rng, (side, side), (band, band * 12)), colour)

    words = ("brushed metal", "brushed steel", "brushed aluminium", "ground metal", "a metal sheet", "polished metal")
    return Surface(words, "hard", draw)


def wood(rng: np.random.Generator, unit: float) -> Surface:
    """Year rings cut lengthwise, fine pores along them."""
    warm = np.array([rng.uniform(40, 110), rng.uniform(90, 160), rng.uniform(140, 220)], np.float32)
    colour = warm * np.float32(rng.uniform(0.45, 1.05))
    dark = np.asarray(colour * rng.uniform(0.5, 0.9, 1) * np.array([0.85, 0.95, 1.0]), np.float32)
    period, stretch, pores = log_uniform(rng, 6, 40) * unit, rng.uniform(4, 14), rng.uniform(0.02, 0.12)
    waves, sharpness = rng.uniform(0.5, 2.5), rng.uniform(0.6, 2.5)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        _, y = grid(side)
        bend = value_noise(rng, (side, side), (period * 3, period * 3 * stretch))
        phase = y / period + waves * bend + 0.15 * value_noise(rng, (side, side), (period, period * stretch))
        rings = (0.5 + 0.5 * np.sin(2 * math.pi * phase)) ** sharpness
        grain = value_noise(rng, (side, side), (1.3 * unit, 18 * unit))
        return brightened(lerp(np.asarray(rings, np.float32), dark, colour), 1 + pores * grain)

    return Surface(("wood", "a wooden board", "veneer", "wood grain", "a wooden plank", "timber"), "hard", draw)


def turned(rng: np.random.Generator, unit: float) -> Surface:
    """Rings of a lathe or arcs of a face mill around a centre, with the bow-tie highlight they throw."""
    colour, pitch, fine = tone(rng, (80, 235)), log_uniform(rng, 2, 10) * unit, rng.uniform(0.03, 0.14)
    away, gloss, lobes = rng.uniform(0, 1.6), rng.uniform(0, 0.35), int(rng.integers(1, 3))
    angle, regular = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        where = angle + rng.normal(0, 0.15)
        dx = x - side * (0.5 + away * math.cos(where) + rng.normal(0, 0.04))
        dy = y - side * (0.5 + away * math.sin(where) + rng.normal(0, 0.04))
        radius = cv2.magnitude(dx, dy)
        profile = rng.standard_normal(int(radius.max() / pitch * 2) + 3).astype(np.float32)
        steps = np.arange(int(radius.max()) + 2, dtype=np.float32)
        rings = regular * np.sin(2 * math.pi * steps / pitch) + (1 - regular) * np.interp(
            steps * 2 / pitch, np.arange(profile.size), profile
        )
        marks = cv2.remap(
            rings.astype(np.float32)[None], radius, np.zeros_like(radius), cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )
        shine = np.cos(lobes * cv2.phase(dx, dy) + rng.uniform(0, 2 * math.pi))
        return tinted(np.asarray(1 + fine * marks + gloss * shine * np.abs(shine), np.float32), colour)

    words = ("turned metal", "machined metal", "a milled surface", "a lathe-turned face", "machined steel")
    return Surface(words, "hard", draw)


def ribbed(rng: np.random.Generator, unit: float) -> Surface:
    """A profile that runs on in one direction: corrugated sheet, ribs, slats, a grating."""
    colour, period, light = tone(rng), log_uniform(rng, 7, 60) * unit, rng.uniform(0, 2 * math.pi)
    depth, form, grain = rng.uniform(0.1, 0.45), int(rng.integers(3)), rng.uniform(0, 0.08)
    duty = rng.uniform(0.25, 0.75)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        phase = (np.arange(side, dtype=np.float32) / period + rng.random()) % 1
        if form == 0:
            profile = np.asarray(np.sin(2 * math.pi * phase + light), np.float32)
        elif form == 1:
            edge = np.abs(phase - duty) < 1.5 * unit / period
            profile = np.asarray(np.where(phase < duty, 0.6, -0.8) + 0.8 * edge, np.float32)
        else:
            profile = np.asarray(np.where(phase < duty, phase / duty, (1 - phase) / (1 - duty)) * 2 - 1, np.float32)
        rows = np.tile(blurred(profile[None], 0.7), (side, 1))
        dirt = fractal_noise(rng, (side, side), 5 * unit, 3)
        return tinted(np.asarray(1 + depth * rows + grain * dirt, np.float32), colour)

    words = ("corrugated metal", "ribbed plastic", "a grooved surface", "corrugated sheet", "a ribbed surface", "slats")
    return Surface(words, "hard", draw)


def cloudy(rng: np.random.Generator, unit: float) -> Surface:
    """Two tones in clouds or veins, everywhere: marble, camouflage, cured leather, weathered paint."""
    first = tone(rng, (60, 240))
    second = other_tone(rng, first, rng.uniform(15, 90))
    cell, sharp, veins = log_uniform(rng, 8, 60) * unit, log_uniform(rng, 0.5, 6), rng.random() < 0.4

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        noise = fractal_noise(rng, (side, side), cell, 4)
        if veins:
            wide = 0.7 * fractal_noise(rng, (side, side), cell * 2, 2)
            noise = np.asarray(1 - np.abs(noise + wide) * 1.6, np.float32)
        return lerp(np.asarray(np.clip(0.5 + sharp * 0.5 * noise, 0, 1), np.float32), first, second)

    words = ("marble", "mottled stone", "a camouflage pattern", "a veined surface", "marbled plastic", "clouded stone")
    return Surface(words, "hard", draw)

"""Surfaces laid out by design: tiles, prints, text, assembled parts."""

from __future__ import annotations

import math

import numpy as np

from inspector.rendering.scenes.glyphs import fill_of, glyph, random_text, write
from inspector.rendering.scenes.noise import fractal_noise
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


def tiles(rng: np.random.Generator, unit: float) -> Surface:
    """Rectangles in courses with joints: tiles, bricks, paving, planks."""
    height = log_uniform(rng, 14, 60) * unit
    width = height * choose(rng, 1.0, 2.0, rng.uniform(1, 5))
    joint, offset = max(1.0, height * rng.uniform(0.02, 0.12)), choose(rng, 0.0, 0.5, rng.random())
    colour, light = tone(rng, (60, 235)), lamp(rng)
    grout = other_tone(rng, colour, rng.uniform(15, 90))
    spread, grain, relief = rng.uniform(0, 0.22), rng.uniform(0.01, 0.14), rng.uniform(0, 0.8)
    cell, checked = log_uniform(rng, 3, 30) * unit, rng.random() < 0.2

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        v = (y + rng.uniform(0, height)) / height
        row = np.floor(v)
        u = (x + rng.uniform(0, width)) / width + row * offset
        column = np.floor(u)
        near = (
            np.minimum(np.minimum(u - column, 1 - u + column) * width, np.minimum(v - row, 1 - v + row) * height)
            - joint / 2
        )
        cover = inside(np.asarray(-near, np.float32))
        shades = 1 + spread * rng.uniform(-1, 1, (64, 64)).astype(np.float32)
        which = shades[row.astype(np.intp) % 64, column.astype(np.intp) % 64]
        if checked:
            which = which * np.where((row + column) % 2 > 0, 0.65, 1)
        noise = grain * fractal_noise(rng, (side, side), cell, 3)
        gain = lit(blurred(cover, unit) * 3 * unit, relief, light) * (which + noise)
        return brightened(lerp(cover, grout, colour), np.asarray(gain, np.float32))

    words = ("tiles", "a brick wall", "ceramic tiles", "paving", "bricks", "a tiled surface", "stone blocks", "panels")
    return Surface(words, "hard", draw)


def motif_print(rng: np.random.Generator, unit: float) -> Surface:
    """A glyph repeated on a lattice: printed fabric, wallpaper, packaging foil."""
    step = log_uniform(rng, 14, 60) * unit
    columns, rows, staggered = int(rng.integers(1, 3)), int(rng.integers(1, 3)), rng.random() < 0.5
    ground = tone(rng)
    inks = [other_tone(rng, ground, rng.uniform(25, 140)) for _ in range(int(rng.integers(1, 4)))]
    grain, cell = rng.uniform(0, 0.06), log_uniform(rng, 2, 12) * unit
    size = (max(6, round(step * rows)), max(6, round(step * columns)))
    block = np.empty((*size, 3), np.uint8)
    block[:] = ground
    for j in range(rows):
        for i in range(columns):
            at = ((i + 0.5) * size[1] / columns, (j + 0.5) * size[0] / rows)
            glyph(rng, block, at, step * rng.uniform(0.2, 0.42), inks[int(rng.integers(len(inks)))])

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        wide = math.ceil(side / size[1]) + 2
        course = np.tile(block, (1, wide, 1))
        courses = [
            np.roll(course, (k % 2) * size[1] // 2, axis=1) if staggered else course
            for k in range(math.ceil(side / size[0]) + 1)
        ]
        top, left = int(rng.integers(size[0])), int(rng.integers(size[1]))
        image = np.vstack(courses)[top : top + side, left : left + side].astype(np.float32)
        return brightened(image, 1 + grain * fractal_noise(rng, (side, side), cell, 3))

    words = (
        "printed fabric",
        "patterned wallpaper",
        "a printed pattern",
        "wrapping paper",
        "a patterned foil",
        "a print",
    )
    return Surface(words, "soft", draw, laid_out=True)


def text_print(rng: np.random.Generator, unit: float) -> Surface:
    """Lines of text, rules and boxes: labels, packaging, forms."""
    paper = tone(rng, (120, 252))
    ink = other_tone(rng, paper, rng.uniform(80, 200))
    line, columns = log_uniform(rng, 8, 30) * unit, int(rng.integers(1, 3))
    font, weight, ruled = int(rng.integers(0, 8)), int(rng.integers(1, 3)), rng.random() < 0.4
    grain, headline = rng.uniform(0, 0.04), rng.random() < 0.5

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        image = np.empty((side, side, 3), np.uint8)
        image[:] = paper
        y = rng.uniform(0, line)
        while y < side + line:
            large = 2.0 if headline and rng.random() < 0.15 else 1.0
            for column in range(columns):
                left = side * column / columns + 4 * unit
                text = random_text(rng, int(side / columns / line * rng.uniform(0.6, 1.9) / large) + 1)
                write(image, text, (left, y + line * 0.7 * large), line * 0.62 * large, ink, font, weight)
            y += line * (1.0 if large == 1 else 2.0)
            if ruled and rng.random() < 0.3:
                cv2.line(image, (0, round(y)), (side, round(y)), fill_of(ink), max(1, round(unit)), cv2.LINE_AA)
        return brightened(image.astype(np.float32), 1 + grain * fractal_noise(rng, (side, side), 3 * unit, 2))

    words = ("printed text", "a label", "a printed label", "packaging", "a printed page", "paper with print", "a box")
    return Surface(words, "soft", draw, laid_out=True)


def assembled(rng: np.random.Generator, unit: float) -> Surface:
    """Blocks, caps and pins mounted on a ground, each with its highlight and shadow."""
    ground = tone(rng, (40, 200))
    step, light, filled = log_uniform(rng, 20, 60) * unit, lamp(rng), rng.uniform(0.45, 0.95)
    kinds = [(tone(rng), rng.uniform(0.25, 0.46), rng.uniform(0.15, 0.46), rng.random() < 0.35) for _ in range(4)]
    gloss, lines = rng.uniform(0, 0.6), rng.random() < 0.5
    traces = other_tone(rng, ground, 35)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        image = np.empty((side, side, 3), np.uint8)
        image[:] = ground
        count = math.ceil(side / step) + 1
        if lines:
            for k in range(count * 2):
                at = round(k * step / 2)
                cv2.line(image, (at, 0), (at, side), fill_of(traces), max(1, round(1.5 * unit)))
        raised = np.zeros((side, side), np.uint8)
        for row in range(count):
            for column in range(count):
                if rng.random() > filled:
                    continue
                colour, wide, high, is_round = kinds[int(rng.integers(len(kinds)))]
                centre = (round((column + 0.5) * step), round((row + 0.5) * step))
                half = (max(2, round(wide * step)), max(2, round(high * step)))
                if is_round:
                    cv2.circle(image, centre, half[1], fill_of(colour), cv2.FILLED, cv2.LINE_AA)
                    cv2.circle(raised, centre, half[1], 255, cv2.FILLED, cv2.LINE_AA)
                    continue
                corners = (centre[0] - half[0], centre[1] - half[1]), (centre[0] + half[0], centre[1] + half[1])
                for target, fill in ((image, fill_of(colour)), (raised, (255.0,))):
                    cv2.rectangle(target, *corners, fill, cv2.FILLED)
        body = np.asarray(raised, np.float32) * np.float32(1 / 255)
        shadow = blurred(np.roll(body, (-round(light[1] * 3 * unit), -round(light[0] * 3 * unit)), (0, 1)), 2 * unit)
        gain = lit(blurred(body, 1.2 * unit) * 4 * unit, 0.7, light) * (1 - 0.5 * shadow * (1 - body))
        shine = gloss * np.clip(blurred(body, 4 * unit) - 0.72, 0, 1)
        return brightened(image.astype(np.float32), np.asarray(gain + shine, np.float32))

    words = (
        "assembled parts",
        "an assembly",
        "a control panel",
        "mounted components",
        "a keypad",
        "a mechanical assembly",
    )
    return Surface(words, "hard", draw, laid_out=True)


def tread(rng: np.random.Generator, unit: float) -> Surface:
    """Raised lozenges lying alternately: chequer plate, embossed rubber, sole patterns."""
    period, light, colour = log_uniform(rng, 14, 50) * unit, lamp(rng), tone(rng, (50, 225))
    long, thin, relief = rng.uniform(0.3, 0.46), rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.9)
    grain, worn = rng.uniform(0, 0.08), rng.uniform(0, 0.25)

    def draw(rng: np.random.Generator, side: int) -> FloatImage:
        x, y = grid(side)
        u, v = (x + rng.uniform(0, period)) / period, (y + rng.uniform(0, period)) / period
        upright = (np.floor(u) + np.floor(v)).astype(np.int32) & 1 > 0
        dx, dy = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
        along = np.asarray(np.where(upright, dy, dx) / long, np.float32)
        across = np.asarray(np.where(upright, dx, dy) / thin, np.float32)
        bump = inside(np.asarray((cv2.magnitude(along, across) - 1) * thin * period, np.float32), 1.5)
        gain = lit(blurred(bump, unit) * 3 * unit, relief, light) + worn * bump
        return tinted(np.asarray(gain + grain * fractal_noise(rng, (side, side), 4 * unit, 3), np.float32), colour)

    words = ("chequer plate", "embossed rubber", "a tread plate", "diamond plate", "an embossed surface")
    return Surface(words, "hard", draw)

"""A woven conveyor belt running between two steel rails: a strip two frames long."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.rendering.surfaces import FloatImage, blend, fractal_noise, inside, shade, to_bytes, value_noise
from inspector.simulator.scene import FRAME_HEIGHT_PX, SCENE_SHAPE, Mark, Scene, pixel_grid
from inspector.vision.opencv import cv2

_THREAD_PX = 13.0
_LEFT_PX, _RIGHT_PX = 104, SCENE_SHAPE[1] - 104
_SHAPE = (SCENE_SHAPE[0] + FRAME_HEIGHT_PX, SCENE_SHAPE[1])


def belt_scene(layout_rng: np.random.Generator, rng: np.random.Generator) -> Scene:
    """Render one stretch of belt: ``layout_rng`` fixes what all stretches share, ``rng`` what is this one's own."""
    x, y = pixel_grid(_SHAPE)
    image = _cloth(layout_rng, rng, x, y)
    for stripe_x in (_LEFT_PX + 62, _RIGHT_PX - 62):
        ink = inside(np.abs(x - stripe_x) - 9, 1.5) * np.clip(0.55 + 0.12 * fractal_noise(rng, _SHAPE, 8, 3), 0, 0.85)
        blend(image, ink, image * 0.45 + np.array([20, 105, 118], np.float32))
    on_belt = np.minimum(x - _LEFT_PX, _RIGHT_PX - x)
    image *= np.clip(0.72 + on_belt / 90, 0.72, 1)[..., None]
    blend(image, inside(on_belt), _rails(rng, x))
    surface = (on_belt > 30).astype(np.uint8) * 255
    mark = Mark(Box(960, SCENE_SHAPE[0] - 130, 200, 34), (120, 196, 206), 0.55, "B4")
    return Scene(to_bytes(np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.float32)), surface, mark)


def _cloth(
    layout_rng: np.random.Generator, rng: np.random.Generator, x: NDArray[np.float32], y: NDArray[np.float32]
) -> FloatImage:
    """A 2/2 twill: each thread passes over two and under two, every row one thread further."""
    shape = (x.shape[0], x.shape[1])
    u = (x + 1.6 * value_noise(rng, shape, (260, 200))) / _THREAD_PX
    v = (y + 1.6 * value_noise(rng, shape, (200, 260))) / _THREAD_PX
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    across, along = u - column - 0.5, v - row - 0.5
    warp_on_top = ((column + row) % 4) < 2
    offset = np.where(warp_on_top, across, along)
    # Where the thread dives under its neighbours it sinks; that is the far end of its float of two.
    turn = np.where(warp_on_top, (v + column) % 4, (u + row) % 4)
    dive = np.cos((turn - 1.0) * np.pi / 2.6)
    height = np.sqrt(np.clip(1 - (1.9 * offset) ** 2, 0, 1)) * (0.75 + 0.25 * dive) * _THREAD_PX * 0.42
    lit = 1 + 0.42 * np.clip(shade(height.astype(np.float32)), -1.2, 1.2)
    gap = 0.5 + 0.5 * np.clip(height / (_THREAD_PX * 0.25), 0, 1)
    warp_tone = 1 + 0.055 * layout_rng.standard_normal(1024).astype(np.float32)
    weft_tone = 1 + 0.055 * layout_rng.standard_normal(1024).astype(np.float32)
    tone = np.where(warp_on_top, 104 * warp_tone[column % 1024], 90 * weft_tone[row % 1024])
    fibre_x = value_noise(rng, shape, (22, 1.6))
    fibre_y = value_noise(rng, shape, (1.6, 22))
    fibre = 1 + 0.05 * np.where(warp_on_top, fibre_x, fibre_y)
    wear = 1 + 0.03 * fractal_noise(rng, shape, 240, 3)
    tint = np.where(warp_on_top[..., None], [1.10, 1.0, 0.90], [1.02, 1.0, 0.97])
    return np.asarray((tone * lit * gap * fibre * wear)[..., None] * tint, np.float32)


def _rails(rng: np.random.Generator, x: NDArray[np.float32]) -> FloatImage:
    """Brushed steel on both sides, a dark gap between rail and belt."""
    shape = (x.shape[0], x.shape[1])
    from_edge = np.maximum(_LEFT_PX - x, x - _RIGHT_PX)
    steel = 128 + 5 * value_noise(rng, shape, (90, 1.5)) + 26 * np.sin(np.clip(from_edge, 0, 104) / 104 * np.pi)
    steel = steel + 46 * inside(np.abs(from_edge - 24) - 2, 1.2) - 34 * inside(np.abs(from_edge - 88) - 1.5, 1.2)
    tone = np.where(from_edge > 20, steel, 20.0)
    return np.asarray(tone[..., None] * [1.0, 1.0, 0.99], np.float32)

"""A product as a virtual camera sees it before light, movement and noise: the still picture all frames start from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from inspector.domain.defect import Box
from inspector.rendering.surfaces import ByteImage, FloatImage

FRAME_WIDTH_PX = 1280
FRAME_HEIGHT_PX = 1024
MARGIN_PX = 32  # rendered beyond the frame on every side, so that vibration never shows an empty border
SCENE_SHAPE = (FRAME_HEIGHT_PX + 2 * MARGIN_PX, FRAME_WIDTH_PX + 2 * MARGIN_PX)
MIDDLE = (SCENE_SHAPE[1] / 2, SCENE_SHAPE[0] / 2)  # x, y


@dataclass(frozen=True, slots=True)
class PartFault:
    """A fault of a built-in part: ``pixels`` (uint8 BGR [h, w, 3]) replace the scene at (x, y) when it occurs."""

    defect_type: str
    x: int
    y: int
    pixels: ByteImage = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the part's serial number goes: written into ``box`` in ``ink_bgr`` at ``opacity`` 0..1."""

    box: Box
    ink_bgr: tuple[int, int, int]
    opacity: float
    prefix: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One still picture. ``pixels`` is uint8 BGR [H, W, 3], at least ``SCENE_SHAPE``.

    ``surface`` (uint8 [H, W]) is above 0 where defects of the surface may lie. A scene higher than ``SCENE_SHAPE`` is
    a strip that runs past the camera: each frame shows another stretch of it.
    """

    pixels: ByteImage = field(repr=False)
    surface: ByteImage = field(repr=False)
    mark: Mark
    faults: tuple[PartFault, ...] = ()


def pixel_grid(shape: tuple[int, int], origin: tuple[float, float] = (0, 0)) -> tuple[FloatImage, FloatImage]:
    """Return x and y of every pixel of ``shape`` (H, W) from ``origin`` (x, y), float32 [H, W] each."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (x - origin[0]).astype(np.float32), (y - origin[1]).astype(np.float32)

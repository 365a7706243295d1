"""How a painter and the picture meet: a patch is cut out, painted, and put back where the defect reaches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inspector.rendering.surfaces import ByteImage, FloatImage, to_bytes
from inspector.vision.opencv import cv2

_VISIBLE = 0.08  # coverage below this cannot be told from the surface and is neither painted nor masked


@dataclass(frozen=True, slots=True)
class DefectShape:
    """How large and how strong: ``size_px`` is the longest extent, ``strength`` 0 (faint) to 1 (gross)."""

    size_px: int
    strength: float


Painted = tuple[FloatImage, FloatImage]  # the changed patch [H, W, 3], 0..255, and how far the defect reaches, 0..1
Painter = Callable[[np.random.Generator, FloatImage, DefectShape], Painted]


def paint(
    rng: np.random.Generator,
    image: ByteImage,
    painter: Painter,
    centre: tuple[int, int],
    shape: DefectShape,
    allowed: ByteImage | None = None,
) -> ByteImage:
    """Paint one defect into ``image`` (uint8 BGR [H, W, 3], changed in place) around ``centre`` (x, y).

    Only pixels where ``allowed`` (uint8 [H, W]) is above 0 are touched.

    Returns:
        The mask, uint8 [H, W], 255 where the defect is; empty if nothing of it fell on allowed pixels.
    """
    mask = np.zeros(image.shape[:2], np.uint8)
    half = shape.size_px // 2 + 8
    left, top = max(0, centre[0] - half), max(0, centre[1] - half)
    right, bottom = min(image.shape[1], centre[0] + half), min(image.shape[0], centre[1] + half)
    if right <= left or bottom <= top:
        return mask
    # Painted on a whole patch even at the frame's edge, so that a defect is cut off there instead of squeezed.
    pads = (top - centre[1] + half, centre[1] + half - bottom, left - centre[0] + half, centre[0] + half - right)
    patch = cv2.copyMakeBorder(image[top:bottom, left:right], *pads, cv2.BORDER_REPLICATE)
    changed, reach = painter(rng, np.asarray(patch, np.float32), shape)
    window = (slice(pads[0], changed.shape[0] - pads[1]), slice(pads[2], changed.shape[1] - pads[3]))
    hit = reach[window] > _VISIBLE
    if allowed is not None:
        hit &= allowed[top:bottom, left:right] > 0
    region = image[top:bottom, left:right]
    region[hit] = to_bytes(changed[window])[hit]
    mask[top:bottom, left:right][hit] = 255
    return mask


def middle(patch: FloatImage) -> tuple[float, float]:
    """Return the middle (x, y) of ``patch``, where a defect is painted."""
    return patch.shape[1] / 2, patch.shape[0] / 2


def start_of_line(patch: FloatImage, angle: float, length_px: float) -> tuple[float, float]:
    """Return where (x, y) a line of ``length_px`` at ``angle`` (radians) starts that has its middle in the patch's."""
    x, y = middle(patch)
    return x - math.cos(angle) * length_px / 2, y - math.sin(angle) * length_px / 2

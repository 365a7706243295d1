"""Where the part is, when it lies on a background that the frame's edge shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import ByteImage
from inspector.vision.opencv import cv2

_EDGE = 0.04  # width of the ring that is taken for background, as a share of the shorter side
_FAR = 3.5  # deviations from the background's colours
_PLAUSIBLE_AREA = (0.10, 0.85)  # shares of the frame; less is a detail of the background, more leaves none
_LEAST_SPREAD = 5.0  # of the background, in the units of 8-bit CIELAB
_LIGHTNESS = 0.35  # weight of lightness beside colour: a shadow changes the one, another material mostly both


def find_foreground(image: ByteImage) -> ByteImage | None:
    """Return uint8 [H, W], 255 on the part, of a picture uint8 BGR [H, W, 3]; None where no part lies free.

    The largest area that differs in colour from the ring along the frame's edge and does not reach that edge is the
    part, its own holes included. A part that fills the frame has no such area, and there is nothing to find.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    lab[..., 0] *= _LIGHTNESS
    smooth = np.asarray(cv2.GaussianBlur(lab, (0, 0), max(1.0, min(image.shape[:2]) / 100)), np.float32)
    ring = _ring(image.shape[:2])
    centre = np.median(smooth[ring], axis=0)
    # Robust, so that a shiny rail or a crumb on one side does not widen the background to include the part.
    spread = np.maximum(1.4826 * np.median(np.abs(smooth[ring] - centre), axis=0), _LEAST_SPREAD)
    far = np.linalg.norm((smooth - centre) / spread, axis=2) > _FAR
    part = _largest_free(far.astype(np.uint8), max(2, min(image.shape[:2]) // 80))
    covered = cv2.countNonZero(part) / part.size
    return part if _PLAUSIBLE_AREA[0] <= covered <= _PLAUSIBLE_AREA[1] else None


def _ring(size: tuple[int, ...]) -> NDArray[np.bool_]:
    width = max(1, round(min(size) * _EDGE))
    ring = np.ones(size, np.bool_)
    ring[width:-width, width:-width] = False
    return ring


def _largest_free(far: NDArray[np.uint8], radius: int) -> ByteImage:
    """Keep the largest piece that does not reach the frame's edge, its outline smoothed and its holes filled."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(far, cv2.MORPH_OPEN, kernel)
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(far)
    free = [outline for outline in outlines if _inside_frame(cv2.boundingRect(outline), far.shape)]
    if free:
        cv2.drawContours(filled, [max(free, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return filled


def _inside_frame(box: Sequence[int], size: tuple[int, ...]) -> bool:
    x, y, width, height = box
    return x > 0 and y > 0 and x + width < size[1] and y + height < size[0]

"""A closer look at one region of a frame: cut out with what lies around it, and enlarged until its shape can be seen.

A defect of ten pixels is less than a patch of the whole frame. What kind it is shows in its outline and in what it
touches, so it is asked of a picture in which it fills a good part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inspector.pipeline.engine_ports import DecodedFrame
from inspector.vision.decode import decode_square
from inspector.vision.frame_pixels import FINE_PX, FramePixels
from inspector.vision.opencv import cv2

Pixels = NDArray[np.uint8]
Inside = NDArray[np.uint8]

SPREAD = 2.0
"""Side of what is cut out, in units of the region's longer side."""
LEAST_SHARE = 3 / 16
"""Of the frame's side: less is not cut out, however small the region, as what a defect lies in tells as much."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a frame, in its pixels."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, slots=True)
class CloserLook:
    """``pixels`` uint8 [S, S, 3]; ``share`` float32 [S / patch, S / patch], how much of each patch is of the region."""

    pixels: Pixels = field(repr=False)
    share: NDArray[np.float32] = field(repr=False)


def pixels_to_look_at(frame: DecodedFrame) -> Pixels:
    """Return a frame's pixels as closer looks take them, uint8 [S, S, 3] RGB, squeezed to a square of ``FINE_PX`` most.

    Decoded again where the engine keeps the smaller square alone, as few frames have anything to look at.

    Raises:
        FrameRejectedError: UNDECODABLE.
        MemoryError: as ``decode``.
    """
    kept: FramePixels = frame.pixels
    if kept.fine is not None:
        return kept.fine
    side = min(FINE_PX, max(frame.width_px, frame.height_px))
    if side <= kept.side_px:
        return kept.square
    return decode_square(frame.frame.image, side)


def window_around(inside: Inside, spread: float = SPREAD, least_share: float = LEAST_SHARE) -> Window:
    """Return the square to cut out for a region, moved to where the frame has it.

    Args:
        inside: uint8 [S, S], above 0 in the region, which is not empty.
        spread: side in units of the region's longer side.
        least_share: the least side that is cut out, in units of the frame's.
    """
    x, y, width, height = cv2.boundingRect(inside)
    frame_side = len(inside)
    side = min(frame_side, max(round(least_share * frame_side), round(spread * max(width, height))))
    left, top = (round(middle - side / 2) for middle in (x + width / 2, y + height / 2))
    return Window(min(max(left, 0), frame_side - side), min(max(top, 0), frame_side - side), side)


def look_closer(pixels: Pixels, inside: Inside, window: Window, side_px: int, patch_px: int) -> CloserLook:
    """Cut out a window and bring it to ``side_px``, a multiple of ``patch_px``.

    Args:
        pixels: uint8 [S, S, 3], squeezed to a square as the engine decodes frames.
        inside: uint8 [S, S], above 0 in the region.
        window: as ``window_around`` returns it.
        side_px: of what is returned.
        patch_px: side of the patches that shares are of.
    """
    rows, columns = (slice(start, start + window.side) for start in (window.top, window.left))
    grid = side_px // patch_px
    enlarged = cv2.resize(pixels[rows, columns], (side_px, side_px), interpolation=_interpolation(window.side, side_px))
    covered = (inside[rows, columns] > 0).astype(np.float32)
    share = cv2.resize(covered, (grid, grid), interpolation=_interpolation(window.side, grid))
    return CloserLook(np.asarray(enlarged, np.uint8), np.asarray(share, np.float32).clip(0, 1))


def _interpolation(from_px: int, to_px: int) -> int:
    return cv2.INTER_CUBIC if from_px < to_px else cv2.INTER_AREA

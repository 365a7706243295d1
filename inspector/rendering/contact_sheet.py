"""A sheet of synthetic defects on a folder's good parts, to see what a model would be taught."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inspector.rendering.foreground import find_foreground
from inspector.rendering.surfaces import ByteImage
from inspector.rendering.synthetic import UNKNOWN_TYPE, add_defects
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.image_file import load_image
from inspector.vision.opencv import cv2


def contact_sheet(
    files: Sequence[Path], types: Sequence[str], seed: int = 0, columns: int = 4, rows: int = 4, tile_px: int = 256
) -> ByteImage:
    """Return a BGR picture of ``rows`` x ``columns`` pairs: a painted part, and the same with its mask outlined.

    Raises:
        OSError, ValueError, FrameRejectedError: as ``load_image`` and ``decode`` do for a file that is no image.
    """
    pairs = [_pair(files[i % len(files)], types, (seed, i), tile_px) for i in range(rows * columns)]
    return np.vstack([np.hstack(pairs[r * columns : (r + 1) * columns]) for r in range(rows)])


def _pair(file: Path, types: Sequence[str], seed: tuple[int, int], tile_px: int) -> ByteImage:
    decoded = decode(*load_image(file), DecodeLimits(), tile_px).pixels
    good: ByteImage = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_RGB2BGR), np.uint8)
    painted, type_mask = add_defects(np.random.default_rng(seed), good, types, find_foreground(good))
    outlined = painted.copy()
    captions = []
    for label in (int(value) for value in np.unique(type_mask) if value):
        # The outline stands off a little, so that it does not hide what it points at.
        around = cv2.dilate((type_mask == label).astype(np.uint8), np.ones((5, 5), np.uint8))
        outlines, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hue = 0.0 if label == UNKNOWN_TYPE else label / (len(types) + 1)
        colour = tuple(255 * channel for channel in colorsys.hsv_to_rgb(hue, 1, 1))
        cv2.drawContours(outlined, outlines, -1, colour, 1)
        captions.append("(no type)" if label == UNKNOWN_TYPE else types[label - 1])
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(outlined, ", ".join(captions), (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness)
    return np.hstack([painted, outlined])

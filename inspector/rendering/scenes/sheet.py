"""A sheet of training pairs, to see what a model would be taught."""

from __future__ import annotations

import numpy as np

from inspector.rendering.scenes.pair import Pair, render_pair
from inspector.rendering.scenes.photographs import Photographs
from inspector.rendering.surfaces import ByteImage
from inspector.vision.opencv import cv2

_CAPTION_PX = 14


def sheet(
    photographs: Photographs | None, seed: int = 0, columns: int = 4, rows: int = 8, size_px: int = 192
) -> ByteImage:
    """Return a BGR picture of ``rows`` x ``columns`` pairs: the first view, its defects outlined, the second view."""
    tiles = [_tile(render_pair((seed, i), size_px, photographs)) for i in range(rows * columns)]
    return np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])


def _tile(pair: Pair) -> ByteImage:
    outlined = pair.first.copy()
    # The outline stands off a little, so that it does not hide what it points at.
    around = cv2.dilate((pair.type_mask > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, outlines, -1, (0, 0, 255), 1)
    views = np.hstack([pair.first, outlined, pair.second])
    strip = np.full((_CAPTION_PX, views.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, pair.caption, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([views, strip])

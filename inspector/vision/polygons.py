"""Where on the map a product is looked at: regions of interest minus ignore zones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inspector.domain.product import Polygon
from inspector.vision.opencv import cv2

# cv2.fillPoly takes vertices as fixed-point numbers; 4 fractional bits place them to 1/16 of a map pixel.
_SHIFT = 4


@lru_cache(maxsize=256)
def inspected_area(
    region_of_interest: tuple[Polygon, ...], ignore: tuple[Polygon, ...], size_px: int
) -> NDArray[np.bool_]:
    """Return bool [size_px, size_px]: what is inspected. Polygons are in fractions of the frame (x, y in 0..1).

    Without a region of interest all of the frame is. A map pixel that an ignore zone touches is ignored. The array
    is shared between calls and read-only.
    """
    area = _fill(region_of_interest, size_px) if region_of_interest else np.ones((size_px, size_px), np.bool_)
    area &= ~_fill(ignore, size_px)
    area.flags.writeable = False
    return area


def _fill(polygons: Sequence[Polygon], size_px: int) -> NDArray[np.bool_]:
    canvas = np.zeros((size_px, size_px), np.uint8)
    for polygon in polygons:
        # Pixel i covers i..i+1 and cv2 speaks of its centre, hence the half.
        vertices = np.rint((np.asarray(polygon) * size_px - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [vertices], color=1, shift=_SHIFT)
    return canvas.astype(np.bool_)

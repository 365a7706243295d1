"""A frame as a picture, whatever is on it: sharp, hazy, dark, overexposed."""

from __future__ import annotations

import numpy as np

from inspector.domain.drift import FrameQuality
from inspector.vision.decode import DecodeLimits, check, decode_view
from inspector.vision.opencv import cv2

_LONGEST_PX = 512
_CELLS = 16
_DARK, _BRIGHT = 2, 253  # grey levels of 255 at and beyond which a pixel holds no detail
_VEIL_PERCENT = 1
# Keeps a plain frame, whose noise is all it shows, from being divided by next to nothing: two grey levels, squared.
_LEAST_VARIANCE = (2 / 255) ** 2


def frame_quality(image: bytes, limits: DecodeLimits) -> FrameQuality:
    """Measure an encoded frame (untrusted), at one size for all frames of a camera.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000, ICPR).

    Raises:
        FrameRejectedError: it is no acceptable image.
    """
    header = check(image, "", limits)
    scale = min(1.0, _LONGEST_PX / max(header.width_px, header.height_px))
    size = (max(1, round(header.width_px * scale)), max(1, round(header.height_px * scale)))
    levels = cv2.cvtColor(decode_view(image, size), cv2.COLOR_RGB2GRAY)
    grey = levels.astype(np.float32) / 255
    variance = float(grey.var())
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    cells = cv2.resize(grey, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return FrameQuality(
        sharpness=sharpness,
        focus=sharpness / max(variance, _LEAST_VARIANCE),
        contrast=variance**0.5,
        veil=float(np.percentile(grey, _VEIL_PERCENT)),
        brightness=float(grey.mean()),
        clipped_dark=float((levels <= _DARK).mean()),
        clipped_bright=float((levels >= _BRIGHT).mean()),
        cells=tuple(round(float(value), 4) for value in cells.ravel()),
    )

"""What of a change can be seen: a defect that nobody could see must not be taught as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

JUST_NOTICEABLE = 2.3
"""Colour difference in CIELAB (Delta E 1976) that half of the observers notice (Mahy et al., 1994)."""


def colour_difference(before: ByteImage, after: ByteImage) -> FloatImage:
    """Return Delta E 1976 of each pixel, float32 [H, W], of two pictures uint8 BGR [H, W, 3]."""
    return np.asarray(np.linalg.norm(_lab(after) - _lab(before), axis=2), np.float32)


def texture_contrast(image: ByteImage, within: NDArray[np.bool_]) -> float:
    """Return how much the lightness of ``image`` (uint8 BGR) varies over a few pixels ``within``, in Delta E.

    A change in each pixel by less than that drowns in the texture.
    """
    lightness = _lab(image)[..., 0]
    fine = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 3.0))
    return float(np.median(fine[within])) if within.any() else 0.0


def _lab(image: ByteImage) -> FloatImage:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2LAB), np.float32)

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
    return lab_difference(lab_of(before), lab_of(after))


def lab_difference(before: FloatImage, after: FloatImage) -> FloatImage:
    """Return ``colour_difference`` of pictures that are in CIELAB already."""
    step = after - before
    return np.asarray(np.sqrt(np.einsum("ijk,ijk->ij", step, step)), np.float32)


def texture_contrast(lightness: FloatImage, within: NDArray[np.bool_]) -> float:
    """Return how much ``lightness`` (L of CIELAB, [H, W]) varies over a few pixels ``within``, in Delta E.

    A change in each pixel by less than that drowns in the texture.
    """
    fine = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 3.0))
    return float(np.median(fine[within])) if within.any() else 0.0


def lab_of(image: ByteImage) -> FloatImage:
    """Return a picture uint8 BGR [H, W, 3] in CIELAB, float32, L 0..100."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2LAB), np.float32)

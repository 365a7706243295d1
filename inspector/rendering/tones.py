"""What pictures of two tones (print, artwork, a part before its background) would look like in one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import FloatImage
from inspector.vision.line_artwork import Tones
from inspector.vision.opencv import cv2


def spread(patch: FloatImage, where: NDArray[np.bool_], sigma_px: float) -> FloatImage:
    """Return ``patch`` as its pixels ``where`` would continue over the rest, [H, W, 3].

    Normalised convolution (Knutsson and Westin, CVPR 1993), over a wide Gaussian where the narrow one reaches none.
    """
    weight = where.astype(np.float32)
    far = _mean_colour(patch, where)
    known = cv2.GaussianBlur(patch * weight[..., None], (0, 0), sigma_px)
    amount = cv2.GaussianBlur(weight, (0, 0), sigma_px)[..., None]
    # A little of the overall mean keeps the quotient finite where nothing known is near.
    return np.asarray((known + 1e-3 * far) / (amount + 1e-3), np.float32)


def retoned(patch: FloatImage, tones: Tones, light: bool, grain_limit: float = 14.0) -> FloatImage:
    """Return ``patch`` [H, W, 3] as if all of it had the light tone, or the dark one, its grain kept."""
    sigma_px = max(3.0, min(patch.shape[:2]) / 6)
    core = cv2.erode(tones.light.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rest = cv2.erode((~tones.light).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # Thin lines have no pixel that is free of their edges; they must do.
    lights = spread(patch, core if core.any() else tones.light, sigma_px)
    darks = spread(patch, rest if rest.any() else ~tones.light, sigma_px)
    own = np.where(tones.light[..., None], lights, darks)
    grain = np.clip(patch - own, -grain_limit, grain_limit)
    # Along the tones' edges the difference is the edge itself and no grain.
    edge = cv2.morphologyEx(tones.light.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    grain[edge] = 0
    return np.asarray((lights if light else darks) + grain, np.float32)


def _mean_colour(patch: FloatImage, where: NDArray[np.bool_]) -> FloatImage:
    return np.asarray(cv2.mean(patch, where.astype(np.uint8))[:3], np.float32)

"""Two-tone pictures: print, artwork, a part before its background; which pixels have which tone, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

_LEAST_SHARE = 0.015  # of the picture; less is a speck, not a tone


@dataclass(frozen=True, slots=True)
class Tones:
    """``light`` is bool [H, W]. ``separation`` (0..1) is the share of the variance that the two tones explain (Otsu,
    1979); ``contrast`` is the difference of their means in grey levels.
    """

    light: NDArray[np.bool_]
    separation: float
    contrast: float


def split_tones(image: FloatImage | ByteImage) -> Tones | None:
    """Split a picture BGR [H, W, 3] of 0..255 in two by Otsu's threshold; None where one tone is hardly there."""
    grey = grey_of(image)
    _, light = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    share = cv2.countNonZero(light) / light.size
    if not _LEAST_SHARE < share < 1 - _LEAST_SHARE:
        return None
    means = cv2.mean(grey, light)[0], cv2.mean(grey, 1 - light)[0]
    contrast = means[0] - means[1]
    total = float(cv2.meanStdDev(grey)[1][0, 0]) ** 2
    return Tones(light > 0, share * (1 - share) * contrast**2 / max(total, 1e-6), contrast)


def grey_of(image: FloatImage | ByteImage) -> ByteImage:
    """Return the lightness of a BGR picture of 0..255 as uint8 [H, W]."""
    return np.asarray(cv2.cvtColor(np.clip(image, 0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY), np.uint8)


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

"""The pictures of an example: the photograph with the truth on it, and with what was found."""

from __future__ import annotations

import base64
import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

from inspector.vision.opencv import cv2

_AREA_PX = 54_000  # about 230 x 230: dozens of them are to fit into a page of a few MB
_LONGEST_PX = 480
_JPEG_QUALITY = 75
# Truth and finding are told apart by more than colour: the truth is a filled tint, the finding an outline over heat.
_TRUTH, _FOUND, _DARK = (0, 190, 255), (255, 64, 64), (18, 20, 24)
_HEAT = 0.55

Pixels = NDArray[np.uint8]


def truth_picture(pixels: Pixels, mask: Pixels | None) -> str:
    """Return the photograph (uint8 [h, w, 3] RGB) with the truth (uint8 [h', w'], 0/1) outlined, as base64 JPEG.

    ``mask`` is best as large as the photograph was taken: a pit of a few pixels is then still marked by a dot.
    """
    canvas = _shrunk(pixels)
    if mask is not None:
        _outline(canvas, mask, _TRUTH)
    return _jpeg(canvas)


def found_picture(pixels: Pixels, scores: NDArray[np.float32], low: float, high: float, threshold: float | None) -> str:
    """Return the photograph under its score map, as base64 JPEG.

    ``low`` to ``high`` is the range of the colours, the SAME for all images of a unit: stretched to each image's own
    range, a good part would look as hot as a bad one. What lies above ``threshold`` is outlined.
    """
    canvas = _shrunk(pixels)
    grown = cv2.resize(scores.astype(np.float32), _size(canvas), interpolation=cv2.INTER_LINEAR)
    share = np.clip((grown - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    heat = cv2.cvtColor(cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    # Cold places stay the photograph: only what scores high is painted over.
    weight = (_HEAT * share)[..., None]
    blended = (canvas * (1 - weight) + heat * weight).astype(np.uint8)
    if threshold is not None:
        _outline(blended, (grown >= threshold).astype(np.uint8), _FOUND)
    return _jpeg(blended)


def _shrunk(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(math.sqrt(_AREA_PX / (width * height)), _LONGEST_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cast(Pixels, cv2.resize(pixels, size, interpolation=interpolation)))


def _size(canvas: Pixels) -> tuple[int, int]:
    return canvas.shape[1], canvas.shape[0]


def _outline(canvas: Pixels, mask: Pixels, colour: tuple[int, int, int]) -> None:
    scale = np.array(_size(canvas)) / mask.shape[::-1]
    found, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    lines = [np.rint((line + 0.5) * scale - 0.5).astype(np.int32) for line in found]
    cv2.polylines(canvas, lines, True, _DARK, 4, cv2.LINE_AA)
    cv2.polylines(canvas, lines, True, colour, 2, cv2.LINE_AA)


def _jpeg(pixels: Pixels) -> str:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of {pixels.shape}")
    return base64.b64encode(data.tobytes()).decode("ascii")

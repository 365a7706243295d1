"""What a frame looks like from far away: enough to tell a part that stands still from the next one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.vision.opencv import cv2

_SIDE = 32
# Keeps nearly black frames, whose noise is all they show, from being divided by next to nothing; in grey levels of 255.
_DARKEST = 16.0
# Root mean square difference of two looks. Measured: at most .003 between pictures of one scene with a sensor's noise,
# 1 % of flicker and JPEG; .0075 and more between any two of 130 photographs of ball screws and cookies, .0127 and more
# between consecutive parts of the virtual line's plate, the steadiest of its products.
_STILL_BELOW = 0.005

Look = NDArray[np.float32]


def frame_look(pixels: NDArray[np.uint8]) -> Look:
    """Return a frame (uint8 [S, S, 3]) as float32 [32, 32]: brightness in units of its mean, whatever the light."""
    grey = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2)
    look: Look = (grey - grey.mean()) / (grey.mean() + _DARKEST)
    return look


def same_look(one: Look | None, other: Look | None) -> bool:
    """Tell whether two frames show the same part in the same place; False where either look is not known."""
    return one is not None and other is not None and float(np.square(one - other).mean()) < _STILL_BELOW**2

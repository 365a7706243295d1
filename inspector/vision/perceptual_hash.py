"""pHash: 64 bits that are nearly the same for pictures that look nearly the same.

Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2: the lowest
8 x 8 frequencies of the cosine transform of the picture in 32 x 32 grey levels, each above or below their median. What
is small in the picture is not in it: a frame with a scratch and the same frame without have the same hash.
"""

from __future__ import annotations

import numpy as np

from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.opencv import cv2

_SIDE_PX = 32
_FREQUENCIES = 8


def perceptual_hash(image: bytes, content_type: str, limits: DecodeLimits) -> str:
    """Return the pHash of an encoded frame as 16 hexadecimal digits.

    Raises:
        FrameRejectedError: as ``decode``: the bytes come from a store that others may write into.
        MemoryError: as ``decode``.
    """
    pixels = decode(image, content_type, limits, _SIDE_PX).pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lowest = cv2.dct(grey)[:_FREQUENCIES, :_FREQUENCIES].ravel()
    bits = lowest > np.median(lowest[1:])  # the first is the mean brightness, far above every other
    return np.packbits(bits).tobytes().hex()

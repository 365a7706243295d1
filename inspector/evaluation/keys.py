"""Float scores as unsigned integers that sort the same way.

The bits of an IEEE 754 float order like a sign-magnitude integer. With the sign bit flipped for positive numbers, and
all bits flipped for negative ones, they order like an unsigned integer. Integers can be packed beside other integers
and sorted with them, and cut short: the top bits of a key are a bin of relative width, whatever the range of scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(0x8000_0000)
_ALL = np.uint32(0xFFFF_FFFF)


def keys_of(scores: NDArray[Any]) -> NDArray[np.uint32]:
    """Return keys [N] of finite scores float [N] (compared as float32); equal scores, also 0 and -0, share a key.

    Raises:
        ValueError: the scores are no floats, or some are NaN or infinite (as float32).
    """
    if scores.dtype.kind != "f":
        raise ValueError(f"expected scores as floats, got {scores.dtype}")
    # A float64 beyond float32's range becomes infinite here, and is refused below.
    with np.errstate(over="ignore"):
        narrow = scores.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    narrow += np.float32(0)  # -0 becomes 0
    bits: NDArray[np.uint32] = narrow.view(np.uint32)
    # The sign bit spread over all bits (arithmetic shift), so that no branch is needed.
    flip = (bits.view(np.int32) >> 31).view(np.uint32) | _SIGN
    return bits ^ flip


def scores_of(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return the scores float32 [N] whose keys these are."""
    negative = keys < _SIGN
    bits: NDArray[np.uint32] = keys ^ np.where(negative, _ALL, _SIGN)
    return bits.view(np.float32)


def keys_below(thresholds: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return key t for each threshold such that ``score > threshold`` exactly where ``key(score) > t``.

    Thresholds lie between float32 scores, so t is the key of the largest float32 that is not above the threshold.
    """
    narrow = thresholds.astype(np.float32)
    above = narrow.astype(np.float64) > thresholds
    return keys_of(np.where(above, np.nextafter(narrow, np.float32(-np.inf)), narrow))

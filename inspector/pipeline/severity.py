"""How grave one defect is, as a number of 1..1000 (667 and above: act now)."""

from __future__ import annotations

import math

ACT_NOW = 667  # from here on an operator acts at once (ISA-18.2)
# Areas (fractions of the frame) between which size counts: a speck of 10 x 10 px on 1 Mpx, and a tenth of the frame.
_SMALL, _LARGE = 1e-4, 1e-1


def severity(type_weight: float, area_fraction: float, score: float) -> int:
    """Return the severity of one region, 1..1000.

    ``1000 * type_weight * score * (1 + 3 * size) / 4``, rounded and clipped, where ``size`` rises from 0 to 1 with
    the logarithm of the area between 0.01 % and 10 % of the frame. So an ordinary type (weight 1), fully sure
    (score 1), is at most 250 as a speck, 625 at 0.3 % of the frame and 1000 from a tenth of it; a type of weight 3
    makes even a sure speck an "act now". ``type_weight`` >= 0, ``area_fraction`` and ``score`` in 0..1.
    """
    decades = math.log10(max(area_fraction, _SMALL) / _SMALL) / math.log10(_LARGE / _SMALL)
    size = min(1.0, decades)
    return min(1000, max(1, round(1000 * type_weight * score * (1 + 3 * size) / 4)))

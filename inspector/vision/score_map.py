"""Calibrated score maps: those of one frame, and how they are applied to arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.domain.artefact import ScoreMap


@dataclass(frozen=True, slots=True)
class ScoreMaps:
    """What calibrates a frame's image score, and what its map.

    ``finer``: of mutual scores in which fine texture has a share, which are of another scale.
    """

    image: ScoreMap
    pixel: ScoreMap
    finer: bool = False


def apply_score_map(score_map: ScoreMap, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``1 / (1 + exp(-(raw - midpoint) / scale))``, float32 in 0..1, of ``raw`` of any shape."""
    # Written with tanh, which cannot overflow.
    mapped: NDArray[np.float32] = 0.5 * (1 + np.tanh((raw - score_map.midpoint) / (2 * score_map.scale)))
    return mapped.astype(np.float32)

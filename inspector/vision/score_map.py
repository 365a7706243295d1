"""A calibrated score map applied to arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inspector.domain.artefact import ScoreMap


def apply_score_map(score_map: ScoreMap, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``1 / (1 + exp(-(raw - midpoint) / scale))``, float32 in 0..1, of ``raw`` of any shape."""
    # Written with tanh, which cannot overflow.
    mapped: NDArray[np.float32] = 0.5 * (1 + np.tanh((raw - score_map.midpoint) / (2 * score_map.scale)))
    return mapped.astype(np.float32)

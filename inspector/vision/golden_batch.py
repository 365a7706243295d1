"""The golden batch: pictures that weights are tried on before they judge a frame.

Every number in a file of weights can be finite and what comes out of the towers still be none: sums overflow, and a
score that is no number reaches no threshold, so that no defect would ever be told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import BadInputError
from inspector.vision.judge import RawScores


def golden_batch(side_px: int) -> list[NDArray[np.uint8]]:
    """Return the pictures, uint8 [S, S, 3] RGB, the same for the same side: grey, a ramp, a check, and noise."""
    y, x = np.mgrid[0:side_px, 0:side_px]
    planes = (
        np.full((side_px, side_px), 128),
        x * 255 // max(1, side_px - 1),
        ((x // 8 + y // 8) % 2) * 255,
        np.random.default_rng(0).integers(0, 256, (side_px, side_px)),
    )
    return [np.repeat(plane.astype(np.uint8)[..., None], 3, axis=2) for plane in planes]


def check_scores(scores: Sequence[RawScores], weights_version: str) -> None:
    """Refuse weights by the zero-shot scores that they give the golden batch.

    Raises:
        BadInputError: a score, a map or a probability is not a number from 0 to 1.
    """
    for number, raw in enumerate(scores):
        values = {"image score": np.array(raw.image_score), "map": raw.anomaly_map, "type": raw.type_grid}
        for name, found in values.items():
            if not (np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1 + 1e-4):
                raise BadInputError(
                    "weights that score the golden batch with numbers from 0 to 1",
                    f"{name} {found.min():g} to {found.max():g} of picture {number} from {weights_version[:12]}",
                    "use other weights; these would judge no frame soundly",
                )

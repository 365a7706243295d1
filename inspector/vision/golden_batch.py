"""The golden batch: pictures that weights are tried on before they judge a frame.

Every number in a file of weights can be finite and what comes out of the towers still be none: sums overflow, and a
score that is no number reaches no threshold, so that no defect would ever be told. And it can be a number, and another
one than where the weights were tuned and judged: another library, another frozen model, a bug of one machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from inspector.dapo.scorer import BatchScores, anomaly_grid
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.release import GoldenScores
from inspector.vision.judge import RawScores
from inspector.vision.normal_map import logit_of

TOLERANCE = 0.3
"""How far golden scores may lie apart, in logits: as a score of 0.5 and one of 0.57 do.

Measured with the bundled model on a CPU, against torch at fp32: ONNX Runtime 0.00, bf16 0.04, int8 0.06; an adapter
lost 0.8 to 12, visual tokens lost 1.4, text tokens lost 0.7, every weight off by three tenths of its spread 0.4.
"""

_PLACES = 4


def golden_batch(side_px: int) -> list[NDArray[np.uint8]]:
    """Return the pictures, uint8 [S, S, 3] RGB, the same for the same side: grey, a ramp, a check, noise, colours."""
    y, x = np.mgrid[0:side_px, 0:side_px]
    planes = (
        np.full((side_px, side_px), 128),
        x * 255 // max(1, side_px - 1),
        ((x // 8 + y // 8) % 2) * 255,
        np.random.default_rng(0).integers(0, 256, (side_px, side_px)),
    )
    colours = np.stack([planes[1], y * 255 // max(1, side_px - 1), np.full_like(x, 40)], axis=2)
    return [*(np.repeat(plane.astype(np.uint8)[..., None], 3, axis=2) for plane in planes), colours.astype(np.uint8)]


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


def golden_scores(scores: BatchScores, vocabulary: Vocabulary) -> GoldenScores:
    """Return what golden pictures scored: of each the image, ``_PLACES`` x ``_PLACES`` places of it, and each type.

    As logits, in which a score near 0 tells as much as one near 0.5. They hang on the weights, the model and the words,
    and on no setting of how scores are made into verdicts.
    """
    images = logit_of(scores.image_scores)[:, None]
    places = logit_of(adaptive_avg_pool2d(anomaly_grid(scores.type_grid)[:, None], _PLACES)).flatten(1)
    types = logit_of(scores.type_grid[:, 1:].mean((2, 3)))
    found = np.concatenate([each.cpu().numpy() for each in (images, places, types)], axis=1)
    return GoldenScores(vocabulary, tuple(round(float(value), 4) for value in found.ravel()))


def check_as_expected(found: GoldenScores, expected: GoldenScores, weights_version: str) -> None:
    """Refuse weights that score the golden batch otherwise here than where they were published.

    Raises:
        BadInputError: a score is further off than ``TOLERANCE``.
    """
    if len(found.logits) != len(expected.logits):
        apart = np.inf
    else:
        apart = float(np.abs(np.subtract(found.logits, expected.logits)).max(initial=0.0))
    if not apart <= TOLERANCE:
        raise BadInputError(
            f"the scores of the golden batch that weights {weights_version[:12]} gave where they were published, "
            f"within {TOLERANCE:g} logits",
            f"scores that are {apart:.3g} off",
            "compare model and libraries of both machines, then publish again from the sound one",
        )

"""Which test images are shown, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspector.datasets.reading import image_bytes, read_mask
from inspector.datasets.sample import Sample
from inspector.evaluation.report.pictures import found_picture, truth_picture
from inspector.evaluation.unit_result import Example, ScoredImage
from inspector.vision.decode import decode_view
from inspector.vision.opencv import cv2

# A map is kept until it is known which images are shown; a finer one would only show its own interpolation.
_MAP_SIDE_PX = 96
_PICTURE_PX = 600


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored image of (width, height) ``size_px`` with its map, reduced: float32 [96, 96]."""

    sample: Sample
    scored: ScoredImage
    size_px: tuple[int, int]
    reduced: NDArray[np.float32] = field(repr=False)


def candidate(
    sample: Sample, scored: ScoredImage, size_px: tuple[int, int], anomaly_map: NDArray[np.float32]
) -> Candidate:
    """Keep what is needed to show this image later."""
    small = cv2.resize(anomaly_map, (_MAP_SIDE_PX, _MAP_SIDE_PX), interpolation=cv2.INTER_AREA)
    return Candidate(sample, scored, size_px, np.asarray(small, np.float32))


def draw_examples(candidates: Sequence[Candidate], count: int, pixel_threshold: float | None) -> tuple[Example, ...]:
    """Draw ``count`` examples of each group, twice as many of the worst, which are of two kinds.

    All under one range of colours: that of all candidates' scores.
    """
    if not candidates or not count:
        return ()
    # Not the very highest: one hot pixel would leave all others cold.
    low, high = np.quantile(np.stack([c.reduced for c in candidates]), (0.5, 0.999))
    return tuple(
        _draw(group, one, float(low), float(high), pixel_threshold)
        for group, chosen in _choose(candidates, count)
        for one in chosen
    )


def _choose(
    candidates: Sequence[Candidate], count: int
) -> list[tuple[Literal["best", "median", "worst"], Sequence[Candidate]]]:
    """Return the defective images that score highest and in the middle, and the worst of both kinds.

    Worst are the defective ones that score lowest and the good ones that score highest, in turn. No image comes twice.
    """
    ranked = sorted(candidates, key=lambda c: c.scored.raw_score, reverse=True)
    defective = [c for c in ranked if c.scored.anomalous]
    good = [c for c in ranked if not c.scored.anomalous]
    best, rest = defective[:count], defective[count:]
    turns = [kind[i] for i in range(2 * count) for kind in (rest[::-1], good) if i < len(kind)]
    worst = turns[: 2 * count]
    taken = {id(c) for c in worst}
    rest = [c for c in rest if id(c) not in taken]
    start = max(0, (len(rest) - count) // 2)
    return [("best", best), ("median", rest[start : start + count]), ("worst", worst)]


def _draw(
    group: Literal["best", "median", "worst"], one: Candidate, low: float, high: float, threshold: float | None
) -> Example:
    shrink = min(1.0, _PICTURE_PX / max(one.size_px))
    width, height = (max(1, round(side * shrink)) for side in one.size_px)
    pixels = decode_view(image_bytes(one.sample)[0], (width, height))
    mask = read_mask(one.sample, one.size_px) if one.sample.has_pixel_truth else None
    return Example(
        group,
        one.scored.file,
        one.scored.types,
        one.scored.raw_score,
        one.scored.predicted_type,
        one.size_px[0] / one.size_px[1],
        truth_picture(pixels, mask),
        found_picture(pixels, one.reduced, low, high, threshold),
    )

"""Confusion of types, counted by drawn defect region, with good images beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.metrics import Metric
from inspector.evaluation.regions import Regions, regions_of
from inspector.evaluation.type_metrics import UNKNOWN_TYPE

COUNTED = "drawn defect regions; row 0: good images"


NameRegions = Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.float32]]
"""Regions of an image, uint8 [H, W] each and above 0 inside -> how likely each type is in each, float32 [K, R]."""
_AT_ONCE = 16  # regions that are named together


@dataclass(frozen=True, slots=True)
class _Case:
    truth: int  # 0 for a good image, else the type from 1
    score: float
    chosen: int


class ConfusionMeter:
    """Counts [true, predicted], 0 being normal and k the k-th type.

    Row k counts the regions that are drawn as type k: where a region's mean score reaches the threshold, with the type
    that it is named, or whose mean score over it is highest; in column 0 otherwise. Row 0 counts good images: in column
    0 where no pixel reaches the threshold, else with the type of the highest pixel.
    """

    def __init__(self, types: int) -> None:
        self._types = types
        self._cases: list[_Case] = []

    def add(
        self,
        anomaly_map: NDArray[np.float32],
        type_scores: NDArray[np.float32],
        type_mask: NDArray[np.uint8],
        anomalous: bool,
        name_regions: NameRegions | None = None,
    ) -> None:
        """Add one image: map [H, W], ``type_scores`` [K, H, W], ``type_mask`` [H, W] as in ``TypeMeter.add``.

        ``name_regions``: says of regions, uint8 [H, W] each, how likely each type is in them, float32 [K, R], in place
        of the means of ``type_scores``.

        A defective image whose mask is empty, as of a defect too small for the map, has no region and is no good image.
        """
        if not anomalous:
            peak = int(anomaly_map.argmax())
            chosen = 1 + int(type_scores.reshape(self._types, -1)[:, peak].argmax())
            self._cases.append(_Case(0, float(anomaly_map.flat[peak]), chosen))
            return
        for truth in np.unique(type_mask[(type_mask != 0) & (type_mask != UNKNOWN_TYPE)]):
            drawn = type_mask == truth
            regions = regions_of(drawn)
            score = np.bincount(regions.index, anomaly_map[drawn]) / regions.areas
            if name_regions is None:
                by_type = np.stack([np.bincount(regions.index, layer[drawn]) / regions.areas for layer in type_scores])
            else:
                by_type = np.concatenate([name_regions(some) for some in _insides(drawn, regions)], axis=1)
            chosen_types = 1 + by_type.argmax(axis=0)
            self._cases += [_Case(int(truth), float(s), int(c)) for s, c in zip(score, chosen_types, strict=True)]

    def result(self, threshold: float | None) -> NDArray[np.int64] | None:
        """Return counts [1 + K, 1 + K] at a threshold of the map; None where there is none."""
        if threshold is None or not self._cases:
            return None
        counts = np.zeros((1 + self._types, 1 + self._types), np.int64)
        for case in self._cases:
            counts[case.truth, case.chosen if case.score >= threshold else 0] += 1
        return counts

    def types_right(self) -> tuple[Metric, Metric]:
        """Return how often a drawn region's type is right, whatever its score: of all regions, and mean over the types.

        Guessing is right once in K in the mean over types; of all regions it may be right as often as the commonest
        type occurs.
        """
        drawn = [case for case in self._cases if case.truth]
        if not drawn or self._types == 1:
            reason = "only one type to choose from" if drawn else "no drawn region of a known type"
            return Metric(None, reason), Metric(None, reason)
        of_types: dict[int, list[bool]] = {}
        for case in drawn:
            of_types.setdefault(case.truth, []).append(case.chosen == case.truth)
        right = [sum(hits) / len(hits) for hits in of_types.values()]
        return Metric(sum(map(sum, of_types.values())) / len(drawn)), Metric(sum(right) / len(right))


def _insides(drawn: NDArray[np.bool_], regions: Regions) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield each region as a mask of its own, uint8 [H, W], a few at a time: images may be large, and regions many."""
    for start in range(0, len(regions.areas), _AT_ONCE):
        some = [np.zeros(drawn.shape, np.uint8) for _ in regions.areas[start : start + _AT_ONCE]]
        for number, inside in enumerate(some, start):
            inside[drawn] = regions.index == number
        yield some

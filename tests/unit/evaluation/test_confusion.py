"""Which type a drawn region is told to be: by the map, or by whoever looks closer at the region."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.evaluation.class_meter import ClassMeter
from inspector.evaluation.confusion import ConfusionMeter


def truth() -> NDArray[np.uint8]:
    """Two regions of the first type and one of the second."""
    mask = np.zeros((16, 16), np.uint8)
    mask[1:4, 1:4], mask[10:12, 1:3], mask[8:14, 8:14] = 1, 1, 2
    return mask


def first_everywhere() -> NDArray[np.float32]:
    return np.stack([np.full((16, 16), share, np.float32) for share in (0.7, 0.3)])


def by_size(regions: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Say that large regions are of the second type."""
    large = np.array([region.sum() > 20 for region in regions], np.float32)
    return np.stack([1 - large, large])


def test_a_closer_look_at_each_region_counts_in_the_place_of_the_maps_mean() -> None:
    by_map, by_look = ConfusionMeter(2), ConfusionMeter(2)
    anomaly = np.ones((16, 16), np.float32)
    by_map.add(anomaly, first_everywhere(), truth(), anomalous=True)
    by_look.add(anomaly, first_everywhere(), truth(), anomalous=True, name_regions=by_size)
    assert [metric.value for metric in by_map.types_right()] == [pytest.approx(2 / 3), pytest.approx(0.5)]
    assert [metric.value for metric in by_look.types_right()] == [1.0, 1.0]
    confusion = by_look.result(0.5)
    assert confusion is not None
    assert confusion.tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 1]]


def test_many_regions_are_named_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.evaluation.confusion._AT_ONCE", 2)
    asked: list[int] = []

    def look(regions: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        asked.append(len(regions))
        return by_size(regions)

    mask = np.zeros((16, 16), np.uint8)
    mask[::4, ::4] = 1
    meter = ConfusionMeter(2)
    meter.add(np.ones((16, 16), np.float32), first_everywhere(), mask, anomalous=True, name_regions=look)
    assert asked == [2] * 8
    assert meter.types_right()[0].value == 1.0


def test_each_region_is_shown_alone_and_whole() -> None:
    shown: list[NDArray[np.uint8]] = []

    def look(regions: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        shown.extend(regions)
        return by_size(regions)

    meter = ClassMeter(("scratch", "dent"))
    mask = truth()
    meter.add(
        0.9,
        np.ones((16, 16), np.float32),
        (mask > 0).astype(np.uint8),
        type_scores=first_everywhere(),
        type_mask=mask,
        anomalous=True,
        name_regions=look,
    )
    assert sorted(int(region.sum()) for region in shown) == [4, 9, 36]
    assert sum(shown).tolist() == (mask > 0).astype(np.uint8).tolist()  # type: ignore[union-attr]
    assert meter.result().values["type_regions"].value == 1.0

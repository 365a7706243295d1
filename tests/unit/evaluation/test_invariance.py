"""What must not change a ranking metric: the order of images, and any strictly rising change of all scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.evaluation.class_meter import ClassMeter, ClassMetrics

TYPES = ("crack", "hole")
# Steps of 1/8 up to 2: each of these keeps them apart in float32, and keeps equal ones equal.
RISING: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "shifted": lambda scores: scores - np.float32(5),
    "stretched": lambda scores: scores * np.float32(1e6),
    "squeezed": lambda scores: scores * np.float32(1e-30),
    "cubed": lambda scores: (scores - np.float32(1)) ** 3,
    "squashed": lambda scores: (1 / (1 + np.exp(-scores))).astype(np.float32),
}


class Images:
    def __init__(self, seed: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        self.masks = (rng.random((count, 7, 9)) < 0.2).astype(np.uint8)
        self.masks[0] = 0
        steps = np.round(rng.normal(size=self.masks.shape) * 3 + 4 + 4 * self.masks)
        self.maps = (np.clip(steps, 0, 16) / 8).astype(np.float32)
        self.types = rng.dirichlet([1, 1, 1], (count, 3, 3))[..., 1:].transpose(0, 3, 1, 2).astype(np.float32)
        self.kinds = [TYPES[int(k)] for k in rng.integers(0, 2, count)]

    def measured(self, order: Sequence[int], exact_pixels: int, change: str | None = None) -> ClassMetrics:
        maps = self.maps if change is None else RISING[change](self.maps)
        meter = ClassMeter(TYPES, exact_pixels)
        for i in order:
            anomalous = bool(self.masks[i].any())
            meter.add(
                float(maps[i].max()),
                maps[i],
                self.masks[i],
                type_scores=self.types[i],
                anomalous=anomalous,
                image_types=[self.kinds[i]] if anomalous else [],
            )
        return meter.result()


def values(result: ClassMetrics) -> dict[str, float | None]:
    return {name: metric.value for name, metric in result.values.items()}


@pytest.mark.parametrize("exact_pixels", [10**6, 150, 0])
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_order_of_images_changes_nothing(exact_pixels: int, data: st.DataObject, seed: int) -> None:
    images = Images(seed, 5)
    order = data.draw(st.permutations(range(5)))
    first, second = images.measured(range(5), exact_pixels), images.measured(order, exact_pixels)
    # Sums in another order round differently; nothing else may differ.
    assert values(first) == pytest.approx(values(second), abs=1e-12)
    assert first.thresholds == second.thresholds
    assert first.method == second.method
    assert (first.confusion == second.confusion).all()


@pytest.mark.parametrize("change", RISING)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_a_strictly_rising_change_of_scores_changes_nothing(change: str, seed: int) -> None:
    images = Images(seed, 4)
    plain, changed = images.measured(range(4), 10**6), images.measured(range(4), 10**6, change)
    # The 200 thresholds of the legacy value lie at equal steps of the score, so it does depend on the scale.
    for name in plain.values.keys() - {"aupro_legacy"}:
        assert plain.values[name] == changed.values[name], name


@pytest.mark.parametrize("change", ["shifted", "stretched", "squeezed"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_another_unit_changes_no_legacy_value_either(change: str, seed: int) -> None:
    images = Images(seed, 4)
    plain = images.measured(range(4), 10**6).values["aupro_legacy"].value
    changed = images.measured(range(4), 10**6, change).values["aupro_legacy"].value
    # A threshold that should fall on a score may by rounding fall beside it.
    assert changed == pytest.approx(plain, abs=0.05)

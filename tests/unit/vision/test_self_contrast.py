"""One frame as its own reference: its strangest spot counts, wherever it is, and nothing where nobody looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.scoring import ScoringSettings
from inspector.vision.image_score import zero_shot_score
from inspector.vision.self_contrast import highest_contrast

EVERYWHERE = np.ones((64, 64), np.bool_)
CONTRAST = ScoringSettings(image_score="contrast")


def surface(seed: int = 0, side: int = 16) -> Tensor:
    """A texture: 32 features, of which each patch has a little of its own."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(1, 1, 32, generator=generator)
    return common + 0.2 * torch.randn(side, side, 32, generator=generator)


def of_length_one(look: Tensor) -> Tensor:
    return functional.normalize(look, dim=-1)


def contrast(look: Tensor, area: NDArray[np.bool_]) -> float:
    return highest_contrast([of_length_one(look)], area)


def with_spot(tap: Tensor, row: int, column: int) -> Tensor:
    spoilt = tap.clone()
    spoilt[row : row + 2, column : column + 2] = tap.mean((0, 1)).roll(1)
    return spoilt


@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 7), (14, 14)])
def test_a_spot_unlike_the_rest_is_found_wherever_it_is(row: int, column: int) -> None:
    good = contrast(surface(), EVERYWHERE)
    spoilt = contrast(with_spot(surface(), row, column), EVERYWHERE)
    assert good > 0
    assert 3 * good < spoilt <= 1


def test_what_is_strange_in_one_way_alone_counts_less_than_what_is_strange_in_each() -> None:
    plain, spoilt, finer = surface(), with_spot(surface(), 7, 7), with_spot(surface(1, side=32), 14, 14)
    alone = [contrast(look, EVERYWHERE) for look in (plain, spoilt, finer)]
    plain, spoilt, finer = map(of_length_one, (plain, spoilt, finer))
    assert highest_contrast([plain, finer], EVERYWHERE) == pytest.approx(np.sqrt(alone[0] * alone[2]), rel=1e-5)
    assert highest_contrast([spoilt, finer], EVERYWHERE) == pytest.approx(np.sqrt(alone[1] * alone[2]), rel=1e-5)


def test_what_comes_again_elsewhere_is_part_of_the_pattern() -> None:
    once = with_spot(surface(), 2, 2)
    again = with_spot(with_spot(once, 2, 12), 12, 2)
    assert contrast(again, EVERYWHERE) < contrast(once, EVERYWHERE) / 2


def test_outside_of_the_inspected_area_nothing_counts_and_nothing_is_compared_with() -> None:
    spoilt = with_spot(surface(), 2, 2)
    right = EVERYWHERE.copy()
    right[:, :32] = False
    assert contrast(spoilt, right) < 0.1
    left = ~right
    # The one pattern like it lies where nobody looks.
    assert contrast(with_spot(spoilt, 2, 12), left) == pytest.approx(
        contrast(with_spot(surface(), 2, 2), left), rel=1e-5
    )
    assert contrast(spoilt, np.zeros_like(EVERYWHERE)) == 0


def test_frames_of_many_tiles_are_compared_in_steps() -> None:
    wide = surface(side=48)  # 2304 patches
    assert contrast(with_spot(wide, 40, 40), EVERYWHERE) > 3 * contrast(wide, EVERYWHERE)


def test_frames_of_very_many_tiles_are_compared_at_coarser_details(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.vision.self_contrast._MOST", 16)
    pooled = functional.avg_pool2d(of_length_one(surface(side=32)).permute(2, 0, 1), 2).permute(1, 2, 0)
    assert contrast(surface(side=32), EVERYWHERE) == pytest.approx(contrast(pooled, EVERYWHERE))


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
def test_any_grid_has_a_contrast_in_0_to_1(rows: int, columns: int, share: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    area = torch.rand(12, 12, generator=generator).numpy() < share
    tap = torch.randn(rows, columns, 8, generator=generator)
    assert 0 <= contrast(tap, area) <= 1


def test_the_image_score_is_the_geometric_mean_of_the_maps_mean_and_the_contrast() -> None:
    product = ProductSettings(defects=(DefectSpec("scratch"),))
    found = np.full((64, 64), 0.04, np.float32)
    detail = with_spot(surface(), 5, 5)
    expected = np.sqrt(0.04 * contrast(detail, EVERYWHERE))
    assert zero_shot_score(0.9, found, product, CONTRAST, [of_length_one(detail)]) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="looks for its contrast"):
        zero_shot_score(0.9, found, product, CONTRAST)

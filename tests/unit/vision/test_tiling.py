"""Tiles lie on one lattice of patches, cover the frame, and are stitched without a seam."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inspector.vision.tiling import Tiling

tilings = st.builds(
    lambda tiles, patches, patch_px: Tiling(tiles, patches * patch_px, patch_px),
    st.integers(1, 6),
    st.integers(2, 20),
    st.sampled_from((2, 7, 16)),
)


def tiles_of(tiling: Tiling, field: Tensor) -> Tensor:
    """Cut a field [C, G, G] of patches as ``cut`` does pixels."""
    on_patches = Tiling(tiling.tiles, tiling.patches, 1)
    return torch.stack(on_patches.cut(field))[None]


@given(tilings)
def test_neighbours_share_at_least_a_quarter_of_a_tile_and_no_more_than_half(tiling: Tiling) -> None:
    shared = tiling.patches - tiling.step
    assert tiling.patches <= 4 * shared
    assert 2 * shared <= tiling.patches + 1


@given(tilings)
def test_tiles_cover_the_frame_and_its_side_tells_their_number(tiling: Tiling) -> None:
    image = torch.zeros(1, tiling.side_px, tiling.side_px)
    for tile in tiling.cut(image):
        assert tile.shape == (1, tiling.tile_px, tiling.tile_px)
        tile += 1
    assert image.min() == 1
    assert Tiling.of_side(tiling.side_px, tiling.tile_px, tiling.patch_px) == tiling


@pytest.mark.parametrize("side_px", [0, 95, 97, 128, 159, 2**20 + 1])
def test_a_side_that_no_number_of_tiles_makes_is_refused(side_px: int) -> None:
    with pytest.raises(ValueError, match=f"a side of {side_px} px"):
        Tiling.of_side(side_px, 96, 16)


@settings(deadline=None)  # the first call warms torch up
@given(tilings, st.integers(0, 2**16))
def test_what_all_tiles_agree_on_is_left_as_it_is(tiling: Tiling, seed: int) -> None:
    side = tiling.grid_side
    field = torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(tiling.blend(tiles_of(tiling, field))[0], field, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("patches", [6, 16, 37])
def test_tiles_that_disagree_pass_over_into_each_other_in_even_steps(patches: int) -> None:
    tiling = Tiling(3, patches, 1)
    gradient = torch.linspace(0, 1, tiling.grid_side).expand(1, tiling.grid_side, -1)
    slope = 1 / (tiling.grid_side - 1)
    tiles = tiles_of(tiling, gradient)
    # As a tower may: every second tile sees the same thing 1 higher.
    offsets = torch.tensor([float((i // 3 + i % 3) % 2) for i in range(9)])
    blended = tiling.blend(tiles + offsets.view(1, 9, 1, 1, 1))[0, 0]
    overlap = patches - tiling.step
    largest = max(blended.diff(dim=0).abs().max().item(), blended.diff(dim=1).abs().max().item())
    assert largest <= 1 / overlap + slope + 1e-5


def test_probabilities_stay_probabilities() -> None:
    tiling = Tiling(3, 7, 1)
    tiles = torch.softmax(torch.randn(2, 9, 5, 7, 7), dim=2)
    blended = tiling.blend(tiles)
    torch.testing.assert_close(blended.sum(1), torch.ones(2, tiling.grid_side, tiling.grid_side))
    assert blended.min() >= 0

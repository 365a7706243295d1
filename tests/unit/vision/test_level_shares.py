"""Which share each level has in the score of a frame that is compared with others."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from inspector.domain.scoring import BankLevels, Fusion
from inspector.vision.bank_features import (
    DETAIL,
    FINE,
    LEVELS,
    LOWER,
    TEXTURE,
    ZERO_SHOT,
    chosen_levels,
    counting_levels,
    level_shares,
)
from inspector.vision.mutual import usual


@pytest.mark.parametrize("fusion", get_args(Fusion))
@pytest.mark.parametrize("choice", get_args(BankLevels))
def test_shares_are_of_levels_in_use_and_add_up_to_one(choice: BankLevels, fusion: Fusion) -> None:
    levels = chosen_levels(choice, fusion)
    shares = level_shares(levels)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) <= set(levels) <= set(LEVELS)
    assert all(share > 0 for share in shares.values())
    assert (ZERO_SHOT in shares) is (fusion == "zero_shot")
    assert set(levels) - set(shares) <= {TEXTURE}  # which tells beside details whether the camera stands still


def test_the_tower_s_level_counts_where_parts_lie_loosely_and_fine_texture_where_they_stand_still() -> None:
    levels = chosen_levels("all", "zero_shot")
    still, loose, anywhere, never = (
        level_shares(counting_levels(levels, in_place=in_place, finer=finer))
        for in_place, finer in ((True, True), (True, False), (False, False), (False, True))
    )
    assert still == pytest.approx({DETAIL: 1 / 1.37, FINE: 0.35 / 1.37, ZERO_SHOT: 0.02 / 1.37})
    assert loose == pytest.approx({LOWER: 1.5 / 2.52, DETAIL: 1 / 2.52, ZERO_SHOT: 0.02 / 2.52})
    assert anywhere == never == pytest.approx({DETAIL: 1 / 1.02, ZERO_SHOT: 0.02 / 1.02})


def test_texture_has_no_share_beside_details_and_keeps_its_other_duty() -> None:
    assert level_shares((DETAIL, TEXTURE)) == {DETAIL: 1}
    for choice in ("all", "detail"):
        assert TEXTURE in counting_levels(chosen_levels(choice, "none"), in_place=True, finer=False)


def test_without_details_the_tower_and_texture_share_the_score() -> None:
    shares = level_shares(counting_levels((LOWER, TEXTURE, ZERO_SHOT), in_place=False, finer=False))
    assert shares == pytest.approx({LOWER: 5 / 11, TEXTURE: 4 / 11, ZERO_SHOT: 2 / 11})
    assert level_shares((LOWER,)) == {LOWER: 1}
    assert level_shares((TEXTURE,)) == {TEXTURE: 1}


def test_a_frame_that_only_its_texture_tells_from_others_is_unusual_where_no_details_are_compared() -> None:
    alike = torch.rand(12, 8, 8, generator=torch.Generator().manual_seed(0))
    odd = alike.clone()
    odd[0, 2, 5] += 10
    found = {DETAIL: alike, TEXTURE: odd}
    assert usual(found).score(found)[0, 2, 5] < 5
    assert usual({TEXTURE: odd}).score({TEXTURE: odd})[0, 2, 5] > 5
    swapped = {DETAIL: odd, TEXTURE: alike}
    assert usual(swapped).score(swapped)[0, 2, 5] > 5

"""What pretraining asks: each loss is small for what is right, and keeps what its docstring says it keeps."""

from __future__ import annotations

import math

import pytest
import torch

from inspector.domain.errors import BadInputError
from inspector.training.pretraining.losses import (
    caption_loss,
    coarse_types,
    covered,
    pair_loss,
    peak_loss,
    region_type_loss,
    spread_loss,
    texture_loss,
)
from inspector.training.pretraining.options import PretrainingOptions
from inspector.training.pretraining.teacher import Standardised, TextureTeacher

TAPS = 2


def patches(seed: int) -> torch.Tensor:
    """Four pictures' 16 patches, near orthogonal."""
    return torch.randn(4, 16, 64, generator=torch.Generator().manual_seed(seed))


def pair(first: torch.Tensor, second: torch.Tensor, defective: torch.Tensor) -> float:
    scale, shift = torch.full((TAPS,), 10.0), torch.full((TAPS,), -5.0)
    return float(pair_loss([first] * TAPS, [second] * TAPS, defective, scale, shift))


def test_pair_loss_is_small_where_only_defects_have_no_likeness_in_the_other_view() -> None:
    second, defective = patches(0), torch.zeros(4, 16)
    defective[1, 3], defective[2, 5:8] = 1.0, 0.4
    first = torch.where((defective > 0)[..., None], patches(1), second.flip(1))  # found again, if elsewhere
    assert pair(first, second, defective) < 0.05
    assert pair(first, second, (defective == 0).float()) > 3  # the same distances, told the other way round
    assert pair(patches(1), second, defective) > 0.5  # nothing is found again


def test_pair_loss_asks_nothing_of_a_patch_that_shows_a_bit_of_a_defect() -> None:
    second, defective = patches(0), torch.zeros(4, 16)
    first = second.clone()
    defective[0, 0] = 0.05
    before = pair(first, second, defective)
    first[0, 0] = -first[0, 0]
    assert pair(first, second, defective) == before
    assert math.isfinite(pair(first, second, torch.full((4, 16), 0.05)))  # not even where that is all there is


def test_coarse_types_keep_a_line_one_pixel_wide_and_put_a_named_defect_before_an_unknown_one() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.long)
    mask[0, :, 9] = 4
    mask[0, 16:24, 8:16] = torch.where(mask[0, 16:24, 8:16] == 4, 4, 255)
    mask[0, 30, 30] = 255
    mask[0, 0, 25:27] = torch.tensor([2, 3])
    coarse = coarse_types(mask)
    assert coarse.tolist() == [[[0, 4, 0, 3], [0, 4, 0, 0], [0, 4, 0, 0], [0, 4, 0, 255]]]
    assert coarse.dtype == torch.int64


def test_covered_is_the_share_of_each_patch() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.long)
    mask[0, :8, 16:] = 255
    assert covered(mask, 16).tolist() == [[0, 0.5, 0, 0]]


def test_a_small_regions_type_counts_as_much_as_a_large_ones() -> None:
    types = torch.tensor([[1, 1, 1, 1, 1, 1, 2, 0]])
    all_said_to_be_1 = torch.tensor([[4.0, 0.0]]).expand(1, 8, 2)
    half_right = region_type_loss(all_said_to_be_1, types)
    one_of_each = region_type_loss(all_said_to_be_1[:, :2], torch.tensor([[1, 2]]))
    assert half_right.item() == pytest.approx(one_of_each.item())
    right = torch.where(types[..., None] == torch.tensor([1, 2]), 4.0, 0.0)
    assert region_type_loss(right, types) < 0.05 < half_right


def test_only_regions_of_a_known_type_are_asked_for_it() -> None:
    logits = torch.randn(2, 4, 3, requires_grad=True)
    loss = region_type_loss(logits, torch.tensor([[0, 255, 0, 0], [0, 0, 0, 0]]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_map_is_judged_by_its_highest_spots() -> None:
    flat, peaked = torch.full((1, 40), -4.0), torch.full((1, 40), -4.0)
    peaked[0, :2] = 4.0
    defective, good = torch.zeros(1, 40), torch.zeros(1, 40)
    defective[0, 7] = 0.5
    one, nothing = torch.tensor(1.0), torch.tensor(0.0)
    assert peak_loss(peaked, defective, one, nothing) < 0.05
    assert peak_loss(flat, good, one, nothing) < 0.05
    assert peak_loss(peaked, good, one, nothing) > 3
    assert peak_loss(flat, defective, one, nothing) > 3


def test_a_picture_with_a_trace_of_a_defect_is_not_asked() -> None:
    trace = torch.zeros(1, 40)
    trace[0, 7] = 0.05
    assert peak_loss(torch.randn(1, 40), trace, torch.tensor(1.0), torch.tensor(0.0)) == 0


def test_captions_that_are_equal_are_right_for_each_others_pictures() -> None:
    texts = torch.eye(3)[[0, 1, 0]]
    scale = torch.tensor(math.log(50.0))
    captions = ("a plate", "a scratched plate", "a plate")
    assert float(caption_loss(texts, texts, scale, captions)) == pytest.approx(2 / 3 * math.log(2), abs=1e-4)
    assert float(caption_loss(texts[[1, 0, 1]], texts, scale, captions)) > 10
    # Told apart, one of the two equal ones would be wrong whatever the model says: that is more than their entropy.
    swapped = texts + torch.tensor([[0.0, 0, 0.3], [0, 0, 0], [0, 0, -0.3]])
    assert float(caption_loss(swapped, swapped, scale, captions)) > 2 / 3 * math.log(2) + 0.1


def test_a_logit_scale_that_runs_away_is_held() -> None:
    texts = torch.eye(3)
    wrong = texts[[1, 0, 2]]
    assert float(caption_loss(wrong, texts, torch.tensor(50.0), "abc")) == pytest.approx(200 / 3, rel=1e-4)


def test_texture_targets_are_those_of_each_patch_whatever_the_size() -> None:
    teacher = TextureTeacher()
    pictures = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    seen = teacher(pictures)
    assert seen.shape == (3, 36, teacher.width)
    other = pictures.clone()
    other[:, :, 80:, 80:] = 0.5
    changed = (teacher(other) != seen).any(-1).reshape(3, 6, 6)
    assert changed[:, 5, 5].all()
    assert not changed[:, :3, :3].any()


def test_targets_are_standardised_and_held() -> None:
    pictures = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    target = Standardised(TextureTeacher(), pictures)
    seen = target(pictures).flatten(0, 1)
    moving = seen.std(0) > 0.1
    assert moving.any()
    assert seen.mean(0).abs().max() < 0.2
    assert float(seen[:, moving].std(0).mean()) == pytest.approx(1, abs=0.1)
    assert target(pictures * 100).abs().max() <= 4


def test_texture_loss_is_zero_for_the_teachers_own_words() -> None:
    target = patches(0)
    assert float(texture_loss([target, target], target)) == 0
    assert float(texture_loss([target, target + 1], target)) == pytest.approx(0.5)


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    options = PretrainingOptions(lr=0.01, warmup_steps=10, decay_share=0.25)
    rates = [options.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9:75] == [0.01] * 66
    assert rates[74:] == sorted(rates[74:], reverse=True)
    assert rates[-1] == pytest.approx(0.01 / 25)
    # Made longer before it falls, a run goes on as if it had been that long from the start.
    assert [options.rate(step, 1000) for step in range(75)] == rates[:75]


def test_the_end_sees_pictures_at_the_models_own_size() -> None:
    options = PretrainingOptions(full_share=0.1)
    assert [options.full_size(step, 100) for step in (0, 89, 90, 99)] == [False, False, True, True]
    assert not PretrainingOptions(full_share=0.0).full_size(99, 100)


@pytest.mark.parametrize(
    "wrong", [{"crop_px": 32}, {"lr": 0}, {"average_decay": 1.5}, {"pair_weight": -1}, {"seed": -1}]
)
def test_options_that_no_run_can_have_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match=next(iter(wrong))):
        PretrainingOptions(**wrong)  # type: ignore[arg-type]  # that is the point


def test_spread_loss_parts_rows_that_lie_together_and_leaves_those_that_do_not() -> None:
    apart = torch.eye(6)
    assert spread_loss(apart) == 0
    together = torch.nn.functional.normalize(torch.ones(6, 6) + 0.1 * apart, dim=-1).requires_grad_()
    near = spread_loss(together)
    assert near > 0.2
    torch.autograd.backward(near)
    assert together.grad is not None
    step = torch.nn.functional.normalize(together.detach() - 5 * together.grad, dim=-1)
    assert spread_loss(step) < near


def test_with_fresh_text_the_rate_rises_again_where_the_visual_tower_joins() -> None:
    options = PretrainingOptions(fresh_text=True, warmup_steps=4, lr=1e-3)
    assert [options.holds_visual(step) for step in (0, 3, 4)] == [True, True, False]
    assert [options.rate(step, 100) for step in (0, 3, 4, 7, 8)] == pytest.approx([25e-5, 1e-3, 25e-5, 1e-3, 1e-3])
    assert PretrainingOptions(warmup_steps=4, lr=1e-3).rate(4, 100) == pytest.approx(1e-3)

"""The loss against numbers worked out by hand, and where it must not punish."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from inspector.training.losses import dapo_loss, dice_loss, focal_loss

SMOOTHING = 1e-5


def grid(*rows: list[float]) -> Tensor:
    """One image of two patches side by side... as one row of type probabilities each: [1, 1+K, 1, 2]."""
    return torch.tensor(rows)[None, :, None, :]


def on_two_pixels(left: int, right: int) -> Tensor:
    return torch.tensor([[[left, right]]])


def test_focal_by_hand() -> None:
    # Left pixel is normal at p = 0.5, right one is type 2 at p = 0.25.
    probabilities = grid([0.5, 0.25], [0.25, 0.5], [0.25, 0.25])
    wrong = SMOOTHING / 2
    q = [(1 - SMOOTHING) * p + wrong * (1 - p) for p in (0.5, 0.25)]
    expected = sum(-((1 - x) ** 2) * math.log(x) for x in q) / 2
    loss = focal_loss(probabilities, on_two_pixels(0, 2), torch.tensor([3]))
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)
    assert expected == pytest.approx((0.25 * 0.693147 + 0.5625 * 1.386294) / 2, rel=1e-3)


def test_focal_of_a_certain_and_wrong_pixel_is_finite() -> None:
    loss = focal_loss(grid([1.0, 1.0], [0.0, 0.0]), on_two_pixels(1, 1), torch.tensor([2]))
    assert loss.item() == pytest.approx(-math.log(SMOOTHING), rel=1e-3)


def test_dice_by_hand() -> None:
    probability, truth = torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[1.0, 0.0]]])
    assert dice_loss(probability, truth).item() == pytest.approx(1 - (2 * 0.5 + 1) / (0.75 + 1 + 1))
    assert dice_loss(truth, truth).item() == 0
    assert dice_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)).item() == 0  # nothing to find, nothing found


def whole_loss(mask: Tensor, anomalous: bool = True, segmented: bool = True, **changes: Tensor) -> list[float]:
    inputs = {
        "image_logits": torch.tensor([[0.0, 1.0]]),
        "grid": torch.tensor([[0.5, 0.25], [0.25, 0.5], [0.25, 0.25]])[None, :, None, :].expand(1, 3, 2, 2),
        "text_mask": torch.ones(1, 3, dtype=torch.bool),
    } | changes
    parts = dapo_loss(
        inputs["image_logits"],
        [inputs["grid"], inputs["grid"]],
        inputs["text_mask"],
        mask,
        torch.tensor([anomalous]),
        torch.tensor([segmented]),
    )
    return [parts.classification.item(), parts.focal.item(), parts.dice.item(), parts.total.item()]


MASK = torch.tensor([[[0, 2], [0, 2]]])


def test_the_whole_loss_by_hand() -> None:
    # Of two taps alike; normal 0.5 left, 0.25 right, so that a defect is 0.5 left, 0.75 right.
    classification, focal, dice, total = whole_loss(MASK)
    assert classification == pytest.approx(math.log(1 + math.exp(-1)))
    assert focal == pytest.approx(2 * (0.25 * math.log(2) + 0.5625 * math.log(4)) / 2, rel=1e-3)
    of_normal = 1 - (2 * 2 * 0.5 + 1) / (2 * 0.75 + 2 + 1)
    of_defect = 1 - (2 * 2 * 0.75 + 1) / (2 * 1.25 + 2 + 1)
    assert dice == pytest.approx(2 * (of_normal + of_defect))
    assert total == pytest.approx(classification + 4 * (focal + dice))


def test_each_image_of_a_batch_has_the_loss_it_has_alone() -> None:
    """However many types the others have, and whether they are drawn: the mean over processes hangs on it."""
    few = torch.tensor([[0.5, 0.25], [0.5, 0.75], [0.0, 0.0]])
    many = torch.tensor([[0.2, 0.7], [0.1, 0.2], [0.7, 0.1]])
    grid = torch.stack([few, many, many])[:, :, None, :].expand(3, 3, 2, 2)
    logits = torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    rows = torch.tensor([[True, True, False], [True] * 3, [True] * 3])
    masks = torch.tensor([[[0, 1], [1, 1]], [[2, 0], [255, 0]], [[0, 0], [0, 0]]])
    anomalous, segmented = torch.tensor([True, True, True]), torch.tensor([True, True, False])
    together = dapo_loss(logits, [grid, grid], rows, masks, anomalous, segmented)
    for i in range(3):
        one = slice(i, i + 1)
        width = int(rows[i].sum())
        alone = dapo_loss(
            logits[one], [grid[one, :width]] * 2, rows[one, :width], masks[one], anomalous[one], segmented[one]
        )
        for part in ("classification", "focal", "dice", "total"):
            assert getattr(together, part)[i].item() == pytest.approx(getattr(alone, part).item()), (i, part)


def test_a_pixel_of_unknown_type_asks_for_a_defect_of_any_type() -> None:
    unknown = torch.tensor([[[0, 255], [0, 255]]])
    known, indifferent = whole_loss(MASK), whole_loss(unknown)
    assert indifferent[2] == known[2]  # defective all the same
    assert indifferent[1] == pytest.approx(0.25 * math.log(2) - 0.0625 * math.log(0.75), rel=1e-3)

    probabilities = torch.tensor([0.4, 0.1, 0.5])[None, :, None, None].requires_grad_()
    focal_loss(probabilities, torch.full((1, 1, 1), 255), torch.tensor([3])).sum().backward()
    gradient = probabilities.grad
    assert gradient is not None
    assert gradient[0, 1] == gradient[0, 2] < 0  # both types are wanted, neither more
    assert gradient[0, 0].abs() < 1e-4


def test_without_a_mask_only_the_image_score_is_taught() -> None:
    classification, focal, dice, total = whole_loss(torch.zeros_like(MASK), segmented=False)
    assert (focal, dice) == (0, 0)
    assert total == classification > 0


def test_padding_rows_change_nothing() -> None:
    padded = torch.cat([torch.tensor([[0.5, 0.25], [0.25, 0.5], [0.25, 0.25]]), torch.zeros(2, 2)])
    changes = {
        "grid": padded[None, :, None, :].expand(1, 5, 2, 2),
        "text_mask": torch.tensor([[True, True, True, False, False]]),
    }
    assert whole_loss(MASK, **changes) == whole_loss(MASK)


def test_maps_are_upsampled_as_for_serving() -> None:
    size = 8
    mask = torch.zeros(1, size, size, dtype=torch.long)
    mask[:, :, 4:] = 2
    _, _, dice, _ = whole_loss(mask)
    left_to_right = torch.tensor([0.5, 0.5, 0.46875, 0.40625, 0.34375, 0.28125, 0.25, 0.25])  # bilinear, centres
    normal = left_to_right.expand(1, size, size)
    expected = dice_loss(normal, (mask == 0).float()) + dice_loss(1 - normal, (mask != 0).float())
    assert dice == pytest.approx(2 * expected.item(), rel=1e-5)


def test_the_image_loss_of_a_certain_and_wrong_score_is_finite() -> None:
    assert whole_loss(MASK, image_logits=torch.tensor([[28.6, 0.0]]))[0] == pytest.approx(28.6)

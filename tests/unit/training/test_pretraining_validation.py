"""Metrics of a model in memory, on pictures whose truth is known: a stand-in that sees colour gets what it must."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from surfaces_kit import good_surfaces
from torch import Tensor, nn

from inspector.dapo.clip import ModelShape
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.visual_tower import VisualFeatures, VisualTower
from inspector.domain.errors import BadInputError
from inspector.rendering.scenes import Pair
from inspector.training.pretraining.validation import Validation

SIDE, PATCH = 64, 8
TYPES = ("scratch", "stain")
SHAPE = ModelShape(SIDE, PATCH, 3, 3, 1, 3, 1, 77, (1,))
GREY, RED, BLUE = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, -1.0, 1.0))


class SeesColour(nn.Module):
    """Stands in for the tower: a patch is its mean colour, an image its most colourful patch."""

    mean, std, shape = (0.0,) * 3, (1.0,) * 3, SHAPE

    def forward(self, images: Tensor, _tokens: Tensor) -> VisualFeatures:
        assert not self.training
        patches = nn.functional.avg_pool2d(images, PATCH)
        colour = patches - patches.mean(1, keepdim=True)
        seen = (torch.where(colour.abs().amax(1, keepdim=True) > 0.1, 20 * colour, torch.zeros(()))
                + patches).flatten(2).transpose(1, 2)  # fmt: skip
        most = seen.std(2).argmax(1)
        return VisualFeatures(seen[torch.arange(len(seen)), most], (seen,))


def weights() -> PromptWeights:
    made = PromptWeights(SHAPE, 1, 1, 1, 1)
    nn.init.eye_(cast(nn.Linear, made.adapters[0]).weight)
    nn.init.zeros_(cast(nn.Linear, made.adapters[0]).bias)
    return made


def tower() -> VisualTower:
    return cast(VisualTower, SeesColour().train())


def text(*rows: tuple[float, float, float]) -> Tensor:
    return nn.functional.normalize(torch.tensor(rows), dim=1)


def scene(number: int) -> Pair:
    """Grey with a red square for a scratch or a blue one for a stain; every third one is good."""
    label = number % 3
    mask = np.zeros((SIDE, SIDE), np.uint8)
    first = np.full((SIDE, SIDE, 3), 120, np.uint8)
    second = first.copy()
    if label:
        mask[16:32, 24:40] = label
        first[mask > 0] = ((0, 0, 0), (0, 0, 220), (220, 0, 0))[label]  # BGR
    return Pair(first, mask, second, "grey plate", "a photo of a grey plate")


SCENES = [scene(number) for number in range(12)]


def normals(count: int) -> list[NDArray[np.uint8]]:
    return good_surfaces(count, 3, SIDE)


def test_a_model_that_sees_what_is_there_is_right_everywhere() -> None:
    found = Validation({}, SCENES, TYPES).measure(tower(), weights(), text(GREY, RED, BLUE), TYPES)

    assert found["scenes/zero_shot_image_auroc"] == 1
    assert found["scenes/zero_shot_peak_auroc"] == 1
    assert found["scenes/zero_shot_pixel_auroc"] > 0.99
    assert found["scenes/bank_pixel_auroc"] > 0.99
    assert found["scenes/bank_tap1_pixel_auroc"] == found["scenes/bank_pixel_auroc"]
    assert found["scenes/type_accuracy"] == found["scenes/type_recall"] == 1
    assert not any(name.startswith("mean/") for name in found), "there are no cameras to take the mean of"


def test_words_of_the_wrong_colour_cost_the_type_and_nothing_else() -> None:
    found = Validation({}, SCENES, TYPES).measure(tower(), weights(), text(GREY, BLUE, RED), TYPES)

    assert found["scenes/type_accuracy"] == found["scenes/type_recall"] == 0
    assert found["scenes/zero_shot_pixel_auroc"] > 0.99


def test_types_are_known_by_their_words_not_by_their_place() -> None:
    rows = text(GREY, BLUE, (-1.0, 1.0, -1.0), RED)
    found = Validation({}, SCENES, TYPES).measure(tower(), weights(), rows, ("stain", "green spot", "scratch"))

    assert found["scenes/type_accuracy"] == 1
    with pytest.raises(BadInputError, match="stain"):
        Validation({}, SCENES, TYPES).measure(tower(), weights(), text(GREY, RED), ("scratch",))


def test_cameras_are_measured_each_against_its_own_normals_and_as_a_mean() -> None:
    validation = Validation({"plate": normals(10), "cast": normals(14)[2:]}, SCENES, TYPES, references=4)
    model = tower()

    found = validation.measure(model, weights(), text(GREY, RED, BLUE), TYPES)

    assert len(validation) == (4 + 2 * 6) + (4 + 2 * 8) + 2 * len(SCENES)
    assert found["mean/bank_image_auroc"] == pytest.approx(
        (found["plate/bank_image_auroc"] + found["cast/bank_image_auroc"]) / 2
    )
    assert {name.split("/")[0] for name in found} == {"plate", "cast", "scenes", "mean"}
    assert all(0 <= value <= 1 for value in found.values())
    assert found["mean/bank_image_auroc"] > 0.5, "painted frames lie further from the normals than the same unpainted"
    assert model.training, "left as it was"
    assert validation.measure(tower(), weights(), text(GREY, RED, BLUE), TYPES) == found, "the same pictures each time"


def test_frames_of_another_size_are_shown_at_the_models() -> None:
    validation = Validation({"plate": good_surfaces(6, 3, 2 * SIDE)}, [], TYPES, references=2)

    found = validation.measure(tower(), weights(), text(GREY, RED, BLUE), TYPES)

    assert found["mean/zero_shot_pixel_auroc"] == found["plate/zero_shot_pixel_auroc"]


def test_a_camera_needs_frames_beside_its_references() -> None:
    with pytest.raises(BadInputError, match="plate"):
        Validation({"plate": normals(4)}, [], TYPES, references=4)

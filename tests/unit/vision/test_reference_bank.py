"""A bank measures the distance to the nearest normal patch, leaves frames out, stays small and survives its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.vision.bank_file import dump_bank, parse_bank
from inspector.vision.coreset import coreset
from inspector.vision.reference_bank import BankInfo, Level, build_bank, nearest_distance
from inspector.vision.texture import TextureFeatures

INFO = BankInfo("inspector-s", 256, "ab" * 32, ScoreMap(1, 0.5), ScoreMap(1, 0.5), ("aa", "bb"))


def features(frames: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    widths = {"early": 24, "late": 24, "texture": 14}
    return {name: torch.randn(frames, 16, width, generator=generator) for name, width in widths.items()}


def test_distances_are_those_of_the_nearest_patch_with_and_without_ones_own_frame() -> None:
    values = features(5)["late"]
    level = Level(values.flatten(0, 1), torch.arange(5).repeat_interleave(16), torch.ones(24))
    # Rounding of |q|^2 + |r|^2 - 2qr leaves a small rest where a patch meets itself.
    torch.testing.assert_close(nearest_distance(values, level), torch.zeros(5, 16), atol=5e-3, rtol=0)
    left_out = nearest_distance(values, level, torch.arange(5))
    for i in range(5):
        others = torch.cat([values[:i], values[i + 1 :]]).flatten(0, 1)
        torch.testing.assert_close(left_out[i], torch.cdist(values[i], others).amin(1), atol=1e-3, rtol=1e-4)


def test_the_normals_themselves_left_out_score_zero_on_average_in_units_of_their_spread() -> None:
    values = features(6)
    scores = build_bank(values).score(values, leave_out=torch.arange(6))
    assert scores.mean().item() == pytest.approx(0, abs=1e-3)
    odd = {name: value.clone() for name, value in features(1, seed=9).items()}
    for value in odd.values():
        value[0, 3] += 10
    assert build_bank(values).score(odd)[0].argmax().item() == 3


def test_a_coreset_is_bounded_covers_clusters_of_any_size_and_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    crowd = torch.randn(500, 40, generator=generator) * 0.01
    loners = torch.eye(40)[:5] * 10
    points = torch.cat([crowd, loners])
    chosen = coreset(points, 10)
    assert len(set(chosen.tolist())) == 10
    assert set(range(500, 505)) <= set(chosen.tolist())
    assert coreset(points, 10).equal(chosen)
    assert coreset(points, 1000).equal(torch.arange(505))


def test_a_bank_comes_back_from_its_file_and_scores_the_same() -> None:
    bank = build_bank(features(8), max_patches=50)
    data = dump_bank(bank, INFO)
    assert dump_bank(bank, INFO) == data
    again, info = parse_bank(data)
    assert info == INFO
    torch.testing.assert_close(again.score(features(2, seed=5)), bank.score(features(2, seed=5)), atol=1e-2, rtol=0)
    assert len(again.levels["late"].patches) == 50


@pytest.mark.parametrize("damage", ["spread", "normal", "frames"])
def test_a_bank_whose_tensors_make_no_sense_is_refused(damage: str) -> None:
    bank = build_bank(features(3))
    level = bank.levels["late"]
    broken = {
        "spread": Level(level.patches, level.frames, level.spread * 0, 0, 1),
        "normal": Level(level.patches, level.frames, level.spread, 0, float("nan")),
        "frames": Level(level.patches, level.frames[:-1], level.spread, 0, 1),
    }[damage]
    data = dump_bank(type(bank)({**bank.levels, "late": broken}), INFO)
    with pytest.raises(BadInputError, match="late"):
        parse_bank(data)


def test_one_frame_is_no_bank() -> None:
    with pytest.raises(BadInputError, match="at least 2 normal frames, got 1"):
        build_bank(features(1))


def test_texture_tells_stripes_by_direction_where_colours_agree() -> None:
    x = torch.arange(64)
    wave = torch.sin(2 * np.pi * x / 4)
    across = wave.expand(3, 64, 64)
    images = torch.stack([across, across.transpose(1, 2), torch.zeros(3, 64, 64)])
    found = TextureFeatures((4, 4))(images)
    assert found.shape == (3, 16, 14)
    centre = found[:, 5]
    torch.testing.assert_close(centre[0, :6], centre[1, :6], atol=1e-4, rtol=0)
    assert centre[0, 6] > 3 * centre[1, 6]
    assert centre[1, 8] > 3 * centre[0, 8]
    assert centre[2].abs().max() < 1e-5

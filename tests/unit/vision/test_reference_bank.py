"""A bank measures the distance to the nearest normal patch, leaves frames out, stays small and survives its file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.scoring import BankLevels, ScoringSettings
from inspector.vision.bank_features import level_shares
from inspector.vision.bank_file import dump_bank, parse_bank
from inspector.vision.coreset import coreset
from inspector.vision.matching import Anywhere, InPlace
from inspector.vision.reference_bank import BankInfo, Level, build_bank
from inspector.vision.texture import TextureFeatures
from inspector.vision.whitening import Whitening, fit_whitening

INFO = BankInfo("inspector-s", 256, "ab" * 32, ScoreMap(1, 0.5), ScoreMap(1, 0.5), ("aa", "bb"))


def features(frames: int, seed: int = 0) -> dict[str, Tensor]:
    """Parts that lie anywhere: no place has a look of its own."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"lower": (4, 4, 24), "detail": (8, 8, 24), "texture": (8, 8, 14)}
    return {name: torch.randn(frames, *shape, generator=generator) for name, shape in shapes.items()}


def fixed_camera(frames: int, seed: int = 0) -> dict[str, Tensor]:
    """Every place has a look of its own, and normals differ from it by a hundredth."""
    return {name: value + 0.01 * features(frames, seed + 1)[name] for name, value in features(1, seed=99).items()}


def test_distances_are_those_of_the_nearest_patch_with_and_without_ones_own_frame() -> None:
    values = features(5)["lower"]
    matcher = Anywhere(values.flatten(0, 2), torch.arange(5).repeat_interleave(16))
    # Rounding of |q|^2 + |r|^2 - 2qr leaves a small rest where a patch meets itself.
    torch.testing.assert_close(matcher.distance(values), torch.zeros(5, 4, 4), atol=5e-3, rtol=0)
    left_out = matcher.distance(values, torch.arange(5)).flatten(1)
    for i in range(5):
        others = torch.cat([values[:i], values[i + 1 :]]).flatten(0, 2)
        torch.testing.assert_close(
            left_out[i], torch.cdist(values[i].flatten(0, 1), others).amin(1), atol=1e-3, rtol=1e-4
        )


def test_in_place_a_patch_meets_its_own_place_and_the_eight_around_it_in_the_other_frames() -> None:
    values = features(3)["texture"]
    found = InPlace(values, torch.arange(3)).distance(values, torch.arange(3))
    for row, column in ((0, 0), (3, 7), (5, 2)):
        around = values[1:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].flatten(0, 2)
        expected = torch.cdist(values[0, row, column][None], around).min()
        torch.testing.assert_close(found[0, row, column], expected, atol=1e-3, rtol=1e-4)


def test_the_normals_choose_between_matching_in_place_and_anywhere() -> None:
    for name in ("detail", "texture"):
        assert isinstance(build_bank(fixed_camera(8)).levels[name].matcher, InPlace)
        assert isinstance(build_bank(features(8)).levels[name].matcher, Anywhere)


def test_what_is_normal_elsewhere_is_not_normal_here_for_a_fixed_camera() -> None:
    swapped = {name: value.clone() for name, value in fixed_camera(1, seed=5).items()}
    for name in ("detail", "texture"):
        swapped[name][0, 1, 1] = swapped[name][0, 6, 6]
    assert build_bank(fixed_camera(8)).score(swapped)[0, 1, 1] > 10
    assert build_bank(fixed_camera(8), ScoringSettings(bank_levels="coarse")).score(swapped)[0, 1, 1] > 10


def test_whitened_distances_count_in_units_of_what_changes_from_frame_to_frame() -> None:
    generator = torch.Generator().manual_seed(0)
    places, noise = torch.randn(1, 8, 8, 2, generator=generator) * 5, torch.randn(50, 8, 8, 2, generator=generator)
    white = fit_whitening(places + noise * torch.tensor([0.1, 2.0]))
    unit = white(torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 2.0]]))
    torch.testing.assert_close(torch.cdist(unit[:1], unit[1:]), torch.ones(1, 2), atol=0.05, rtol=0)


def test_the_normals_themselves_left_out_score_zero_on_average_in_units_of_their_spread() -> None:
    values = features(6)
    scores = build_bank(values).score(values, leave_out=torch.arange(6))
    assert scores.mean().item() == pytest.approx(0, abs=1e-3)
    odd = {name: value.clone() for name, value in features(1, seed=9).items()}
    for value in odd.values():
        value[0, : value.shape[1] // 4, : value.shape[2] // 4] += 10
    scores = build_bank(values).score(odd)[0]
    assert divmod(int(scores.argmax()), 8) in {(0, 0), (0, 1), (1, 0), (1, 1)}


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


@pytest.mark.parametrize("normals", [features, fixed_camera])
def test_a_bank_comes_back_from_its_file_and_scores_the_same(normals: Callable[[int], dict[str, Tensor]]) -> None:
    bank = build_bank(normals(8), ScoringSettings(bank_patches=50))
    data = dump_bank(bank, INFO)
    assert dump_bank(bank, INFO) == data
    again, info = parse_bank(data)
    assert info == INFO
    torch.testing.assert_close(again.score(features(2, seed=5)), bank.score(features(2, seed=5)), atol=1e-2, rtol=1e-3)
    assert type(again.levels["texture"].matcher) is type(bank.levels["texture"].matcher)
    assert {len(level.matcher.patches) for level in again.levels.values()} <= {8, 50}  # in place, or anywhere


@pytest.mark.parametrize("damage", ["normal", "spread", "frames", "whitening", "no whitening", "patches"])
def test_a_bank_whose_tensors_make_no_sense_is_refused(damage: str) -> None:
    bank = build_bank(fixed_camera(3))
    level = bank.levels["texture"]
    matcher, whitening = level.matcher, level.whitening
    assert isinstance(matcher, InPlace)
    assert whitening is not None
    broken = {
        "normal": Level(matcher, whitening, torch.tensor(0.0), torch.tensor(float("nan"))),
        "spread": Level(matcher, whitening, torch.tensor(0.0), torch.tensor(0.0)),
        "frames": Level(InPlace(matcher.patches, matcher.frames[:-1]), whitening),
        "whitening": Level(matcher, Whitening(whitening.centre, whitening.matrix[:-1])),
        "no whitening": Level(matcher, None),
        "patches": Level(InPlace(matcher.patches / 0, matcher.frames), whitening),
    }[damage]
    data = dump_bank(type(bank)({**bank.levels, "texture": broken}), INFO)
    with pytest.raises(BadInputError, match=r"texture|whitening"):
        parse_bank(data)


def test_no_frame_is_no_bank() -> None:
    with pytest.raises(BadInputError, match="at least one normal frame, got none"):
        build_bank(features(0))


def test_one_frame_is_measured_against_its_own_blocks_and_finds_what_it_does_not_show() -> None:
    bank = build_bank(features(1))
    usual, strange = features(1, seed=1), {name: value.clone() for name, value in features(1, seed=1).items()}
    strange["detail"][0, 2, 3] += 10
    strange["texture"][0, 2, 3] += 10
    assert bank.score(usual).mean().abs() < 1
    assert bank.score(strange).flatten().argmax() == 2 * 8 + 3
    coarse = build_bank(features(1), ScoringSettings(bank_levels="coarse"))
    assert coarse.score(strange).flatten().argmax() == 2 * 8 + 3
    assert build_bank({name: torch.zeros_like(value) for name, value in usual.items()}).score(usual).isfinite().all()


def test_the_settings_bound_the_memory_and_choose_the_matching() -> None:
    small = build_bank(fixed_camera(12), ScoringSettings(bank_patches=20, bank_frames=3))
    assert len(small.levels["texture"].matcher.patches) == 3
    anywhere = build_bank(fixed_camera(12), ScoringSettings(bank_patches=20, bank_matching="anywhere"))
    assert {len(level.matcher.patches) for level in anywhere.levels.values()} == {20}
    for matching, matcher in (("in_place", InPlace), ("anywhere", Anywhere)):
        for normals in (fixed_camera(4), features(4), features(1)):
            bank = build_bank(normals, ScoringSettings(bank_matching=matching))  # type: ignore[arg-type]  # a literal
            assert all(isinstance(level.matcher, matcher) for level in bank.levels.values())


def test_a_bank_of_the_schema_before_is_refused_with_what_to_do() -> None:
    data = dump_bank(build_bank(features(5)), INFO)
    assert b"inspection.bank/7" in data
    with pytest.raises(BadInputError, match="enrol the camera again"):
        parse_bank(data.replace(b"inspection.bank/7", b"inspection.bank/6"))


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        ("texture", ["texture"]),
        ("tower", ["lower"]),
        ("coarse", ["lower", "texture"]),
        ("detail", ["detail", "texture"]),
    ],
)
def test_a_bank_of_some_levels_is_blind_to_the_others_and_survives_its_file(
    levels: BankLevels, names: list[str]
) -> None:
    bank = build_bank(features(5), ScoringSettings(bank_levels=levels))
    again, _ = parse_bank(dump_bank(bank, INFO))
    assert list(again.levels) == names
    changed = features(5)
    for name in {"lower", "detail", "texture"} - set(level_shares(names)):
        changed[name] += 1
    torch.testing.assert_close(again.score(changed), bank.score(features(5)), atol=1e-2, rtol=1e-3)


PLAIN = ((0.0,) * 3, (1.0,) * 3)


def test_texture_tells_stripes_by_direction_where_colours_agree() -> None:
    wave = 0.5 + 0.2 * torch.sin(2 * np.pi * torch.arange(64) / 4)
    across = wave.expand(3, 64, 64)
    images = torch.stack([across, across.transpose(1, 2), torch.full((3, 64, 64), 0.5)])
    found = TextureFeatures(*PLAIN)(images, (4, 4))
    assert found.shape == (3, 4, 4, 14)
    centre = found[:, 1, 1]
    torch.testing.assert_close(centre[0, :6], centre[1, :6], atol=1e-4, rtol=0)
    assert centre[0, 6] > centre[1, 6] + 1
    assert centre[1, 8] > centre[0, 8] + 1
    assert centre[2, 6:].max() < centre[:2, 6:].max() - 2


def test_more_light_adds_about_the_same_to_every_texture_feature_and_normalisation_changes_nothing() -> None:
    # Blocks of 4 px on grey, so that every wavelength has energy well above the floor of the logarithm.
    blocks = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).round()
    image = 0.2 + 0.6 * blocks.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(1, 3, 64, 64)
    dim, bright = (TextureFeatures(*PLAIN)(light, (4, 4)) for light in (image, image * 1.2))
    torch.testing.assert_close(bright - dim, torch.full_like(dim, float(np.log(1.2))), atol=0.05, rtol=0)
    normalised = TextureFeatures((0.4,) * 3, (0.2,) * 3)((image - 0.4) / 0.2, (4, 4))
    torch.testing.assert_close(normalised, dim, atol=1e-3, rtol=1e-3)

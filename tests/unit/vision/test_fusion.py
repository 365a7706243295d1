"""The zero-shot map beside what a camera usually shows, fused with distances, in banks and in mutual scoring."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from engine_kit import PLATE, SPEC, frame, version_of, weights
from torch import Tensor

from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraMode, CameraSettings, DefectSpec, ProductSettings
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.vision.bank_features import ZERO_SHOT
from inspector.vision.bank_file import dump_bank, parse_bank
from inspector.vision.engine import InspectionEngine
from inspector.vision.image_score import peaks
from inspector.vision.normal_map import NormalMap, logit_of, zero_shot_level
from inspector.vision.reference_bank import ReferenceBank

NEW_WORDS = ProductSettings("plate", (DefectSpec("rust"), DefectSpec("paint run"), DefectSpec("burr")))


def engine(scoring: ScoringSettings | None = None, *, trained: bool = True) -> InspectionEngine:
    prompt_weights, manifest = weights()
    cameras = {"cam1": CameraSettings("plate"), "cam2": CameraSettings("plate", mode=CameraMode.MUTUAL)}
    manifest = dataclasses.replace(manifest, trained=trained)
    return InspectionEngine(SPEC, prompt_weights, manifest, {"plate": PLATE}, cameras, True, None, scoring)


def enrolled(scoring: ScoringSettings | None = None) -> tuple[InspectionEngine, bytes]:
    served = engine(scoring)
    data = served.enroll([served.decode(frame(seed)).pixels for seed in range(8)], product_name="plate")
    served.set_bank("cam1", version_of(data), data)
    return served, data


def maps(frames: int, seed: int = 0, noise: float = 0.1) -> Tensor:
    """Zero-shot maps of a fixed camera: the corner looks like a defect on every part."""
    found = noise * torch.randn(frames, 6, 6, 1, generator=torch.Generator().manual_seed(seed)) - 2
    found[:, 0, 0] += 4
    return found


def test_what_looks_defective_on_every_part_is_usual_and_what_does_so_on_one_is_not() -> None:
    normal = NormalMap(maps(9), torch.arange(9))
    odd = maps(1, seed=1)
    odd[0, 3, 4] += 2
    found = normal.distance(odd)[0]
    assert abs(found[0, 0]) < 0.5
    assert found[3, 4] == pytest.approx(2, abs=0.5)


def test_a_frame_that_is_left_out_does_not_excuse_itself() -> None:
    frames = maps(3)
    frames[1, 2, 2] += 3
    normal = NormalMap(frames, torch.arange(3))
    left_out = normal.distance(frames, torch.arange(3))
    assert left_out[1, 2, 2] > 2.5
    assert left_out[1, 2, 2] == pytest.approx(
        float(NormalMap(frames[[0, 2]], torch.arange(2)).distance(frames)[1, 2, 2])
    )


def test_where_parts_lie_anywhere_a_place_has_no_look_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(8, 12, 12, 1, generator=generator)
    found = NormalMap(frames, torch.arange(8)).distance(torch.zeros(1, 12, 12, 1))
    assert found.std() < 0.25  # the medians of 8 at each place vary by 0.44


def test_one_map_is_known_but_for_its_middle() -> None:
    single = maps(1)
    assert NormalMap(single, torch.arange(1)).distance(single).median() == 0


def test_the_level_is_the_logit_of_the_map() -> None:
    generator = torch.Generator().manual_seed(0)
    adapted = [torch.randn(2, 6, 5, generator=generator) for _ in range(3)]
    text = torch.nn.functional.normalize(torch.randn(2, 4, 5, generator=generator), dim=-1)
    mask = torch.ones(2, 4, dtype=torch.bool)
    level = zero_shot_level(adapted, text, mask, (2, 3))
    cosines = torch.stack([torch.nn.functional.normalize(tap, dim=-1) @ text.transpose(1, 2) for tap in adapted])
    anomalous = 1 - (cosines / 0.07).softmax(-1)[..., 0].mean(0)
    torch.testing.assert_close(level[..., 0].sigmoid().flatten(1), anomalous, atol=1e-5, rtol=0)
    assert logit_of(torch.tensor([0.0, 1.0])).isfinite().all()


def test_a_bank_with_zero_shot_maps_comes_back_from_its_file_and_not_without_its_text() -> None:
    _, data = enrolled()
    bank, info = parse_bank(data)
    assert bank.text is not None
    assert list(bank.levels)[-1] == ZERO_SHOT
    assert isinstance(bank.levels[ZERO_SHOT].matcher, NormalMap)
    with pytest.raises(BadInputError, match="without the text"):
        parse_bank(dump_bank(ReferenceBank(bank.levels), info))


def test_later_words_of_the_product_change_what_a_defect_is_called_and_no_score() -> None:
    served, _ = enrolled()
    odd = served.decode(frame(100, defect=True))
    (before,) = served.score_raw([odd])
    served.set_product("plate", NEW_WORDS)
    (after,) = served.score_raw([odd])
    np.testing.assert_allclose(after.anomaly_map, before.anomaly_map, atol=1e-4)
    assert after.image_score == pytest.approx(before.image_score, abs=1e-4)
    assert len(after.type_grid) == 3


def test_a_frame_of_the_bank_is_left_out_of_its_zero_shot_maps_too() -> None:
    served, data = enrolled()
    bank, info = parse_bank(data)
    own = served.decode(frame(3))
    (left_out,) = served.score_raw([own])
    anonymous = dataclasses.replace(info, frame_digests=tuple(f"{i:032x}" for i in range(8)))
    again = dump_bank(bank, anonymous)
    served.set_bank("cam1", version_of(again), again)
    (kept,) = served.score_raw([own])
    assert kept.image_score < left_out.image_score


def test_the_settings_decide_whether_the_zero_shot_map_counts_and_untrained_text_never_does() -> None:
    _, fused = enrolled()
    alone = ScoringSettings(bank_fusion="none")
    _, unfused = enrolled(alone)
    assert ZERO_SHOT in parse_bank(fused)[0].levels
    assert ZERO_SHOT not in parse_bank(unfused)[0].levels
    with pytest.raises(BadInputError, match="enrol the camera again"):
        engine().set_bank("cam1", version_of(unfused), unfused)
    untrained = engine(trained=False)
    data = untrained.enroll([untrained.decode(frame(seed)).pixels for seed in range(8)], product_name="plate")
    assert ZERO_SHOT not in parse_bank(data)[0].levels


def test_a_bank_is_of_the_image_scores_it_was_made_with() -> None:
    _, data = enrolled()
    with pytest.raises(BadInputError, match=r"peak_fraction=0\.1, got as shipped"):
        engine(ScoringSettings(peak_fraction=0.1)).set_bank("cam1", version_of(data), data)


def test_other_words_start_the_neighbours_of_a_camera_anew_where_its_maps_are_of_them() -> None:
    for scoring, mode in ((None, ScoreMode.ZERO_SHOT), (ScoringSettings(mutual_fusion="none"), ScoreMode.MUTUAL)):
        served = engine(scoring)
        served.inspect([served.decode(frame(seed, "cam2")) for seed in range(8)])
        served.set_product("plate", NEW_WORDS)
        assert served.inspect([served.decode(frame(9, "cam2"))])[0].mode is mode


def test_the_neighbours_zero_shot_maps_have_a_share_in_the_mutual_score() -> None:
    frames = [frame(seed, "cam2", defect=seed == 100) for seed in (*range(9), 100)]
    fused, alone = engine(), engine(ScoringSettings(mutual_fusion="none"))
    with_maps, without = (each.score_mutually([each.decode(one) for one in frames])[-1] for each in (fused, alone))
    assert not np.allclose(with_maps.anomaly_map, without.anomaly_map, atol=0.1)


def test_the_image_score_is_the_mean_of_the_highest_inspected_pixels_and_the_pixel_peak_the_highest() -> None:
    found = np.arange(16, dtype=np.float32).reshape(4, 4)
    everywhere = peaks(found, PLATE, 0.25)
    assert (everywhere.image, everywhere.pixel) == (13.5, 15)
    assert peaks(found, PLATE, 0).image == 15
    left = ProductSettings("plate", PLATE.defects, region_of_interest=(((0, 0), (0.4, 0), (0.4, 1), (0, 1)),))
    assert peaks(found, left, 0.25).image == pytest.approx((13 + 12) / 2)
    nowhere = ProductSettings("plate", PLATE.defects, ignore=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    assert peaks(found, nowhere, 0.25).image == 0

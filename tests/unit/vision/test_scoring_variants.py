"""Scores beyond the paper's own way: other image scores, maps that travel with weights, references of a few frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_kit import NOW, PLATE, SPEC, frame, weights
from hypothesis import given
from hypothesis import strategies as st

from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.domain.records import to_json
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.vision.engine import InspectionEngine
from inspector.vision.image_score import zero_shot_score

FUSED = ScoringSettings(image_score="fused", fused_top_fraction=0.25)
LEFT = (((0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0)),)
EVERYWHERE = (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)

ZERO_SHOT = CameraSettings("plate", mode=CameraMode.ZERO_SHOT)
# References that a test gives it are used by the camera of mode auto; the other one never has neighbours.
CAMERAS = {"cam1": CameraSettings("plate"), "cam2": ZERO_SHOT}


def engine(scoring: ScoringSettings | None = None) -> InspectionEngine:
    return InspectionEngine(SPEC, *weights(), {"plate": PLATE}, CAMERAS, True, None, scoring)


def test_the_fused_score_is_half_cls_and_half_the_mean_of_the_highest_inspected_pixels() -> None:
    found = np.zeros((4, 4), np.float32)
    found[0, 3], found[2] = 1.0, (0.8, 0.6, 0.4, 0.2)
    assert zero_shot_score(0.3, found, PLATE, ScoringSettings()) == 0.3
    # 4 of 16 pixels: 1, .8, .6, .4
    assert zero_shot_score(0.3, found, PLATE, FUSED) == pytest.approx((0.3 + 0.7) / 2)
    # The left half, 2 of 8 pixels: .8, .6; CLS is limited by what is seen there.
    left = ProductSettings("plate", PLATE.defects, region_of_interest=LEFT)
    assert zero_shot_score(0.9, found, left, FUSED) == pytest.approx((0.8 + 0.7) / 2)
    assert zero_shot_score(0.9, found, ProductSettings("plate", PLATE.defects, ignore=EVERYWHERE), FUSED) == 0


def test_the_mean_score_is_that_of_the_inspected_pixels() -> None:
    found = np.zeros((4, 4), np.float32)
    found[0, 0], found[:, 3] = 0.8, 0.2
    mean = ScoringSettings(image_score="mean")
    assert zero_shot_score(0.9, found, PLATE, mean) == pytest.approx(1.6 / 16)
    left = ProductSettings("plate", PLATE.defects, region_of_interest=LEFT)
    assert zero_shot_score(0.9, found, left, mean) == pytest.approx(0.8 / 8)
    assert zero_shot_score(0.9, found, ProductSettings("plate", PLATE.defects, ignore=EVERYWHERE), mean) == 0


def test_score_maps_that_travel_with_the_weights_are_those_of_a_camera_without_its_own() -> None:
    prompts, manifest = weights()
    decoded = engine().decode(frame(1, camera_id="cam2"))
    ((plain, raw),) = engine().inspect_with_raw([decoded])
    assert plain.anomaly_score == pytest.approx(raw.image_score)
    shipped = replace(manifest, image_threshold=raw.image_score, image_scale=0.01, pixel_threshold=0.5, pixel_scale=0.1)
    served = InspectionEngine(SPEC, prompts, shipped, {"plate": PLATE}, CAMERAS, True)
    ((verdict, again),) = served.inspect_with_raw([decoded])
    assert again.image_score == pytest.approx(raw.image_score)
    assert verdict.anomaly_score == pytest.approx(0.5, abs=1e-3)
    assert verdict.image_threshold == 0.5
    above = replace(shipped, image_threshold=max(0.0, raw.image_score - 0.03))
    ((verdict, _),) = InspectionEngine(SPEC, prompts, above, {"plate": PLATE}, CAMERAS, True).inspect_with_raw(
        [decoded]
    )
    assert verdict.anomaly_score == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-2)


@given(st.floats(0, 1), st.floats(0.001, 1), st.lists(st.floats(0, 1, width=32), min_size=16, max_size=16))
def test_the_fused_score_lies_in_0_to_1_and_grows_with_the_map(cls: float, top: float, values: list[float]) -> None:
    found = np.array(values, np.float32).reshape(4, 4)
    scoring = ScoringSettings(image_score="fused", fused_top_fraction=top)
    score = zero_shot_score(cls, found, PLATE, scoring)
    assert 0 <= score <= zero_shot_score(cls, np.minimum(found + 0.1, 1), PLATE, scoring) + 1e-6 <= 1 + 1e-6


def test_the_engine_scores_as_its_settings_say() -> None:
    decoded = engine().decode(frame(1))
    (cls,), (fused,) = engine().score_raw([decoded]), engine(FUSED).score_raw([decoded])
    np.testing.assert_allclose(cls.anomaly_map, fused.anomaly_map, atol=1e-5)
    top = np.sort(fused.anomaly_map, axis=None)[-fused.anomaly_map.size // 4 :].mean()
    assert fused.image_score == pytest.approx((cls.image_score + top) / 2, abs=1e-4)


@pytest.mark.parametrize("shots", [1, 2, 4])
def test_a_reference_of_a_few_frames_finds_the_defect_where_it_is(shots: int) -> None:
    served = engine()
    served.use_reference("cam1", [served.decode(frame(seed)).pixels for seed in range(shots)])
    good, bad = (served.decode(frame(seed, defect=seed == 100)) for seed in (50, 100))
    (_, usual), (verdict, strange) = served.inspect_with_raw([good, bad])
    assert verdict.mode is ScoreMode.BANK
    assert 0 <= verdict.anomaly_score <= 1
    assert strange.image_score > usual.image_score
    row, column = np.unravel_index(strange.anomaly_map.argmax(), strange.anomaly_map.shape)
    # x 150..190 of 240, y 40..70 of 192, on a map of 96
    assert 52 <= column <= 84
    assert 14 <= row <= 41


def test_a_frame_scored_against_itself_alone_is_not_infinitely_strange() -> None:
    served = engine()
    decoded = served.decode(frame(1))
    served.use_reference("cam1", [decoded.pixels, decoded.pixels])
    assert np.isfinite(served.score_raw([decoded])[0].anomaly_map).all()


def test_a_reference_needs_a_frame() -> None:
    with pytest.raises(BadInputError, match="at least one normal frame"):
        engine().use_reference("cam1", [])


@pytest.mark.parametrize(
    "wrong", [{"image_score": "max"}, {"mutual_keep": 0}, {"mutual_frames": 7}, {"bank_patches": 1}]
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match=next(iter(wrong))):
        ScoringSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_calibration_is_of_the_scores_it_was_made_from() -> None:
    plain, fused = engine(), engine(FUSED)
    normal = [plain.decode(frame(seed)) for seed in range(8)]
    of_plain, of_fused = (to_json(each.calibrate("cam1", normal, NOW)) for each in (plain, fused))
    fused.set_calibration("f", of_fused)
    assert fused.inspect(normal[:1])[0].calibration_version == "f"
    with pytest.raises(BadInputError, match=r"image_score=fused fused_top_fraction=0\.25, got as shipped"):
        fused.set_calibration("p", of_plain)
    with pytest.raises(BadInputError, match="as shipped"):
        plain.set_calibration("f", of_fused)
    plain.set_calibration("p", of_plain)


@pytest.mark.parametrize(
    ("scoring", "tiles", "made_with"), [(FUSED, 1, "fused and tiles: 1"), (None, 2, "cls and tiles: 2")]
)
def test_a_threshold_of_scores_made_another_way_is_told_once_for_each_camera_and_product(
    scoring: ScoringSettings | None, tiles: int, made_with: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = engine(scoring)
    served.set_camera("cam1", ZERO_SHOT)
    for name in ("plate", "board"):
        served.set_product(name, ProductSettings(name, PLATE.defects, tiles=tiles))
    for camera_id, product in (("cam1", "plate"), ("cam2", "plate"), ("cam1", "board"), ("cam1", "plate")):
        served.inspect([served.decode(frame(1, camera_id, product))] * 2)
    told = [message.split(": ")[0] for message in caplog.messages]
    assert told == ["camera cam1, product plate", "camera cam2, product plate", "camera cam1, product board"]
    assert all(f"scores made with {made_with} are of another scale: calibrate" in each for each in caplog.messages)


def test_nothing_is_told_where_the_threshold_is_of_the_cameras_scores(caplog: pytest.LogCaptureFixture) -> None:
    plain, fused = engine(), engine(FUSED)
    normal = [fused.decode(frame(seed)) for seed in range(8)]
    plain.inspect(normal[:1])
    fused.is_sound()
    fused.set_calibration("f", to_json(fused.calibrate("cam1", normal, NOW)))
    fused.set_camera("cam2", CameraSettings("plate", image_threshold=0.7))
    fused.set_camera("cam3", CameraSettings("plate", mode=CameraMode.MUTUAL))
    fused.inspect([normal[0], fused.decode(frame(1, "cam2")), fused.decode(frame(1, "cam3"))])
    assert caplog.messages == []


def test_only_settings_that_change_a_modes_scores_part_it_from_its_calibration() -> None:
    changed = ScoringSettings(mutual_keep=0.5, fused_top_fraction=0.5, bank_levels="tower", mutual_memory_mb=7)
    assert changed.variant(ScoreMode.ZERO_SHOT) == ""
    assert changed.variant(ScoreMode.BANK) == ""
    assert changed.variant(ScoreMode.MUTUAL) == "way=6 mutual_keep=0.5 bank_levels=tower"
    assert ScoringSettings(image_score="contrast").variant(ScoreMode.ZERO_SHOT) == "way=4 image_score=contrast"
    assert ScoringSettings(image_score="mean").variant(ScoreMode.ZERO_SHOT) == "way=3 image_score=mean"

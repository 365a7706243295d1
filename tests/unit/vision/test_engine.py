"""The engine as the pipeline uses it: what it finds, and what a change of bank, calibration or words does."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from engine_kit import BOARD, NOW, PLATE, SPEC, engine, frame, version_of, weights

from inspector.domain.artefact import Calibration, ScoreMap
from inspector.domain.defect import Point
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings, DefectSpec, ProductSettings
from inspector.domain.records import to_json
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import Engine
from inspector.vision import judge as judging
from inspector.vision.bank_file import parse_bank
from inspector.vision.decode import decode_full
from inspector.vision.engine import InspectionEngine
from inspector.vision.opencv import cv2
from inspector.vision.overlay import draw_overlay


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bank() -> bytes:
    made = engine()
    return made.enroll([made.decode(frame(seed)).pixels for seed in range(12)])


@pytest.fixture
def enrolled(bank: bytes) -> InspectionEngine:
    made = engine()
    made.set_bank("cam1", version_of(bank), bank)
    return made


def test_it_is_the_engine_the_pipeline_asks_for() -> None:
    served: Engine = engine()
    assert served.model_name == SPEC.name
    assert served.weights_version == weights()[1].version


def test_an_enrolled_camera_finds_the_defect_where_it_is_and_shows_it(enrolled: InspectionEngine, bank: bytes) -> None:
    bad = enrolled.decode(frame(100, defect=True))
    normal, anomalous = enrolled.inspect([enrolled.decode(frame(101)), bad])
    assert anomalous.anomaly_score > normal.anomaly_score
    assert anomalous.pred_label is PredLabel.ANOMALOUS
    assert anomalous.mode is ScoreMode.BANK
    assert anomalous.bank_version == version_of(bank)
    x, y, w, h = anomalous.defects[0].box
    assert x < 170 < x + w
    assert y < 55 < y + h
    assert anomalous.evidence.frame == bad.frame.image
    assert decode_full(anomalous.evidence.overlay or b"").shape[0] > 192
    mask = decode_full(anomalous.evidence.mask or b"")[..., 0]
    assert mask.shape == (192, 240)
    assert mask[55, 170] == 255
    assert set(anomalous.timings_ms) == {"decode", "preprocess", "score", "bank", "regions", "overlay"}


def test_an_anomalous_frame_without_a_region_shows_where_to_look_and_has_no_empty_mask(
    enrolled: InspectionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[Point | None] = []

    def draw(*args: Any, highest: Point | None, **options: Any) -> bytes:
        marked.append(highest)
        return draw_overlay(*args, highest=highest, **options)

    monkeypatch.setattr(judging, "draw_overlay", draw)
    enrolled.set_camera("cam1", CameraSettings("plate", image_threshold=0.0))
    enrolled.set_product("plate", ProductSettings("plate", (DefectSpec("scratch", min_area_px=10**6),)))
    (verdict,) = enrolled.inspect([enrolled.decode(frame(100, defect=True))])
    assert verdict.pred_label is PredLabel.ANOMALOUS
    assert verdict.defects == ()
    assert verdict.evidence.overlay is not None
    assert verdict.evidence.mask is None
    (spot,) = marked
    assert spot is not None
    assert abs(spot.x - 170) < 40
    assert abs(spot.y - 55) < 40


def plain_frame(width: int, height: int) -> Frame:
    image = cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))[1].tobytes()
    meta = FrameMeta(f"{width}x{height}", "cam1", "line-1", "plate", NOW, "image/png")
    return Frame(meta, FrameSource("inspection.frames", 0, 0), image)


@pytest.mark.parametrize("size", [(1, 1000), (8, 2000), (100, 2000), (200, 4300), (66_000, 30), (30, 66_000), (1, 1)])
def test_a_frame_of_any_shape_gets_its_verdict_and_its_pictures(size: tuple[int, int]) -> None:
    served = engine()
    served.set_camera("cam1", CameraSettings("plate", image_threshold=0.0, pixel_threshold=0.0))
    (verdict,) = served.inspect([served.decode(plain_frame(*size))])
    assert verdict.pred_label is PredLabel.ANOMALOUS
    assert verdict.evidence.overlay is not None
    assert decode_full(verdict.evidence.mask or b"").shape[1::-1] == size


@pytest.mark.parametrize("failing", ["decode_view", "draw_overlay", "draw_mask"])
@pytest.mark.parametrize("error", [ValueError, OSError, cv2.error, MemoryError])
def test_pictures_that_cannot_be_made_cost_no_verdict(
    failing: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object, **_options: object) -> NoReturn:
        raise error("made to fail")

    monkeypatch.setattr(judging, failing, fail)
    served = engine()
    served.set_camera("cam1", CameraSettings("plate", image_threshold=0.0))
    decoded = served.decode(frame(1))
    (verdict,) = served.inspect([decoded])
    assert verdict.pred_label is PredLabel.ANOMALOUS
    assert verdict.evidence.frame == decoded.frame.image
    assert verdict.evidence.overlay is None
    assert [record.getMessage() for record in caplog.records] == ["no pictures of frame f1: they could not be drawn"]


def test_a_normal_frame_keeps_no_pictures(enrolled: InspectionEngine) -> None:
    enrolled.set_camera("cam1", CameraSettings("plate", image_threshold=1.0))
    (verdict,) = enrolled.inspect([enrolled.decode(frame(101))])
    assert verdict.pred_label is PredLabel.NORMAL
    assert (verdict.evidence.frame, verdict.evidence.overlay, verdict.evidence.mask) == (None, None, None)
    assert "overlay" not in verdict.timings_ms


def test_a_mixed_batch_scores_each_frame_as_it_would_be_scored_alone(enrolled: InspectionEngine) -> None:
    frames = [
        enrolled.decode(frame(1, "cam1", "plate", defect=True)),
        enrolled.decode(frame(2, "cam2", "board")),
        enrolled.decode(frame(3, "stranger", "unheard-of")),
        enrolled.decode(frame(4, "cam2", "plate")),
    ]
    together = enrolled.score_raw(frames)
    for mixed, single in zip(together, (enrolled.score_raw([one])[0] for one in frames), strict=True):
        np.testing.assert_allclose(mixed.anomaly_map, single.anomaly_map, atol=1e-3)
        np.testing.assert_allclose(mixed.type_grid, single.type_grid, atol=1e-4)
        assert mixed.image_score == pytest.approx(single.image_score, abs=1e-3)
    sizes = [len(raw.type_grid) for raw in together]
    assert sizes == [len(PLATE.defects), len(BOARD.defects), len(ProductSettings().defects), len(PLATE.defects)]


def test_without_a_bank_the_thresholds_of_the_weights_judge() -> None:
    prompt_weights, manifest = weights()
    strict = dataclasses.replace(manifest, image_threshold=0.0, pixel_threshold=1.0)
    served = InspectionEngine(SPEC, prompt_weights, strict, {"plate": PLATE}, {})
    (verdict,) = served.inspect([served.decode(frame(1))])
    assert verdict.mode is ScoreMode.ZERO_SHOT
    assert verdict.image_threshold == 0.0
    assert verdict.pred_label is PredLabel.ANOMALOUS
    assert verdict.defects == ()


def test_a_camera_in_zero_shot_mode_leaves_its_bank_alone(enrolled: InspectionEngine) -> None:
    enrolled.set_camera("cam1", CameraSettings("plate", mode=CameraMode.ZERO_SHOT))
    (verdict,) = enrolled.inspect([enrolled.decode(frame(1))])
    assert verdict.mode is ScoreMode.ZERO_SHOT
    assert verdict.bank_version is None


def test_a_frame_of_the_bank_is_scored_without_itself(enrolled: InspectionEngine) -> None:
    inside, outside = enrolled.score_raw([enrolled.decode(frame(0)), enrolled.decode(frame(50))])
    assert inside.image_score > outside.image_score - 3  # not the far lower score of a frame that meets itself
    assert inside.anomaly_map.mean() > -0.7


def test_a_calibration_of_the_bank_in_use_replaces_the_banks_own(enrolled: InspectionEngine, bank: bytes) -> None:
    frames = [enrolled.decode(frame(seed)) for seed in range(20, 32)]
    calibration = enrolled.calibrate("cam1", frames, NOW)
    assert calibration.bank_version == version_of(bank)
    data = to_json(calibration)
    enrolled.set_calibration("cal-1", data)
    verdicts = enrolled.inspect(frames)
    assert {verdict.calibration_version for verdict in verdicts} == {"cal-1"}
    assert np.median([verdict.anomaly_score for verdict in verdicts]) == pytest.approx(0.1, abs=0.02)
    of_another_bank = dataclasses.replace(calibration, bank_version="0" * 64)
    enrolled.set_calibration("cal-2", to_json(of_another_bank))
    assert enrolled.inspect(frames[:1])[0].calibration_version == "cal-1"


def test_new_words_are_encoded_and_bad_ones_change_nothing() -> None:
    served = engine()
    served.set_product("plate", ProductSettings("plate", (DefectSpec("burr"), DefectSpec("rust"), DefectSpec("pit"))))
    assert len(served.score_raw([served.decode(frame(1))])[0].type_grid) == 3
    with pytest.raises(BadInputError):
        served.set_product("plate", ProductSettings("plate", (DefectSpec("1" * 80),)))
    assert len(served.score_raw([served.decode(frame(1))])[0].type_grid) == 3


def test_unknown_cameras_are_served_only_where_allowed() -> None:
    assert engine().find_camera("stranger") == CameraSettings()
    closed = engine(allow_unknown=False)
    assert closed.find_camera("stranger") is None
    closed.set_camera("stranger", CameraSettings("board"))
    assert closed.find_camera("stranger") == CameraSettings("board")


def test_a_bank_or_calibration_of_other_weights_is_refused_and_the_one_in_use_stays(
    enrolled: InspectionEngine, bank: bytes
) -> None:
    other = engine(seed=1)
    with pytest.raises(BadInputError, match="again with the weights in use"):
        other.set_bank("cam1", version_of(bank), bank)
    foreign = Calibration("cam1", ScoreMode.BANK, "f" * 64, ScoreMap(1, 1), ScoreMap(1, 1), 9, 0.01, NOW)
    with pytest.raises(BadInputError, match="calibrate camera cam1 again"):
        enrolled.set_calibration("v", to_json(foreign))
    own = dataclasses.replace(foreign, weights_version=enrolled.weights_version, bank_version=version_of(bank))
    with pytest.raises(BadInputError, match="scale as a finite number above 0"):
        enrolled.set_calibration("v", to_json(own).replace(b'"scale":1.0', b'"scale":NaN'))
    for junk in (
        b"",
        b"junk",
        bank[:-100],
        bank[:8] + b"[" + bank[9:],
        bank.replace(b"detail.patches", b"others.patches"),
    ):
        with pytest.raises(BadInputError):
            enrolled.set_bank("cam1", "junk", junk)
    assert enrolled.inspect([enrolled.decode(frame(1))])[0].bank_version == version_of(bank)


WHOLE = (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)
LEFT = (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),)  # the defect is in the right half


def test_a_frame_that_is_not_looked_at_is_normal() -> None:
    served = engine()
    served.set_camera("cam1", CameraSettings("plate", image_threshold=0.01))
    bad = served.decode(frame(100, defect=True))
    assert served.inspect([bad])[0].pred_label is PredLabel.ANOMALOUS
    served.set_product("plate", dataclasses.replace(PLATE, ignore=WHOLE))
    (verdict,) = served.inspect([bad])
    assert (verdict.pred_label, verdict.anomaly_score, verdict.defects) == (PredLabel.NORMAL, 0, ())


def test_zones_limit_the_zero_shot_score_by_the_map_inside_them() -> None:
    served = engine()
    bad = served.decode(frame(100, defect=True))
    (whole,) = served.score_raw([bad])
    served.set_product("plate", dataclasses.replace(PLATE, region_of_interest=LEFT))
    (limited,) = served.score_raw([bad])
    side = limited.anomaly_map.shape[1]
    assert limited.image_score == pytest.approx(
        min(whole.image_score, float(whole.anomaly_map[:, : side // 2].max())), abs=5e-3
    )
    assert limited.image_score <= float(limited.anomaly_map[:, : side // 2 + 1].max())


def test_a_defect_outside_the_region_of_interest_does_not_count_for_a_bank_or_a_calibration(
    enrolled: InspectionEngine,
) -> None:
    bad = enrolled.decode(frame(100, defect=True))
    everywhere = enrolled.score_raw([bad])[0].image_score
    frames = [enrolled.decode(frame(seed, defect=True)) for seed in range(20, 28)]
    enrolled.set_product("plate", dataclasses.replace(PLATE, region_of_interest=LEFT))
    (scored,) = enrolled.score_raw([bad])
    assert scored.image_score < everywhere / 2
    assert scored.anomaly_map.max() >= everywhere  # the mean of its highest values
    calibration = enrolled.calibrate("cam1", frames, NOW)
    assert calibration.pixel.midpoint >= calibration.image.midpoint  # of the highest value, and of the highest few


def test_a_banks_own_threshold_is_of_the_area_that_is_inspected() -> None:
    made = engine()
    frames = [made.decode(frame(seed, defect=seed % 2 == 0)) for seed in range(10)]
    everywhere = parse_bank(made.enroll([each.pixels for each in frames], product_name="plate"))[1].image
    made.set_product("plate", dataclasses.replace(PLATE, region_of_interest=LEFT))
    bank = made.enroll([each.pixels for each in frames], product_name="plate")
    limited = parse_bank(bank)[1].image
    made.set_bank("cam1", version_of(bank), bank)
    calibrated = made.calibrate("cam1", frames, NOW).image  # the same frames, each left out of the bank
    assert limited.midpoint == pytest.approx(calibrated.midpoint, rel=0.02)
    assert limited.midpoint < everywhere.midpoint / 2


def test_a_score_at_the_threshold_is_anomalous() -> None:
    served = engine()
    decoded = served.decode(frame(1))
    (verdict,) = served.inspect([decoded])
    for threshold, label in ((verdict.anomaly_score, PredLabel.ANOMALOUS), (1.0, PredLabel.NORMAL)):
        served.set_camera("cam1", CameraSettings("plate", image_threshold=threshold))
        assert served.inspect([decoded])[0].pred_label is label
        assert verdict.anomaly_score < 1


def test_a_types_own_lower_threshold_finds_what_the_cameras_would_not() -> None:
    served = engine()
    served.set_camera("cam1", CameraSettings("plate", pixel_threshold=1.0))
    decoded = served.decode(frame(1))
    assert served.inspect([decoded])[0].defects == ()
    low = dataclasses.replace(PLATE, defects=tuple(DefectSpec(d.name, threshold=0.0) for d in PLATE.defects))
    served.set_product("plate", low)
    assert served.inspect([decoded])[0].defects != ()


def test_too_few_frames_cannot_be_enrolled_even_if_one_is_repeated() -> None:
    made = engine()
    pixels = [made.decode(frame(seed % 7)).pixels for seed in range(20)]
    with pytest.raises(BadInputError, match="at least 8 different normal frames, got 7"):
        made.enroll(pixels)


def test_the_same_frames_give_the_same_bank(bank: bytes) -> None:
    made = engine()
    assert made.enroll([made.decode(frame(seed)).pixels for seed in range(12)]) == bank

"""Large frames through tiles, as the pipeline meets them: small defects, seams, mixed batches, settings that change."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import weakref
from typing import Any, Literal

import numpy as np
import pytest
import torch
from engine_kit import NOW, PLATE, SPEC, frame, version_of, weights
from numpy.typing import NDArray

from inspector.domain.artefact import Calibration, ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.domain.records import to_json
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import BankLevels, ScoringSettings
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.vision import bank_file, camera_book
from inspector.vision.engine import InspectionEngine
from inspector.vision.judge import RawScores, judge
from inspector.vision.opencv import cv2

WIDTH, HEIGHT = 1280, 1024
TILED = dataclasses.replace(PLATE, tiles=3)  # at 96 px: 224 px a side
SIDES = {1: 96, 2: 160, 3: 224}


def engine(plate: ProductSettings = TILED, max_tiles: int = 16, levels: BankLevels = "all") -> InspectionEngine:
    cameras = {"cam1": CameraSettings("plate"), "cam2": CameraSettings("whole")}
    products = {"plate": plate, "whole": PLATE}
    scoring = ScoringSettings(bank_levels=levels)
    return InspectionEngine(SPEC, *weights(), products, cameras, max_tiles=max_tiles, scoring=scoring)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def surface(seed: int) -> NDArray[np.uint8]:
    """Grey, evenly rough, a little brighter from left to right."""
    rng = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(rng.normal(0, 60, (HEIGHT, WIDTH)), (0, 0), sigmaX=2)
    light = np.linspace(110, 140, WIDTH) + rng.normal(0, 2)
    return np.clip(rough + light, 0, 255).astype(np.uint8)


def shot(pixels: NDArray[np.uint8], name: str, camera_id: str = "cam1", product: str = "plate") -> Frame:
    image = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    meta = FrameMeta(name, camera_id, "line-1", product, NOW, "image/jpeg")
    return Frame(meta, FrameSource("inspection.frames", 0, 0), image)


def good(seed: int) -> Frame:
    return shot(surface(seed), f"good{seed}")


def marked(seed: int, centre: tuple[int, int], size: tuple[int, int]) -> Frame:
    pixels = surface(seed)
    cv2.ellipse(pixels, centre, size, 0, 0, 360, (60,), -1)
    return shot(pixels, f"marked{seed}")


def bank_of(tiles: int, levels: BankLevels = "all") -> bytes:
    served = engine(dataclasses.replace(PLATE, tiles=tiles), levels=levels)
    return served.enroll([served.decode(good(seed)).pixels for seed in range(10)])


@pytest.fixture(scope="module")
def banks() -> dict[int, bytes]:
    return {tiles: bank_of(tiles) for tiles in (1, 3)}


def enrolled(bank: bytes, plate: ProductSettings = TILED) -> InspectionEngine:
    served = engine(plate)
    served.set_bank("cam1", version_of(bank), bank)
    return served


def test_a_bank_that_would_be_too_large_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    in_place = ScoringSettings(bank_matching="in_place")
    served = InspectionEngine(SPEC, *weights(), {"plate": TILED}, {"cam1": CameraSettings("plate")}, scoring=in_place)
    pixels = [served.decode(good(seed)).pixels for seed in range(8)]
    size = len(served.enroll(pixels))

    def built(*_: object) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr("inspector.vision.enrolment.build_bank", built)
    monkeypatch.setattr(bank_file, "MAX_HEADER_BYTES", 0)
    monkeypatch.setattr(bank_file, "_MAX_BYTES", size // 2)
    with pytest.raises(BadInputError, match=r"may take .* MiB: lower scoring\.bank_frames"):
        served.enroll(pixels)
    monkeypatch.setattr(bank_file, "_MAX_BYTES", size)  # which has a header and more
    with pytest.raises(AssertionError, match="it was built"):
        served.enroll(pixels)


@pytest.mark.parametrize(
    ("frames", "matching", "refused"),
    [(16, "in_place", False), (32, "in_place", True), (32, "auto", True), (32, "anywhere", False)],
)
def test_frames_of_many_tiles_make_large_banks_in_place(
    frames: int, matching: Literal["in_place", "auto", "anywhere"], refused: bool
) -> None:
    shapes = {"lower": (100, 100, 384), "detail": (200, 200, 384), "texture": (400, 400, 14)}  # 9 MiB a frame
    sizes = {name: torch.Size(shape) for name, shape in shapes.items()}
    with pytest.raises(BadInputError) if refused else contextlib.nullcontext():
        bank_file.check_size(sizes, frames, ScoringSettings(bank_matching=matching))
    bank_file.check_size(sizes, frames, ScoringSettings(bank_matching=matching, bank_frames=12))


@pytest.mark.parametrize(
    ("tiles", "levels", "radius", "found"),
    [
        (1, "detail", 8, False),
        (3, "detail", 8, True),
        (1, "all", 6, False),
        (3, "all", 6, True),
        (3, "coarse", 6, True),
    ],
)
def test_a_defect_too_small_for_the_whole_view_is_found_in_tiles(
    tiles: int, levels: BankLevels, radius: int, found: bool
) -> None:
    bank = bank_of(tiles, levels)
    served = engine(dataclasses.replace(PLATE, tiles=tiles), levels=levels)
    served.set_bank("cam1", version_of(bank), bank)
    normal = served.score_raw([served.decode(good(seed)) for seed in range(50, 58)])
    # 12 or 16 pixels of 1280: 0.9 or 1.2 of a pixel of the whole view, 2.1 or 2.8 of the tiles'.
    bad = served.score_raw([served.decode(marked(seed, (400, 700), (radius, radius))) for seed in (60, 61, 62)])
    highest = max(raw.image_score for raw in normal)
    # The whole view may chance upon some of them: its noise is as large as what it shows of the defect.
    assert all(raw.image_score > highest for raw in bad) is found
    for raw in bad if found else ():
        y, x = np.unravel_index(raw.anomaly_map.argmax(), raw.anomaly_map.shape)
        assert x / SIDES[tiles] == pytest.approx(400 / WIDTH, abs=0.05)
        assert y / SIDES[tiles] == pytest.approx(700 / HEIGHT, abs=0.05)


def test_a_defect_across_a_seam_is_one_region_in_the_frames_own_pixels(banks: dict[int, bytes]) -> None:
    served = enrolled(banks[3])
    # The first two tiles of a row share the map's pixels 64..96 of 224: a bar from 30 to 130 crosses all of it.
    left, right = (round(place / 224 * WIDTH) for place in (30, 130))
    (verdict,) = served.inspect([served.decode(marked(61, ((left + right) // 2, 512), ((right - left) // 2, 40)))])
    assert len(verdict.defects) == 1
    x, y, w, h = verdict.defects[0].box
    assert x == pytest.approx(left, abs=70)  # 12 pixels of the map
    assert x + w == pytest.approx(right, abs=70)  # 12 pixels of the map
    assert y < 512 < y + h


def test_on_a_good_frame_nothing_tells_where_the_tiles_meet(banks: dict[int, bytes]) -> None:
    served = enrolled(banks[3])
    maps = [raw.anomaly_map for raw in served.score_raw([served.decode(good(seed)) for seed in range(70, 76)])]
    steps = np.mean([np.abs(np.diff(each, axis=1)).mean(0) for each in maps], axis=0)
    seams = np.zeros(223, bool)
    for begin in (64, 128):  # tiles end and begin within these, with half a patch around
        seams[begin - 8 : begin + 32 + 8] = True
    assert steps[seams].mean() < 1.25 * steps[~seams].mean()


def test_a_mixed_batch_scores_each_frame_as_it_would_be_scored_alone(banks: dict[int, bytes]) -> None:
    served = enrolled(banks[3])
    frames = [
        served.decode(one)
        for one in (
            good(80),
            frame(1, "cam2", "whole"),
            marked(81, (900, 300), (12, 12)),
            frame(2, "stranger", "unheard-of"),
            shot(surface(82), "zero", camera_id="cam9"),
        )
    ]
    assert [one.pixels.side_px for one in frames] == [224, 96, 224, 96, 224]
    together = served.score_raw(frames)
    for mixed, single in zip(together, (served.score_raw([one])[0] for one in frames), strict=True):
        np.testing.assert_allclose(mixed.anomaly_map, single.anomaly_map, atol=1e-3)
        np.testing.assert_allclose(mixed.type_grid, single.type_grid, atol=1e-4)
        assert mixed.image_score == pytest.approx(single.image_score, abs=1e-3)
    assert [raw.anomaly_map.shape for raw in together] == [(one.pixels.side_px,) * 2 for one in frames]


def test_frames_decoded_before_the_settings_changed_are_decoded_again() -> None:
    served = engine(PLATE)
    before = served.decode(good(90))
    served.set_product("plate", TILED)
    after = served.decode(good(90))
    (old,), (new,) = served.score_raw([before]), served.score_raw([after])
    np.testing.assert_array_equal(old.anomaly_map, new.anomaly_map)
    assert len(served.inspect([before, after])) == 2


def test_a_camera_keeps_the_tiles_of_its_bank_until_it_is_enrolled_again(
    banks: dict[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    served = enrolled(banks[1], PLATE)
    with caplog.at_level(logging.WARNING):
        served.set_product("plate", TILED)
    assert "cam1" in caplog.text
    assert "enrol it again" in caplog.text
    decoded = served.decode(good(91))
    assert decoded.pixels.side_px == SIDES[1]
    assert served.inspect([decoded])[0].bank_version == version_of(banks[1])
    served.set_bank("cam1", version_of(banks[3]), banks[3])
    assert served.decode(good(91)).pixels.side_px == SIDES[3]
    assert served.inspect([decoded])[0].bank_version == version_of(banks[3])
    served.set_bank("cam1", version_of(banks[1]), banks[1])
    served.set_camera("cam1", CameraSettings("plate", mode=CameraMode.ZERO_SHOT))
    assert served.decode(good(91)).pixels.side_px == SIDES[3]


def test_a_calibration_counts_for_the_tiles_it_was_made_with() -> None:
    served = engine()
    frames = [served.decode(good(seed)) for seed in range(100, 108)]
    calibration = served.calibrate("cam1", frames, NOW)
    assert (calibration.tiles, calibration.mode) == (3, ScoreMode.ZERO_SHOT)
    served.set_calibration("three", to_json(calibration))
    assert served.inspect(frames[:1])[0].calibration_version == "three"
    served.set_product("plate", PLATE)
    assert served.inspect(frames[:1])[0].calibration_version is None
    one = Calibration("cam1", ScoreMode.ZERO_SHOT, served.weights_version, ScoreMap(1, 1), ScoreMap(1, 1), 9, 0.01, NOW)
    served.set_calibration("one", to_json(one))
    assert served.inspect(frames[:1])[0].calibration_version == "one"


def test_zones_and_types_of_a_tiled_product_are_those_of_the_whole_frame() -> None:
    served = engine()
    served.set_camera("cam1", CameraSettings("plate", pixel_threshold=0.0, image_threshold=0.0))
    left = (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),)
    served.set_product("plate", dataclasses.replace(TILED, region_of_interest=left))
    (verdict,) = served.inspect([served.decode(good(95))])
    (defect,) = verdict.defects
    assert (*defect.box[:2], defect.box[3]) == (0, 0, HEIGHT)
    assert defect.box[2] == pytest.approx(WIDTH // 2, abs=8)
    mask = cv2.imdecode(np.frombuffer(verdict.evidence.mask or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    assert mask.shape == (HEIGHT, WIDTH)
    assert abs(int((mask[HEIGHT // 2] > 0).sum()) - WIDTH // 2) <= 8


def test_tiles_that_would_not_fit_into_memory_are_refused_and_the_settings_in_use_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_book, "MAX_SIDE_PX", 400)
    served = engine()
    for tiles in (6, 8):
        with pytest.raises(BadInputError, match="at most 5 tiles a side with a model of 96 px"):
            served.set_product("plate", dataclasses.replace(PLATE, tiles=tiles))
    assert served.decode(good(1)).pixels.side_px == SIDES[3]
    with pytest.raises(BadInputError, match="at most 5 tiles"):
        engine(dataclasses.replace(PLATE, tiles=7))


def test_a_bank_that_is_not_of_the_tiles_it_says_is_refused() -> None:
    in_place = ScoringSettings(bank_matching="in_place")
    served = InspectionEngine(SPEC, *weights(), {"plate": dataclasses.replace(PLATE, tiles=2)}, {}, scoring=in_place)
    bank = served.enroll([served.decode(good(seed)).pixels for seed in range(8)])
    for says in (b"1", b"9", b"0"):
        with pytest.raises(BadInputError, match="tiles"):
            served.set_bank("cam1", "v", bank.replace(rb"tiles\":2", rb"tiles\":" + says))
    served.set_bank("cam1", "v", bank)
    assert served.inspect([served.decode(good(1))])[0].mode is ScoreMode.BANK


def test_of_a_batch_of_tiled_frames_few_are_held_with_their_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    served, seen = engine(max_tiles=9), list[weakref.ref[torch.Tensor]]()

    def counted(frame: DecodedFrame, raw: RawScores, *rest: Any) -> Verdict:
        assert raw.patches is not None
        seen.append(weakref.ref(raw.patches.taps[0]))
        gc.collect()
        assert sum(tap() is not None for tap in seen) <= 2  # this one, and the one before
        return judge(frame, raw, *rest)

    monkeypatch.setattr("inspector.vision.engine.judge", counted)
    batch = [served.decode(good(seed)) for seed in range(4)]
    assert len(served.inspect(batch)) == 4
    seen.clear()
    assert [raw.patches for _, raw in served.inspect_with_raw(batch)] == [None] * 4


def test_what_a_frame_takes_decoded_is_known_before() -> None:
    served = engine()
    for each in (good(0), shot(surface(0), "whole", "cam2", "whole")):
        assert served.decoded_bytes(each) == served.decode(each).pixels.nbytes

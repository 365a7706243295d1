"""What is too small and faint for details is found where a camera stands still: by texture at four times the size."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from engine_kit import NOW, PLATE, version_of
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.result import PredLabel, ScoreMode
from inspector.domain.scoring import BankLevels, ScoringSettings
from inspector.domain.weights import WeightsManifest
from inspector.vision.bank_features import DETAIL, FINE, LOWER, TEXTURE
from inspector.vision.bank_file import dump_bank, parse_bank
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.engine import InspectionEngine
from inspector.vision.frame_pixels import FINE_PX, FramePixels
from inspector.vision.matching import Anywhere
from inspector.vision.mutual_ring import MutualFrame, MutualRing, to_held
from inspector.vision.opencv import cv2
from inspector.vision.plan import Plan
from inspector.vision.reference_bank import BankInfo, build_bank
from inspector.vision.score_map import ScoreMaps
from inspector.vision.usual_places import shows_more_finer, usual_of_places

# As the bundled model sees: the fewer patches a frame has, the less their peaks tell beside those of fine texture.
SPEC = ModelSpec("inspector-s")
SIZE = (1024, 1280)
INFO = BankInfo("inspector-s", 96, "w", ScoreMap(1, 1), ScoreMap(1, 1), ("a",) * 9)
LIMITS = DecodeLimits()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def weights() -> tuple[PromptWeights, WeightsManifest]:
    return init_prompt_weights(SPEC, PLATE.vocabulary, 0)


def part(seed: int, scratched: bool = False) -> NDArray[np.uint8]:
    """A board nearly in its place, with noise and light of its own; the scratch is 2 pixels wide and faint."""
    drawn, rng = np.random.default_rng(5), np.random.default_rng(seed)
    pixels = np.full((*SIZE, 3), 90, np.uint8)
    for x, y in zip(drawn.integers(40, 1200, 60), drawn.integers(40, 960, 60), strict=True):
        corner = (int(x) + 50, int(y) + 24)
        cv2.rectangle(pixels, (int(x), int(y)), corner, tuple(int(c) for c in drawn.integers(40, 220, 3)), -1)
    if scratched:
        cv2.line(pixels, (640, 500), (690, 533), (130, 130, 130), 2)
    moved = np.hstack([np.eye(2), rng.uniform(-1.5, 1.5, (2, 1))])
    pixels = cv2.warpAffine(pixels, moved, SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.clip(pixels * rng.uniform(0.97, 1.03) + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)


def shot(seed: int, scratched: bool = False, camera_id: str = "cam1") -> Frame:
    image = cv2.imencode(".jpg", part(seed, scratched), [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    meta = FrameMeta(f"f{seed}{scratched}", camera_id, "line-1", "plate", NOW, "image/jpeg")
    return Frame(meta, FrameSource("inspection.frames", 0, seed), image)


def engine(levels: BankLevels = "all", mode: CameraMode = CameraMode.MUTUAL) -> InspectionEngine:
    cameras = {"cam1": CameraSettings("plate", mode=mode)}
    return InspectionEngine(SPEC, *weights(), {"plate": PLATE}, cameras, scoring=ScoringSettings(bank_levels=levels))


@pytest.mark.parametrize(("levels", "found"), [("all", True), ("detail", False)])
def test_frames_that_nobody_labelled_show_a_faint_scratch_narrower_than_a_pixel_of_the_tower(
    levels: BankLevels, found: bool
) -> None:
    served = engine(levels)
    served.inspect([served.decode(shot(seed)) for seed in range(20)])
    (bad, *good) = served.inspect(
        [served.decode(shot(90, scratched=True)), *(served.decode(shot(s)) for s in (91, 92))]
    )
    assert bad.mode is ScoreMode.MUTUAL
    assert (bad.pred_label is PredLabel.ANOMALOUS) is found
    assert {each.pred_label for each in good} == {PredLabel.NORMAL}
    if found:
        box = bad.defects[0].box
        assert 640 - 24 < box.x < box.x + box.w < 690 + 24
        assert 500 - 24 < box.y < box.y + box.h < 533 + 24


def test_a_bank_finds_it_too_and_frames_are_decoded_finer_only_where_they_are_compared() -> None:
    served = engine(mode=CameraMode.AUTO)
    normals = [served.decode(shot(seed)) for seed in range(10)]
    data = served.enroll([each.pixels for each in normals], product_name="plate")
    assert FINE in parse_bank(data)[0].levels
    served.set_bank("cam1", version_of(data), data)
    good, bad = served.score_raw([served.decode(shot(50)), served.decode(shot(51, scratched=True))])
    assert bad.image_score > good.image_score + 1

    zero_shot = engine(mode=CameraMode.ZERO_SHOT)
    plain = zero_shot.decode(shot(50))
    assert plain.pixels.fine is None
    np.testing.assert_array_equal(plain.pixels.square, served.decode(shot(50)).pixels.square)  # one frame, one digest
    assert zero_shot.decoded_bytes(plain.frame) == plain.pixels.nbytes
    assert served.decoded_bytes(plain.frame) == served.decode(plain.frame).pixels.nbytes == 3 * (256**2 + FINE_PX**2)
    zero_shot.set_camera("cam1", CameraSettings("plate", mode=CameraMode.MUTUAL))
    assert len(zero_shot.inspect([plain])) == 1  # decoded again, as the mode changed meanwhile


def test_a_bank_of_few_frames_or_of_parts_that_lie_anywhere_has_no_fine_texture() -> None:
    assert FINE in build_bank(features(9)).levels
    assert FINE not in build_bank(features(7)).levels
    assert FINE not in build_bank(features(9), ScoringSettings(bank_levels="detail")).levels
    assert FINE not in build_bank(features(9), ScoringSettings(bank_matching="anywhere")).levels
    assert (
        FINE not in build_bank({name: torch.randn(9, *values.shape[1:]) for name, values in features(9).items()}).levels
    )


def test_a_bank_takes_fine_texture_where_parts_stand_still_the_tower_where_they_lie_loosely_neither_elsewhere() -> None:
    still, few, anywhere = (build_bank(values).levels for values in (features(9), features(7), scattered(9)))
    assert {LOWER, DETAIL, FINE} & still.keys() == {DETAIL, FINE}
    assert {LOWER, DETAIL, FINE} & few.keys() == {LOWER, DETAIL}
    assert {LOWER, DETAIL, FINE} & anywhere.keys() == {DETAIL}
    assert LOWER in build_bank(scattered(9), ScoringSettings(bank_levels="coarse")).levels


def test_what_differs_at_one_place_in_every_good_frame_is_strange_only_elsewhere() -> None:
    def restless(seed: int) -> dict[str, Tensor]:
        made = features(12, seed)
        made[DETAIL][:, 1, 1] += torch.randn(12, 8, generator=torch.Generator().manual_seed(seed))
        return made

    bank = build_bank(restless(0))
    assert FINE in bank.levels
    later = bank.score(restless(1))
    assert later.amax((1, 2)).median() < 8
    moved = features(12, 2)
    moved[DETAIL][:, 6, 6] += torch.randn(12, 8, generator=torch.Generator().manual_seed(2))
    assert bank.score(moved).amax((1, 2)).median() > 20


@pytest.mark.parametrize("count", [8, 16])
def test_normals_of_a_bank_peak_as_high_as_good_frames_that_come_later(count: int) -> None:
    """Thresholds are made of their scores: beside what a frame made usual itself its peaks would be low."""
    bank = build_bank(features(count))
    again, _ = parse_bank(dump_bank(bank, dataclasses.replace(INFO, frame_digests=("a",) * count)))
    for each in (bank, again):
        own = each.score(features(count), leave_out=torch.arange(count)).amax((1, 2)).median()
        assert own == pytest.approx(float(each.score(features(32, seed=5)).amax((1, 2)).median()), rel=0.2)
        assert each.score(features(count)).amax((1, 2)).median() < 0.8 * own


def features(frames: int, seed: int = 0, spread: float = 0.05) -> dict[str, Tensor]:
    places, noise = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    shapes = {"lower": (4, 4, 8), "detail": (8, 8, 8), "texture": (8, 8, 6), "fine": (32, 32, 6)}
    return {
        name: torch.randn(1, *shape, generator=places) + spread * torch.randn(frames, *shape, generator=noise)
        for name, shape in shapes.items()
    }


def scattered(frames: int) -> dict[str, Tensor]:
    """The same places in another order in each frame."""
    drawn = torch.Generator().manual_seed(3)
    found = {}
    for name, values in features(frames, spread=0.001).items():
        places = values.flatten(1, 2)
        mixed = [each[torch.randperm(len(each), generator=drawn)] for each in places]
        found[name] = torch.stack(mixed).reshape(values.shape)
    return found


def test_a_bank_with_fine_texture_comes_back_from_its_file_and_a_damaged_one_is_refused() -> None:
    bank = build_bank(features(9))
    again, _ = parse_bank(dump_bank(bank, INFO))
    odd = features(2, seed=7)
    odd[FINE][0, 10, 10] += 2
    torch.testing.assert_close(again.score(odd), bank.score(odd), atol=2e-2, rtol=1e-2)
    assert again.score(odd)[0].argmax() == 10 * 32 + 10
    level = bank.levels[FINE]
    patches, frames = level.matcher.patches, level.matcher.frames
    broken = [
        dataclasses.replace(level, std=torch.full_like(level.std, -1)),
        dataclasses.replace(level, measured=None),
        dataclasses.replace(level, measured=torch.tensor([0, 1])),
        dataclasses.replace(level, measured=torch.zeros(9, dtype=torch.int64)),
        dataclasses.replace(level, mean=level.mean[1:], std=level.std[1:]),
        dataclasses.replace(level, matcher=Anywhere(patches.flatten(0, 2), frames.repeat_interleave(32 * 32))),
        dataclasses.replace(level, whitening=None),
    ]
    detail = bank.levels[DETAIL]
    spread = Anywhere(detail.matcher.patches.flatten(0, 2), torch.zeros(9 * 64, dtype=torch.int64))
    wide = torch.ones(8)
    broken_details = [
        dataclasses.replace(detail, matcher=spread, mean=wide, std=wide),
        dataclasses.replace(detail, measured=torch.tensor([-1, 0, 1])),
        dataclasses.replace(detail, measured=torch.arange(3) + 7),
        dataclasses.replace(detail, measured=torch.arange(10)),
        dataclasses.replace(detail, std=torch.full_like(detail.std, 1e30)),
    ]
    for name, damaged in [*((FINE, each) for each in broken), *((DETAIL, each) for each in broken_details)]:
        data = dump_bank(dataclasses.replace(bank, levels={**bank.levels, name: damaged}), INFO)
        with pytest.raises(BadInputError, match="enrol the camera again"):
            parse_bank(data)


def test_a_place_that_differs_in_every_frame_is_usual_there_and_strange_elsewhere() -> None:
    distances = torch.rand(32, 20, 20, generator=torch.Generator().manual_seed(0)) * 0.1 + 1
    distances[:, 5:8, 5:8] += torch.rand(32, 3, 3, generator=torch.Generator().manual_seed(1)) * 3
    middle, spread = usual_of_places(distances)
    assert (2.5 - middle[6, 6]) / spread[6, 6] < 3
    assert (2.5 - middle[15, 15]) / spread[15, 15] > 10
    identical = usual_of_places(torch.ones(8, 6, 6))
    assert (identical[1] > 0).all()


def test_fine_texture_counts_where_its_peaks_are_no_higher_than_those_of_texture() -> None:
    drawn = torch.Generator().manual_seed(0)
    texture, fine = (torch.rand(16, side, side, generator=drawn) for side in (32, 128))
    assert shows_more_finer(texture, fine)
    restless = fine.clone()
    for number, (row, column) in enumerate(torch.randint(0, 124, (16, 2), generator=drawn).tolist()):
        restless[number, row : row + 4, column : column + 4] += 6  # in each frame somewhere else
    assert not shows_more_finer(texture, restless)


def held(values: dict[str, Tensor], prefix: str = "f") -> list[MutualFrame]:
    return [MutualFrame(f"{prefix}{i}", PLATE, to_held(values, i)) for i in range(len(values[TEXTURE]))]


def to_maps(scores: Tensor) -> NDArray[np.float32]:
    return scores.numpy()


def test_frames_that_lie_anywhere_hold_no_fine_texture() -> None:
    ring = MutualRing(ScoringSettings(mutual_frames=16), 0.01)
    frames = held(scattered(12))
    ring.take(frames)
    before = ring.size
    assert ring.score(frames, to_maps) is not None
    assert not ring.may_stand_still
    assert ring.size < before
    assert all(FINE not in frame.features for frame in frames)


def test_a_ring_takes_the_tower_s_level_where_parts_lie_loosely_and_goes_on_where_they_lie_anywhere() -> None:
    """A frame of such a ring has parted with it, one that comes has it still: they are of one camera all the same."""
    ring = MutualRing(ScoringSettings(mutual_frames=16), 0.01, finer=False)
    ring.take(frames := held(features(12)))
    odd = held({**features(1, seed=5), LOWER: torch.randn(1, 4, 4, 8)}, "odd")
    ring.take(odd)
    usual, strange = ring.score([frames[3], *odd], to_maps) or ()
    assert strange.peaks.image > usual.peaks.image + 2
    scattered_ring = MutualRing(ScoringSettings(mutual_frames=16), 0.01)
    scattered_ring.take(held(scattered(12)))
    assert scattered_ring.score([], to_maps) is not None
    scattered_ring.take(held({name: values[:1] for name, values in scattered(13).items()}, "next"))
    assert len(scattered_ring) == 13


def test_a_frame_without_fine_texture_is_measured_as_the_others_then_are() -> None:
    ring = MutualRing(ScoringSettings(mutual_frames=16), 0.01)
    frames = held(features(12))
    ring.take(frames)
    (with_it, *_) = ring.score(frames, to_maps) or ()
    plain = held({name: values for name, values in features(1, seed=3).items() if name != FINE}, "plain")
    ring.take(plain)
    (without, *_) = ring.score([frames[0], *plain], to_maps) or ()
    assert with_it.anomaly_map.shape == (32, 32)
    assert without.anomaly_map.shape == (8, 8)


def test_what_is_decoded_finer_has_the_same_square_and_is_as_fine_as_memory_allows() -> None:
    jpeg = shot(0).image
    plain, fine = decode(jpeg, "", LIMITS, 96), decode(jpeg, "", LIMITS, 96, FINE_PX)
    assert plain.fine is None
    assert fine.fine is not None
    assert fine.fine.shape == (FINE_PX, FINE_PX, 3)
    np.testing.assert_array_equal(plain.pixels, fine.pixels)
    scarce = decode(jpeg, "", dataclasses.replace(LIMITS, max_decoded_bytes=3_000_000), 96, FINE_PX)
    assert scarce.fine is not None
    assert sharpness(scarce.fine) < sharpness(fine.fine) / 4
    small = decode(cv2.imencode(".png", part(0)[:80, :120])[1].tobytes(), "", LIMITS, 96, FINE_PX)
    assert small.fine is not None
    assert small.fine.shape == (FINE_PX, FINE_PX, 3)


def sharpness(pixels: NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(pixels, cv2.CV_32F).var())


def test_a_mirrored_frame_is_mirrored_on_both_squares() -> None:
    rng = np.random.default_rng(0)
    pixels = FramePixels(*(rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (8, 32)))
    twice = pixels.mirrored().mirrored()
    assert twice.fine is not None
    assert pixels.fine is not None
    np.testing.assert_array_equal(twice.fine, pixels.fine)
    np.testing.assert_array_equal(pixels.mirrored().square, pixels.square[:, ::-1])


def test_a_calibration_counts_only_where_fine_texture_has_the_share_it_had_then() -> None:
    """Otherwise scores of one scale would meet a threshold of another."""
    maps = {"image_map": ScoreMap(9, 1), "pixel_map": ScoreMap(9, 1), "image_threshold": 0.5, "pixel_threshold": 0.5}
    made_for = {"camera_id": "cam1", "camera": CameraSettings(), "product_name": "plate", "product": PLATE, "tiles": 1}
    own = {"mode": ScoreMode.MUTUAL, "bank": None, "calibration_version": "v1", "finer": True}
    book_plan = Plan(**made_for, **maps, **own)  # type: ignore[arg-type]  # of one dictionary mypy knows one type
    alike, other = (ScoreMaps(ScoreMap(2, 1), ScoreMap(3, 1), finer=finer) for finer in (True, False))
    assert book_plan.settled(ScoreMode.MUTUAL, alike) == book_plan
    settled = book_plan.settled(ScoreMode.MUTUAL, other)
    assert (settled.image_map, settled.calibration_version) == (ScoreMap(2, 1), None)


def test_a_mutual_calibration_says_whether_fine_texture_counted() -> None:
    served = engine()
    frames = [served.decode(shot(seed)) for seed in range(10)]
    coarse = [dataclasses.replace(frame, pixels=frame.pixels.coarse()) for frame in frames]
    calibrations = [served.calibrate("cam1", each, NOW) for each in (frames, coarse)]
    assert calibrations[0] == calibrations[1]  # decoded finer again, where it is needed
    assert engine("detail").calibrate("cam1", frames, NOW).finer is False


def test_a_bank_of_fine_texture_for_tiles_that_are_as_fine_is_refused() -> None:
    served = engine(mode=CameraMode.AUTO)
    data = served.enroll([served.decode(shot(seed)).pixels for seed in range(8)], product_name="plate")
    bank, info = parse_bank(data)
    assert FINE in bank.levels
    forged = dump_bank(bank, dataclasses.replace(info, tiles=4))
    with pytest.raises(BadInputError, match="without level fine"):
        served.set_bank("cam1", version_of(forged), forged)


def test_a_side_that_shrinks_is_averaged_though_the_other_one_grows() -> None:
    stripes = np.zeros((200, 4096), np.uint8)
    stripes[:, ::2] = 255
    fine = decode(cv2.imencode(".png", stripes)[1].tobytes(), "", LIMITS, 96, FINE_PX).fine
    assert fine is not None
    assert fine.std() < 3


def test_many_frames_make_fine_texture_of_some_of_them() -> None:
    bank = build_bank(features(40))
    assert len(bank.levels[FINE].matcher.frames) <= 32
    assert set(bank.levels[FINE].matcher.frames.tolist()) <= set(range(40))

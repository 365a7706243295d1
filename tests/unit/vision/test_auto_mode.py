"""What a camera that nobody set up is scored by, and what its last frames take for usual when a shift goes wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from engine_kit import NOW, PLATE, SPEC, frame, photo, version_of, weights
from numpy.typing import NDArray
from torch import Tensor

from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.records import to_json
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.vision.engine import InspectionEngine
from inspector.vision.frame_look import frame_look, same_look
from inspector.vision.mutual_ring import MutualFrame, MutualRing, MutualScore, to_held
from inspector.vision.mutual_rings import MutualRings

RATE = 0.01
SCORING = ScoringSettings(mutual_frames=32)


def engine(mode: CameraMode = CameraMode.AUTO) -> InspectionEngine:
    return InspectionEngine(SPEC, *weights(), {"plate": PLATE}, {"cam1": CameraSettings("plate", mode=mode)})


def modes(served: InspectionEngine, seeds: range) -> list[ScoreMode]:
    """Return the modes of frames that come one after the other."""
    return [served.inspect([served.decode(frame(seed))])[0].mode for seed in seeds]


def features(frames: int, seed: int = 0) -> dict[str, Tensor]:
    """A fixed camera: every place has a look of its own, from which frames differ a little."""
    places, noise = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    shapes = {"lower": (4, 4, 8), "detail": (8, 8, 8), "texture": (8, 8, 6)}
    return {
        name: torch.randn(1, *shape, generator=places) + 0.05 * torch.randn(frames, *shape, generator=noise)
        for name, shape in shapes.items()
    }


def held(values: dict[str, Tensor], prefix: str) -> list[MutualFrame]:
    return [MutualFrame(f"{prefix}{i}", PLATE, to_held(values, i)) for i in range(len(values["lower"]))]


def to_maps(scores: Tensor) -> NDArray[np.float32]:
    maps: NDArray[np.float32] = scores.numpy()
    return maps


def is_anomalous(score: MutualScore) -> bool:
    return score.peaks.image >= score.score_maps.image.midpoint


def test_a_camera_that_nobody_set_up_is_zero_shot_then_mutual_and_then_goes_by_its_bank() -> None:
    served = engine()
    assert modes(served, range(18)) == [ScoreMode.ZERO_SHOT] * 15 + [ScoreMode.MUTUAL] * 3
    data = served.enroll([served.decode(frame(seed)).pixels for seed in range(20, 28)], product_name="plate")
    served.set_bank("cam1", version_of(data), data)
    assert modes(served, range(18, 20)) == [ScoreMode.BANK] * 2


def test_a_setting_keeps_a_camera_zero_shot() -> None:
    assert set(modes(engine(CameraMode.ZERO_SHOT), range(18))) == {ScoreMode.ZERO_SHOT}


def test_a_camera_with_thresholds_from_its_own_normal_frames_keeps_to_them() -> None:
    served = engine()
    normals = [served.decode(frame(seed)) for seed in range(18)]
    calibration = served.calibrate("cam1", normals, NOW)
    assert calibration.mode is ScoreMode.ZERO_SHOT
    data = to_json(calibration)
    served.set_calibration(version_of(data), data)
    verdicts = served.inspect(normals)
    assert {(verdict.mode, verdict.calibration_version) for verdict in verdicts} == {
        (ScoreMode.ZERO_SHOT, version_of(data))
    }


def test_announcing_a_cameras_settings_makes_it_forget_what_it_took_for_usual() -> None:
    served = engine()
    assert modes(served, range(16))[-1] is ScoreMode.MUTUAL
    served.set_camera("cam1", CameraSettings("plate"))
    assert modes(served, range(16, 18)) == [ScoreMode.ZERO_SHOT] * 2


def still(seed: int, defect: bool = False, part: int = 0) -> NDArray[np.uint8]:
    """A picture of a part that has not moved, with this picture's noise."""
    noise = np.random.default_rng(seed).normal(0, 2, (192, 240, 3))
    return np.clip(photo(part, defect) + noise, 0, 255).astype(np.uint8)


def test_a_look_tells_a_part_that_stands_still_from_the_next_one_and_from_one_with_a_defect() -> None:
    one = frame_look(still(1))
    assert same_look(one, frame_look(still(2)))
    assert same_look(one, frame_look(np.clip(still(3) * 1.05, 0, 255).astype(np.uint8)))
    assert not same_look(one, frame_look(still(2, part=1)))
    assert not same_look(one, frame_look(still(2, defect=True)))
    assert not same_look(None, one)


def test_a_belt_that_stands_still_does_not_fill_the_ring_with_one_part() -> None:
    values, look = features(40), frame_look(photo(0))
    frames = held(values, "f")
    ring = MutualRing(SCORING, RATE)
    ring.take(frames[:12])
    expected = ring.score(frames[:12], to_maps)
    for again in frames[12:]:
        again.look = look
        ring.take([again])
        standing = ring.score([again], to_maps)
        assert standing is not None
        assert not is_anomalous(standing[0])
    assert len(ring) == 13  # what stands there is there once
    assert expected is not None
    assert standing[0].peaks.image == pytest.approx(np.median([each.peaks.image for each in expected]), abs=3)


@pytest.mark.parametrize("room_for", [16, 32])
def test_a_shift_of_bad_parts_goes_on_being_found(room_for: int) -> None:
    ring = MutualRing(SCORING, RATE)
    good = held(features(40), "good")
    ring.room = room_for * good[0].size
    for each in good:
        ring.take([each])
        ring.score([each], to_maps)
    broken = features(80, seed=1)
    broken["detail"][:, 3, 3] += 2.0
    found = []
    for each in held(broken, "bad"):
        ring.take([each])
        scores = ring.score([each], to_maps)
        assert scores is not None
        found.append(is_anomalous(scores[0]))
    assert all(found)
    after = held(features(5, seed=2), "after")
    ring.take(after)
    scores = ring.score(after, to_maps)
    assert scores is not None
    assert not any(map(is_anomalous, scores))


def test_more_cameras_than_the_memory_has_room_for_have_shorter_rings_each_and_all_go_on() -> None:
    one = held(features(20), "f")
    rings = MutualRings(ScoringSettings(mutual_memory_mb=1, mutual_frames=20), RATE)
    cameras = 2**20 // (12 * one[0].size)
    for number in range(60):
        for camera in range(cameras):
            known = rings.score(f"cam{camera}", "plate", [dataclasses.replace(one[number % 20])], to_maps)
            assert rings.size <= 2**20
            if number >= 30:
                assert known is not None

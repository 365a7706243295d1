"""Frames that nobody labelled find the odd one out: distances, robust scale, the bounded rings, the engine's mode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import NOW, PLATE, SPEC, frame, version_of, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.domain.records import to_json
from inspector.domain.result import PredLabel, ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.vision.bank_features import TEXTURE
from inspector.vision.engine import InspectionEngine
from inspector.vision.judge import RawScores
from inspector.vision.mutual import Measure, fit_measure, lies_in_place, usual
from inspector.vision.mutual_ring import MutualFrame, MutualRing, to_held
from inspector.vision.mutual_rings import MutualRings

SCORING = ScoringSettings(mutual_frames=16)
RATE = 0.01
MUTUAL = CameraSettings("plate", mode=CameraMode.MUTUAL)
ZERO_SHOT = CameraSettings("plate", mode=CameraMode.ZERO_SHOT)


def features(frames: int, seed: int = 0, spread: float = 0.05) -> dict[str, Tensor]:
    """A fixed camera: every place has a look of its own, from which frames differ by ``spread``."""
    places, noise = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    shapes = {"lower": (4, 4, 8), "detail": (8, 8, 8), "texture": (8, 8, 6)}
    return {
        name: torch.randn(1, *shape, generator=places) + spread * torch.randn(frames, *shape, generator=noise)
        for name, shape in shapes.items()
    }


def compared_by(level: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the features of frames that are compared by details, or by texture, without these."""
    return values if level == "detail" else {name: each for name, each in values.items() if name != "detail"}


def mutual_frames(values: dict[str, Tensor], prefix: str = "f") -> list[MutualFrame]:
    return [MutualFrame(f"{prefix}{i}", PLATE, to_held(values, i)) for i in range(len(values["texture"]))]


def to_maps(scores: Tensor) -> NDArray[np.float32]:
    maps: NDArray[np.float32] = scores.numpy()
    return maps


def engine(scoring: ScoringSettings | None = None) -> InspectionEngine:
    cameras = {"cam1": MUTUAL, "cam2": MUTUAL, "cam3": ZERO_SHOT}
    return InspectionEngine(SPEC, *weights(), {"plate": PLATE}, cameras, True, None, scoring or SCORING)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_patch_scores_the_mean_distance_to_the_nearest_in_the_frames_most_like_it(in_place: bool) -> None:
    values = features(6)
    found = Measure({}, in_place).distances(values, values, torch.arange(6), keep=0.4)["texture"]
    row, column = 2, 5
    patch = values["texture"][1, row, column]
    around = (slice(row - 1, row + 2), slice(column - 1, column + 2)) if in_place else (slice(None), slice(None))
    nearest = sorted(
        float((values["texture"][i][around].flatten(0, 1) - patch).norm(dim=1).min()) for i in (0, 2, 3, 4, 5)
    )
    assert found[1, row, column].item() == pytest.approx(sum(nearest[:2]) / 2, abs=1e-3)


def test_distances_of_a_tiled_frame_take_no_more_memory_than_a_step_and_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(3, 56, 56, 2, generator=generator)
    with _Largest() as largest:  # type: ignore[no-untyped-call]  # likewise
        found = Measure({}, False).distances({"lower": frames}, {"lower": frames}, torch.arange(3), keep=1.0)["lower"]
    assert largest.floats <= 4 * 2**20
    flat = frames.flatten(1, 2)
    expected = torch.stack([torch.cdist(flat[0], flat[i]).amin(1) for i in (1, 2)]).mean(0)
    torch.testing.assert_close(found[0].flatten(), expected, atol=2e-3, rtol=1e-3)


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Sees how large the tensors get."""

    floats = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        made = func(*args, **(kwargs or {}))
        self.floats = max(self.floats, made.numel() if isinstance(made, Tensor) else 0)
        return made


def test_a_frame_that_is_not_among_the_others_meets_all_of_them() -> None:
    values, query = features(5), features(1, seed=1)
    measure = Measure({}, in_place=True)
    with_all = measure.distances(query, values, torch.tensor([-1]), keep=0.25)["lower"]
    without_one = measure.distances(query, values, torch.tensor([2]), keep=0.25)["lower"]
    assert bool((with_all <= without_one).all())
    assert not with_all.equal(without_one)


@pytest.mark.parametrize("level", ["detail", "texture"])
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_a_few_bad_frames_do_not_hide_themselves(level: str, seed: int, bad: int) -> None:
    values = compared_by(level, features(16, seed))
    values[level][:bad, 3, 3] += 2.0
    ring = MutualRing(SCORING, RATE)
    frames = mutual_frames(values)
    ring.take(frames)
    scores = ring.score(frames, to_maps)
    assert scores is not None
    peaks = [score.peaks.image for score in scores]
    assert min(peaks[:bad]) > max(peaks[bad:])
    assert all(score.anomaly_map.argmax() == 3 * 8 + 3 for score in scores[:bad])
    assert min(peaks[:bad]) > scores[0].score_maps.image.midpoint


# Of parts that lie loosely the tower's level makes the law of peaks broader than the threshold takes it for.
@pytest.mark.parametrize(("without", "at_most"), [("lower", 0.018), ("", 0.03)])
def test_an_alarm_on_a_good_frame_does_not_bring_the_threshold_down_on_the_next(without: str, at_most: float) -> None:
    alarms: list[bool] = []
    for seed in (1, 3):
        values, drawn = features(400, seed), np.random.default_rng(seed)
        values.pop(without, None)
        for frame_details in values["detail"]:  # good parts, each with a blemish that may be large
            row, column = drawn.integers(8, size=2)
            frame_details[row, column] += 0.045 * (2 + drawn.gumbel())
        ring, frames = MutualRing(dataclasses.replace(SCORING, mutual_frames=32), RATE), mutual_frames(values)
        for start in range(0, len(frames), 8):
            ring.take(frames[start : start + 8])
            scores = ring.score(frames[start : start + 8], to_maps)
            if start >= 32:
                assert scores is not None
                alarms += [score.peaks.image >= score.score_maps.image.midpoint for score in scores]
    assert np.mean(alarms) < at_most  # 0.024 where such frames, once parted with, no longer count


@pytest.mark.parametrize("level", ["detail", "texture"])
def test_identical_frames_score_finite_numbers_and_no_alarm_but_a_difference_is_found(level: str) -> None:
    alike = compared_by(level, features(1))
    values = {name: value.expand(12, *value.shape[1:]).clone() for name, value in alike.items()}
    values[level][11, 5, 5] += 3.0
    ring = MutualRing(SCORING, RATE)
    frames = mutual_frames(values)
    ring.take(frames)
    scores = ring.score(frames, to_maps)
    assert scores is not None
    assert all(np.isfinite(score.anomaly_map).all() for score in scores)
    assert all(score.peaks.image < score.score_maps.image.midpoint for score in scores[:11])
    assert scores[11].peaks.image > scores[11].score_maps.image.midpoint


def test_a_frame_that_comes_again_is_no_neighbour_of_itself_and_takes_no_second_place() -> None:
    values = features(12)
    values["detail"][0, 3, 3] += 2.0
    ring = MutualRing(SCORING, RATE)
    frames = mutual_frames(values)
    ring.take(frames)
    once = ring.score(frames, to_maps)
    ring.take([frames[0]] * 3)
    again = ring.score([frames[0]] * 3, to_maps)
    assert once is not None
    assert again is not None
    assert len(ring) == 12
    assert [score.peaks.image for score in again] == pytest.approx([once[0].peaks.image] * 3, rel=0.05)


def test_when_a_camera_is_moved_all_its_frames_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False])
    monkeypatch.setattr("inspector.vision.mutual_ring.lies_in_place", lambda *_: next(answers))
    frames = mutual_frames(features(32, spread=0.5))
    moved = MutualRing(SCORING, RATE)
    moved.take(frames[:16])
    assert moved.score(frames[:1], to_maps) is not None
    moved.take(frames[16:31])
    moved.score(frames[16:31], to_maps)
    moved.take(frames[31:])  # a whole turn since the camera was asked
    found = moved.score(frames[31:], to_maps)
    fresh = MutualRing(dataclasses.replace(SCORING, bank_matching="anywhere"), RATE)
    fresh.take([dataclasses.replace(each, distances=None, peaks=None) for each in frames[16:]])
    expected = fresh.score(frames[31:], to_maps)
    assert found is not None
    assert expected is not None
    assert found[0].peaks.image == pytest.approx(expected[0].peaks.image, rel=1e-4)
    assert found[0].score_maps.image.midpoint == pytest.approx(expected[0].score_maps.image.midpoint, rel=1e-4)


@pytest.mark.parametrize(("most", "larger"), [(16, 1), (12, 1), (32, 1), (100, 4)])
def test_a_full_ring_has_the_threshold_of_one_that_is_measured_at_once(most: int, larger: int) -> None:
    scoring = ScoringSettings(mutual_frames=most, mutual_memory_mb=1, bank_matching="in_place")
    values = {name: value.repeat(1, larger, larger, 1) for name, value in features(40, spread=0.5).items()}
    frames = mutual_frames(values)
    full = min(most, 2**20 // frames[0].size)  # the last case is bounded by its memory
    grown, at_once = MutualRing(scoring, RATE), MutualRing(scoring, RATE)
    for each in frames[:full]:
        grown.take([each])
        found = grown.score([each], to_maps)
    again = [dataclasses.replace(each, distances=None, peaks=None) for each in frames[:full]]
    at_once.take(again)
    expected = at_once.score(again[-1:], to_maps)
    assert found is not None
    assert expected is not None
    assert 8 < full < len(frames)
    assert found[0].peaks.image == pytest.approx(expected[0].peaks.image, rel=1e-4)
    assert found[0].score_maps.image.midpoint == pytest.approx(expected[0].score_maps.image.midpoint, rel=1e-4)
    assert found[0].score_maps.image.scale == pytest.approx(expected[0].score_maps.image.scale, rel=1e-4)


def test_a_full_ring_measures_but_the_frames_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, distances = list[int](), Measure.distances

    def counted(self: Measure, queries: dict[str, Tensor], *rest: Any) -> dict[str, Tensor]:
        counts.append(len(queries["lower"]))
        return distances(self, queries, *rest)

    monkeypatch.setattr(Measure, "distances", counted)
    ring = MutualRing(dataclasses.replace(SCORING, bank_matching="in_place"), RATE)
    for each in mutual_frames(features(40)):
        ring.take([each])
        ring.score([each], to_maps)
    assert counts == [8, 1, 1, 1, 12, 1, 1, 1, 16, *[1] * 24]


def test_too_little_device_memory_for_the_neighbours_is_no_fault_of_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_little(*_: object) -> None:
        raise torch.OutOfMemoryError("made up")

    served = engine()
    monkeypatch.setattr("inspector.vision.raw_scorer.mutual_scores", too_little)
    with pytest.raises(MemoryError, match="too little device memory for 1 frames"):
        served.inspect([served.decode(frame(0))])


def test_the_ring_forgets_the_oldest_and_starts_anew_with_another_grid() -> None:
    ring = MutualRing(SCORING, RATE)
    ring.take(mutual_frames(features(30)))
    assert len(ring) == 16
    coarser = {name: value[:, ::2, ::2] for name, value in features(3).items()}
    ring.take(mutual_frames(coarser, "g"))
    assert len(ring) == 3
    assert ring.score(mutual_frames(coarser, "g"), to_maps) is None


def test_rings_of_many_cameras_keep_to_their_memory_and_forget_the_most_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rings = MutualRings(dataclasses.replace(SCORING, mutual_memory_mb=1), RATE)
    one = mutual_frames(features(16))
    cameras = 2 * 2**20 // (16 * one[0].size)
    for number in range(cameras):
        own = one[number % 16]
        known = rings.score("faithful", "plate", [dataclasses.replace(own)], to_maps)
        rings.score(f"cam{number}", "plate", [dataclasses.replace(each) for each in one], to_maps)
        assert rings.size <= 2**20
    assert known is not None  # it comes every time, and still has the frames it came with first
    assert f"cam{cameras - 1}" in rings.cameras
    assert "cam0" not in rings.cameras
    assert [message.split(":")[0] for message in caplog.messages] == ["camera cam0 starts anew zero-shot"]


def test_a_camera_whose_frames_are_too_large_for_the_memory_is_not_scored_mutually_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    large = {name: value.repeat(1, 16, 16, 1) for name, value in features(8).items()}
    rings = MutualRings(dataclasses.replace(SCORING, mutual_memory_mb=1), RATE)
    for _ in range(3):
        assert rings.score("cam1", "plate", mutual_frames(large), to_maps) is None
    assert rings.size <= 2**20
    assert caplog.messages == [
        "camera cam1 stays zero-shot: 8 of its frames take more than scoring.mutual_memory_mb: 1; "
        "raise it, or use fewer tiles"
    ]


def test_a_camera_is_zero_shot_until_it_has_frames_enough_and_then_finds_the_planted_defect() -> None:
    served = engine()
    first = served.inspect([served.decode(frame(seed)) for seed in range(5)])
    assert {verdict.mode for verdict in first} == {ScoreMode.ZERO_SHOT}
    batch = [served.decode(frame(seed, defect=seed == 100)) for seed in (5, 6, 7, 8, 100, 9, 10, 11)]
    judged = served.inspect_with_raw(batch)
    assert {verdict.mode for verdict, _ in judged} == {ScoreMode.MUTUAL}
    assert all(0 <= verdict.anomaly_score <= 1 for verdict, _ in judged)
    scores = [raw.image_score for _, raw in judged]
    assert scores[4] == max(scores)
    assert judged[4][0].pred_label is PredLabel.ANOMALOUS
    row, column = np.unravel_index(judged[4][1].anomaly_map.argmax(), (96, 96))
    assert 52 <= column <= 84  # x 150..190 of 240
    assert 14 <= row <= 41  # y 40..70 of 192


def test_a_mixed_batch_of_cameras_and_modes_scores_each_by_its_own_frames() -> None:
    mixed, alone = engine(), engine()
    for seed in range(8):
        (decoded,) = [alone.decode(frame(seed))]
        alone.inspect([decoded])
        batch = [
            mixed.decode(each)
            for each in (frame(seed), frame(500, "cam3"), frame(900 - seed, "cam2", defect=True), frame(500, "cam3"))
        ]
        mixed.inspect(batch)
    others = [mixed.decode(frame(50, "cam2", defect=True)), mixed.decode(frame(51, "cam3"))]
    found = mixed.inspect_with_raw([others[0], mixed.decode(frame(20)), others[1]])
    ((expected, raw),) = alone.inspect_with_raw([alone.decode(frame(20))])
    assert [verdict.mode for verdict, _ in found] == [ScoreMode.MUTUAL, ScoreMode.MUTUAL, ScoreMode.ZERO_SHOT]
    np.testing.assert_allclose(found[1][1].anomaly_map, raw.anomaly_map, atol=2e-2, rtol=1e-2)
    assert found[1][0].anomaly_score == pytest.approx(expected.anomaly_score, abs=1e-2)


def test_another_product_on_the_camera_is_no_alarm_but_starts_with_neighbours_of_its_own() -> None:
    served = engine()
    served.set_product("dark", PLATE)
    assert served.inspect([served.decode(frame(seed)) for seed in range(10)])[0].mode is ScoreMode.MUTUAL
    changed = [served.decode(frame(seed, product="dark")) for seed in range(20, 28)]
    assert {verdict.mode for verdict in served.inspect(changed[:7])} == {ScoreMode.ZERO_SHOT}
    assert served.inspect(changed[7:])[0].mode is ScoreMode.MUTUAL
    assert served.inspect([served.decode(frame(30))])[0].mode is ScoreMode.MUTUAL
    unknown = [served.decode(frame(40 + i, product=f"part {i}")) for i in range(8)]
    assert served.inspect(unknown)[0].mode is ScoreMode.MUTUAL  # inspected as one product: the default one


def test_a_camera_that_leaves_the_mode_forgets_its_frames() -> None:
    served = engine()
    batch = [served.decode(frame(seed)) for seed in range(8)]
    assert served.inspect(batch)[0].mode is ScoreMode.MUTUAL
    served.set_camera("cam1", ZERO_SHOT)
    assert served.inspect(batch[:1])[0].mode is ScoreMode.ZERO_SHOT
    served.set_camera("cam1", MUTUAL)
    assert served.inspect(batch[:1])[0].mode is ScoreMode.ZERO_SHOT


def test_an_announced_calibration_of_the_mode_replaces_the_threshold_of_the_ring() -> None:
    served = engine()
    batch = [served.decode(frame(seed)) for seed in range(10)]
    calibration = served.calibrate("cam1", batch, NOW)
    assert (calibration.mode, calibration.frames) == (ScoreMode.MUTUAL, 10)
    data = to_json(calibration)
    served.set_calibration(version_of(data), data)
    (verdict, raw) = served.inspect_with_raw(batch)[0]
    assert verdict.calibration_version == version_of(data)
    expected = 1 / (1 + np.exp(-(raw.image_score - calibration.image.midpoint) / calibration.image.scale))
    assert verdict.anomaly_score == pytest.approx(expected, abs=1e-5)


def test_many_frames_calibrate_in_groups_as_large_as_the_ring_they_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    served, groups, scales = engine(ScoringSettings(mutual_frames=10)), list[list[str]](), set[bool]()
    score = InspectionEngine.score_mutually

    def counted(self: InspectionEngine, frames: Sequence[DecodedFrame], finer: bool | None = None) -> list[RawScores]:
        groups.append([each.frame.meta.frame_id for each in frames])
        made = score(self, frames, finer)
        scales.update(raw.score_maps.finer for raw in made if raw.score_maps is not None)
        return made

    monkeypatch.setattr(InspectionEngine, "score_mutually", counted)
    assert served.calibrate("cam1", [served.decode(frame(seed)) for seed in range(33)], NOW).frames == 33
    assert [len(group) for group in groups] == [11, 11, 11]
    assert len({name for group in groups for name in group}) == 33
    assert len(scales) == 1  # one threshold is fitted to all of them


def test_a_whole_set_is_scored_against_itself_whatever_the_cameras_mode() -> None:
    served = engine()
    decoded = [served.decode(frame(seed, "cam3", defect=seed >= 100)) for seed in (*range(10), 100, 101)]
    raw = served.score_mutually(decoded)
    assert sorted(range(12), key=lambda i: raw[i].image_score)[-2:] in ([10, 11], [11, 10])
    assert {each.mode for each in raw} == {ScoreMode.MUTUAL}
    judged = served.inspect_mutually(decoded)
    assert [each.image_score for _, each in judged] == pytest.approx([each.image_score for each in raw], rel=1e-4)
    assert [verdict.mode for verdict, _ in judged] == [ScoreMode.MUTUAL] * 12
    assert served.inspect(decoded[:1])[0].mode is ScoreMode.ZERO_SHOT
    with pytest.raises(BadInputError, match="at least 8 different frames"):
        served.score_mutually([decoded[0]] * 9)


def test_zones_limit_the_mutual_score_too() -> None:
    served = engine()
    batch = [served.decode(frame(seed, defect=seed == 7)) for seed in range(8)]
    everywhere = served.score_mutually(batch)[7]
    left = (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),)  # the defect is in the right half
    served.set_product("plate", ProductSettings("plate", PLATE.defects, region_of_interest=left))
    limited = served.score_mutually(batch)[7]
    assert limited.image_score < everywhere.image_score / 2
    assert limited.anomaly_map.max() == pytest.approx(everywhere.anomaly_map.max(), rel=1e-4)


def test_a_part_that_is_mostly_bare_has_the_spread_of_what_is_on_it() -> None:
    # A printed board: two thirds of the patches are blank and alike in every frame, edges differ a little.
    distances = torch.zeros(8, 6, 6)
    distances[:, :2] = torch.rand(8, 2, 6, generator=torch.Generator().manual_seed(1)) + 0.5
    scale = usual({TEXTURE: distances})
    scores = scale.score({TEXTURE: distances})
    assert scores.max() < 20, "an edge is nothing unheard of"
    assert scale.score({TEXTURE: torch.full((1, 6, 6), 10.0)}).min() > scores.max(), "a defect still is"


def test_the_measure_and_scale_of_a_set_do_not_hang_on_its_order() -> None:
    values = features(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    shuffled = {name: value[order] for name, value in values.items()}
    found, again = (
        usual(found).score(found)
        for each in (values, shuffled)
        for found in (fit_measure(each, True).distances(each, each, torch.arange(9), 0.3),)
    )
    torch.testing.assert_close(found[order], again, atol=1e-2, rtol=1e-2)


def test_frames_say_themselves_whether_every_place_has_a_look_of_its_own() -> None:
    fixed, generator = features(10), torch.Generator().manual_seed(1)
    assert lies_in_place(fixed, 0.3)
    order = [torch.randperm(64, generator=generator) for _ in range(10)]
    rolled = torch.stack([value.flatten(0, 1)[each] for value, each in zip(fixed["texture"], order, strict=True)])
    assert not lies_in_place({"texture": rolled.reshape(10, 8, 8, -1)}, 0.3)
    assert not lies_in_place({"lower": fixed["lower"]}, 0.3)

"""Comparing two versions takes a bounded share of the time, and tells which one is slow; by the test's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from loop_kit import GOOD
from rollout_kit import WHY, VersionEngine

from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.release import RolloutStage
from inspector.domain.result import ScoreMode
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.engine_versions import EngineVersions, Observation, Serving
from inspector.pipeline.rollout import Watched, first_rollout, offered, promoted
from inspector.pipeline.rollout_guard import GuardLimits, RolloutGuard

BATCH = 8


@dataclass(eq=False)
class TimedEngine(VersionEngine):
    """Takes ``frame_s`` of the test's clock for each frame."""

    frame_s: float = 0.01
    clock: list[float] = field(default_factory=lambda: [0.0])
    spent_s: float = 0.0
    mode: ScoreMode = ScoreMode.ZERO_SHOT

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        self.clock[0] += self.frame_s * len(frames)
        self.spent_s += self.frame_s * len(frames)
        return [replace(verdict, mode=self.mode) for verdict in super().inspect(frames)]


def batch(number: int) -> list[DecodedFrame]:
    found = []
    for n in range(BATCH):
        meta = FrameMeta(f"f{number}-{n}", f"cam{n}", "line", "default", WHY.at, "image/jpeg")
        frame = Frame(meta, FrameSource("frames", 0, number * BATCH + n), GOOD)
        found.append(DecodedFrame(frame, GOOD))
    return found


@dataclass
class Bench:
    share: float
    candidate_frame_s: float = 0.01
    stage: RolloutStage = RolloutStage.SHADOW
    seen: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = [0.0]
        self.stable = TimedEngine("v0", clock=clock)
        self.candidate = TimedEngine("v1", clock=clock, frame_s=self.candidate_frame_s)
        self.versions = EngineVersions(self.stable, self.share, self.seen.append, lambda: clock[0])
        rollout = offered(first_rollout("v0", WHY), "v1", WHY)
        if self.stage is RolloutStage.CANARY:
            rollout = promoted(rollout, RolloutStage.CANARY, 0.5, WHY)
        self.versions.serve(Serving(self.stable, self.candidate, rollout, Watched("v1", "v0")))

    def run(self, batches: int) -> None:
        for number in range(batches):
            self.versions.inspect(batch(number))
            self.versions.after_batch()


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("slower", [1, 10])
def test_comparing_takes_its_share_of_the_time_and_one_batch_at_most_beyond_it(share: float, slower: int) -> None:
    bench = Bench(share, 0.01 * slower)
    bench.run(400)
    most_s = share * bench.stable.spent_s + slower * 0.01 * BATCH
    assert 0.5 * share * bench.stable.spent_s < bench.candidate.spent_s <= most_s + 1e-9


def test_a_slower_candidate_is_told_by_batches_of_one_size() -> None:
    bench, guard = Bench(0.5, 0.03), RolloutGuard(GuardLimits())
    bench.run(200)
    for seen in bench.seen:
        guard.saw_times(seen.subject_s, seen.reference_s)
    assert "3.00 times as long" in (guard.objection() or "")
    assert {(round(o.subject_s / o.reference_s, 3), len(o.pairs)) for o in bench.seen} == {(3.0, BATCH)}


def test_a_candidate_that_scores_frames_in_another_way_is_not_called_slow() -> None:
    bench = Bench(0.5, 0.03)
    bench.candidate.mode = ScoreMode.MUTUAL  # of a camera that is calibrated for the version before alone
    bench.run(40)
    assert bench.seen
    assert {(seen.subject_s, seen.reference_s) for seen in bench.seen} == {(0.0, 0.0)}


def test_canaries_are_judged_by_the_version_before_too_so_that_there_are_pairs_of_every_frame() -> None:
    bench = Bench(0.5, stage=RolloutStage.CANARY)
    bench.run(40)
    served = sum(o.served for o in bench.seen)
    cameras = {p.camera_id for o in bench.seen for p in o.pairs}
    assert 0 < served < 40 * BATCH
    assert cameras == {f"cam{n}" for n in range(BATCH)}


def test_a_batch_of_before_a_swap_is_not_compared_after_it() -> None:
    bench = Bench(0.5)
    bench.versions.inspect(batch(0))
    bench.versions.serve(Serving(bench.candidate))
    bench.versions.after_batch()
    assert bench.candidate.batches == []
    assert bench.versions.weights_version == "v1"

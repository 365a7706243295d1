"""A loop whose engines come and go with a rollout, all in memory: each knows its version and what it was given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from loop_kit import DEFECT, FakeEngine, World

from inspector.adapters.memory.log import MemoryConfigFeed, MemoryFrameLog, MemoryWeightsFeed, announce
from inspector.adapters.memory.rollout_store import MemoryRolloutStore
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.release import Companion, Rollout, WeightsRelease
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.config_book import ConfigBook
from inspector.pipeline.engine_ports import DecodedFrame, Engine, Verdict
from inspector.pipeline.engine_shelf import EngineShelf, ShelfEvents
from inspector.pipeline.loop import InspectionLoop
from inspector.pipeline.loop_parts import LoopEvents, LoopLimits, OutTopics
from inspector.pipeline.rollout import Decision, first_rollout, watched
from inspector.pipeline.rollout_guard import GuardLimits
from inspector.pipeline.rollout_keeper import KeeperEvents, KeeperLimits, RolloutKeeper
from inspector.pipeline.rollout_notes import RolloutNotes

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHY = Decision("a test", "the test asked for it", NOW)


@dataclass(eq=False)
class VersionEngine(FakeEngine):
    """Sees defects as its version does: one that ``lies`` everywhere, one that ``fails`` raises; ``slow_s`` a frame."""

    lies: bool = False
    fails: bool = False
    score: float | None = None
    slow_s: float = 0.0
    calibrations: list[bytes] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise RuntimeError("this version fails")
        if self.slow_s:
            time.sleep(self.slow_s * len(frames))
        return super().inspect(frames)

    def _verdict(self, anomalous: bool) -> Verdict:
        if self.score is not None:
            return Verdict(self.score, PredLabel.NORMAL, 0.5, ScoreMode.ZERO_SHOT)
        return super()._verdict(anomalous or self.lies)

    def set_calibration(self, version: str, data: bytes) -> None:
        self.calibrations.append(data)


@dataclass
class FakeLoader:
    """Loads what ``make`` makes; ``own`` is the version of the settings."""

    own: str = "v0"
    make: Callable[[str], VersionEngine] = lambda version: VersionEngine(version)
    loads: list[str] = field(default_factory=list)
    engines: list[VersionEngine] = field(default_factory=list)
    gate: threading.Event | None = None
    away: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def settings_version(self) -> str:
        return self.own

    def from_settings(self) -> Engine:
        return self._made(self.own)

    def load(self, release: WeightsRelease, *, beside: bool) -> tuple[Engine, int]:
        version = release.weights_version
        self.loads.append(version)
        if self.gate is not None:
            assert self.gate.wait(20)
        if self.away:
            self.away -= 1
            raise ServiceUnavailableError("a store", "it is away", "wait")
        if version in self.bad:
            raise BadInputError("sound weights", self.bad[version], "publish others")
        return self._made(version), 1000

    def _made(self, version: str) -> VersionEngine:
        self.engines.append(self.make(version))
        return self.engines[-1]


@dataclass
class RolloutWorld(World):
    """A ``World`` whose loops have keepers."""

    loader: FakeLoader = field(default_factory=FakeLoader)
    notes_store: MemoryRolloutStore = field(init=False)
    keepers: list[RolloutKeeper] = field(default_factory=list)
    rollout: Rollout = field(default_factory=lambda: first_rollout("v0", WHY))
    refused_weights: list[tuple[str, str]] = field(default_factory=list)
    vetoed: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    now: datetime = NOW
    passed_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notes_store = MemoryRolloutStore(lambda: self.now)
        self.broker.create_topic("weights")

    def release(self, version: str, companions: tuple[Companion, ...] = ()) -> None:
        announce(self.broker, "weights", WeightsRelease(version, "a" * 64, "fake", NOW, companions=companions))

    def roll_out(self, rollout: Rollout) -> None:
        self.rollout = replace(rollout, revision=self.rollout.revision + 1)
        announce(self.broker, "weights", self.rollout)

    def found(self) -> Comparison:
        """Return what was found in the trial that the rollout asks for."""
        on_trial = watched(self.rollout, self.now, timedelta(hours=24))
        assert on_trial is not None
        return self.notes_store.found(on_trial)

    def keeper(self, replica: str = "r1", **limits: Any) -> RolloutKeeper:
        book = ConfigBook(MemoryConfigFeed(self.broker, "config"))
        shelf = EngineShelf(
            self.loader,
            self.notes_store,
            book,
            self.artefacts,
            replica,
            ShelfEvents(
                on_refused_config=lambda announcement, _: self.refused.append(announcement),
                on_not_for=lambda announcement, _: self.left_out.append(announcement.key),
                on_refused=lambda version, why: self.refused_weights.append((version, why)),
            ),
        )
        known: dict[str, Any] = {"poll_s": 0.005, "guard": GuardLimits(max_latency_ratio=1000.0), **limits}
        keeper = RolloutKeeper(
            MemoryWeightsFeed(self.broker, "weights"),
            self.notes_store,
            shelf,
            book,
            RolloutNotes(self.notes_store, replica),
            KeeperLimits(**known),
            KeeperEvents(
                on_veto=lambda version, why: self.vetoed.append((version, why)),
                on_trouble=lambda what, detail: self.troubles.append(f"{what}: {detail}"),
            ),
            lambda: time.monotonic() + self.passed_s,
        )
        self.keepers.append(keeper)
        return keeper

    def rolling_loop(self, keeper: RolloutKeeper, replica: str = "r1", **limits: Any) -> InspectionLoop:
        log = MemoryFrameLog(self.broker, group_id="g", replica=replica, frames_topic="frames")
        self.logs.append(log)
        self.lives.append(self.new_life(self.marks))
        defaults: dict[str, Any] = {
            "batch_max_size": 4,
            "batch_max_wait_s": 0.002,
            "retry_s": 0.01,
            "config_poll_s": 0.0,
        }
        events = LoopEvents(
            self.reports.append, lambda what, _: self.troubles.append(what), after_batch=keeper.after_batch
        )
        return InspectionLoop(
            log,
            self.store,
            self.lives[-1],
            keeper.engines,
            keeper,
            OutTopics("alerts", "dead"),
            LoopLimits(**{**defaults, **limits}),
            events,
        )

    def publish_more(self, count: int, first: int, defect_every: int = 5) -> None:
        """Publish frames numbered from ``first``; one in ``defect_every`` shows a defect."""
        ids = [f"f{n:06}" for n in range(first, first + count)]
        good = b"\xff\xd8\xff good"
        self.publish([DEFECT if n % defect_every == 0 else good for n in range(first, first + count)], ids)

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.close()


def until(done: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for something that happens on another thread."""
    deadline_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.002)

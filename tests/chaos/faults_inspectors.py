"""Faults of inspectors: killed at a point of the commit path, stopped past their session, joining and leaving."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scenario import INSPECTORS, Stage

from inspector.pipeline.milestones import Milestone

# A life ends at one of its first passings of the point: late enough to have taken over partitions, early enough to
# make many lives.
_FIRST_PASSINGS, _LAST_PASSINGS = 5, 40
_KILL_TIMEOUT_S = 120.0
_STORM_EVERY_S = 5.0
_JOIN_TIMEOUT_S = 60.0


@dataclass
class KilledAt:
    """SIGKILL, sent by the worker to itself when a batch passes one of ``points``; all inspectors, life after life."""

    points: Sequence[Milestone]
    worker_options: Sequence[str] = ()
    armed: bool = True

    @property
    def how(self) -> str:
        return f"SIGKILL at {', '.join(point.value for point in self.points)}; all three, life after life"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.arming = lambda replica, life: self._acts(stage, replica, life)

    def _acts(self, stage: Stage, replica: str, life: int) -> list[str]:
        if not self.armed:
            return []
        point = self.points[(INSPECTORS.index(replica) + len(INSPECTORS) * (life - 1)) % len(self.points)]
        return [f"kill:{point.value}:{stage.rng.randint(_FIRST_PASSINGS, _LAST_PASSINGS)}:1000000"]

    def inject(self, stage: Stage) -> None:
        before = len(stage.healed_at_s)
        if not stage.wait(lambda: stage.fleet.kills > before, _KILL_TIMEOUT_S, f"a kill at {self.points}"):
            return
        self._count(stage)

    def finish(self, stage: Stage) -> None:
        stage.wait(lambda: not set(self.points) - set(kills_by_point(stage)), _KILL_TIMEOUT_S, "a kill at every point")
        self.armed = False
        self._count(stage)
        stage.note = ", ".join(f"{count} at {point.value}" for point, count in kills_by_point(stage).items())

    def _count(self, stage: Stage) -> None:
        stage.healed_at_s[:] = [death.at_s for death in stage.fleet.deaths if death.code == -signal.SIGKILL]
        stage.times = len(stage.healed_at_s)


def kills_by_point(stage: Stage) -> Counter[Milestone]:
    """Return how many kills the workers say to have come to, by point."""
    kills: Counter[Milestone] = Counter()
    for record in stage.line.dir.glob("acts-*/kill-*"):
        kills[Milestone(record.name.split("-")[1])] += record.stat().st_size
    return kills


@dataclass
class StoppedAt:
    """SIGSTOP at one of ``points`` for longer than the session lasts, then SIGCONT: a zombie that knows of nothing."""

    points: Sequence[Milestone]
    stop_s: float = 15.0
    worker_options: Sequence[str] = ()
    armed: bool = True
    _turns: int = field(default=0, repr=False)

    @property
    def how(self) -> str:
        points = ", ".join(point.value for point in self.points)
        return f"SIGSTOP at {points} for {self.stop_s:.0f} s, past the session; SIGCONT"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.stop_s = self.stop_s
        # One zombie at a time: somebody must take its partitions over.
        stage.fleet.arming = lambda replica, life: self._acts(stage, replica)

    def _acts(self, stage: Stage, replica: str) -> list[str]:
        if not self.armed or replica != INSPECTORS[0]:
            return []
        point = self.points[self._turns % len(self.points)]
        self._turns += 1
        return [f"stop:{point.value}:{stage.rng.randint(_FIRST_PASSINGS, _LAST_PASSINGS)}:1000000"]

    def inject(self, stage: Stage) -> None:
        before = len(stage.healed_at_s)
        limit_s = _KILL_TIMEOUT_S + self.stop_s
        if not stage.wait(lambda: len(stage.fleet.sleeps) > before, limit_s, f"a stop at {self.points}"):
            return
        stage.healed_at_s[:] = [sleep.to_s for sleep in stage.fleet.sleeps]
        stage.times = len(stage.fleet.sleeps)
        # What woke up may go on or leave; the next life is the next zombie. Killed only after it had time to do harm.
        time.sleep(self.stop_s)
        if self.armed:
            stage.fleet.kill(INSPECTORS[0])

    def finish(self, stage: Stage) -> None:
        self.armed = False


@dataclass
class RebalanceStorm:
    """One more inspector joins or leaves every five seconds."""

    worker_options: Sequence[str] = ()
    _joined: int = field(default=0, repr=False)

    @property
    def how(self) -> str:
        return f"one more joins, leaves after {_STORM_EVERY_S:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        self._joined += 1
        guest = f"guest-{self._joined}"
        stage.fleet.start(guest)
        log = stage.line.dir / f"{guest}.log"
        stage.wait(lambda: '"event": "member ' in log.read_text(errors="replace"), _JOIN_TIMEOUT_S, f"{guest} joined")
        time.sleep(_STORM_EVERY_S)
        if (code := stage.fleet.leave(guest)) != 0:
            stage.problems.append(f"{guest} left with {code}")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass

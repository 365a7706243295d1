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
_PASSINGS = (5, 40)
_KILL_TIMEOUT_S = 120.0
_STORM_EVERY_S = 5.0
_JOIN_TIMEOUT_S = 60.0


@dataclass
class KilledAt:
    """SIGKILL, sent by the worker to itself when a batch passes one of ``points``; all inspectors, life after life.

    ``passings``: the first and the last passing at which a life may end.
    """

    points: Sequence[Milestone]
    worker_options: Sequence[str] = ()
    passings: tuple[int, int] = _PASSINGS
    armed: bool = True

    @property
    def how(self) -> str:
        return f"SIGKILL at {_names(self.points)}; all three, life after life"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.arming = lambda replica, life: self._acts(stage, replica, life)

    def _acts(self, stage: Stage, replica: str, life: int) -> list[str]:
        if not self.armed:
            return []
        point = self.points[(INSPECTORS.index(replica) + len(INSPECTORS) * (life - 1)) % len(self.points)]
        return [f"kill:{point.value}:{stage.rng.randint(*self.passings)}:1000000"]

    def inject(self, stage: Stage) -> None:
        before = len(stage.healed_at_s)
        if not stage.wait(lambda: stage.fleet.kills > before, _KILL_TIMEOUT_S, f"a kill at {_names(self.points)}"):
            return
        self._count(stage)

    def finish(self, stage: Stage) -> None:
        stage.wait(lambda: not set(self.points) - set(acted(stage, "kill")), _KILL_TIMEOUT_S, "a kill at every point")
        self.armed = False
        self._count(stage)
        stage.note = _told(acted(stage, "kill"))

    def _count(self, stage: Stage) -> None:
        stage.healed_at_s[:] = [death.at_s for death in stage.fleet.deaths if death.code == -signal.SIGKILL]
        stage.times = len(stage.healed_at_s)


def acted(stage: Stage, what: str) -> Counter[Milestone]:
    """Return how many acts (``kill`` or ``stop``) the workers say to have come to, by point."""
    acts: Counter[Milestone] = Counter()
    for record in stage.line.dir.glob(f"acts-*/{what}-*"):
        acts[Milestone(record.name.split("-")[1])] += record.stat().st_size
    return acts


def _names(points: Sequence[Milestone]) -> str:
    return ", ".join(point.value for point in points)


def _told(acts: Counter[Milestone]) -> str:
    return ", ".join(f"{acts[point]} at {point.value}" for point in Milestone if acts[point])


@dataclass
class StoppedAt:
    """SIGSTOP at one of ``points`` for longer than the session lasts, then SIGCONT: a zombie that knows of nothing.

    It has ``settle_s`` to do harm before it is killed, where it does not leave by itself. Whatever the number of times
    asked for, every point has its zombie.
    """

    points: Sequence[Milestone]
    stop_s: float = 15.0
    settle_s: float = 15.0
    worker_options: Sequence[str] = ()
    armed: bool = True

    @property
    def how(self) -> str:
        return f"SIGSTOP at {_names(self.points)} for {self.stop_s:.0f} s, past the session; SIGCONT"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.stop_s = self.stop_s
        # One zombie at a time: somebody must take its partitions over.
        stage.fleet.arming = lambda replica, life: self._acts(stage, replica)

    def _acts(self, stage: Stage, replica: str) -> list[str]:
        if not self.armed or replica != INSPECTORS[0]:
            return []
        stops = acted(stage, "stop")
        point = min(self.points, key=lambda point: stops[point])  # also after lives that ended before their stop
        return [f"stop:{point.value}:{stage.rng.randint(*_PASSINGS)}:1000000"]

    def inject(self, stage: Stage) -> None:
        before = len(stage.healed_at_s)
        limit_s = _KILL_TIMEOUT_S + self.stop_s
        if not stage.wait(lambda: len(stage.fleet.sleeps) > before, limit_s, f"a stop at {_names(self.points)}"):
            return
        zombie = stage.fleet.sleeps[-1]
        stage.healed_at_s[:] = [sleep.to_s for sleep in stage.fleet.sleeps]
        stage.times = len(stage.fleet.sleeps)
        time.sleep(self.settle_s)
        # What woke up may have left by itself: the life after it is the next zombie, and not to be disturbed.
        stage.fleet.kill_life(zombie.replica, zombie.pid)

    def finish(self, stage: Stage) -> None:
        while set(self.points) - set(acted(stage, "stop")) and not stage.problems:
            self.inject(stage)
        self.armed = False
        stage.note = _told(acted(stage, "stop"))


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

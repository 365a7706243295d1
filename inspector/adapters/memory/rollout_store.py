"""What inspectors tell of versions on trial, in memory: held to the behaviour of the one on Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from inspector.adapters.memory.faults import Outage
from inspector.pipeline.comparison import Comparison, Difference
from inspector.pipeline.rollout import Watched
from inspector.pipeline.rollout_ports import Standing


class MemoryRolloutStore:
    """``rollout_ports.RolloutStore`` in memory; it can be away for a number of calls."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.outage = Outage()
        self._clock = clock
        self._lock = threading.Lock()
        self._vetoes: dict[str, str] = {}
        self._trials: dict[tuple[str, str], int | None] = {}
        self._standings: dict[str, dict[str, Standing]] = {}
        self._found: dict[Watched, Comparison] = {}
        self._differences: dict[Watched, list[Difference]] = {}

    def now(self) -> datetime:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        return self._clock()

    def vetoes(self, versions: Collection[str]) -> Mapping[str, str]:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            return {version: self._vetoes[version] for version in versions if version in self._vetoes}

    def veto(self, version: str, reason: str, replica: str) -> None:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            self._vetoes.setdefault(version, reason)

    def lift(self, version: str) -> None:
        """Forget what speaks against a version."""
        self.outage.check()
        with self._lock:
            self._vetoes.pop(version, None)
            self._standings.pop(version, None)
            self._trials = {key: tries for key, tries in self._trials.items() if key[0] != version}

    def begin_trial(self, version: str, replica: str) -> int:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            tries = self._trials.get((version, replica), 0)
            if tries is None:
                return 0
            self._trials[version, replica] = tries + 1
            return tries + 1

    def end_trial(self, version: str, replica: str, *, passed: bool) -> None:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            if passed:
                self._trials[version, replica] = None
            elif self._trials.get((version, replica), 0) is not None:
                self._trials.pop((version, replica), None)

    def report(self, version: str, replica: str, standing: Standing) -> None:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            self._standings.setdefault(version, {})[replica] = replace(standing, said_at=self._clock())

    def standings(self, version: str) -> Mapping[str, Standing]:
        """Return how a version fares in each inspector that has loaded or refused it."""
        self.outage.check()
        with self._lock:
            return dict(sorted(self._standings.get(version, {}).items()))

    def add(self, trial: Watched, comparison: Comparison, differences: Sequence[Difference]) -> None:
        """See ``rollout_ports.RolloutStore``."""
        self.outage.check()
        with self._lock:
            self._found[trial] = self._found.get(trial, Comparison()) + comparison
            self._differences.setdefault(trial, []).extend(differences)

    def found(self, trial: Watched) -> Comparison:
        """Return what all inspectors together found in a trial."""
        self.outage.check()
        with self._lock:
            return self._found.get(trial, Comparison())

    def differences(self, trial: Watched, last: int) -> list[Difference]:
        """Return the last frames that the version on trial judged otherwise than the one before it, latest first."""
        self.outage.check()
        with self._lock:
            return self._differences.get(trial, [])[::-1][:last]

"""The engines at hand: loaded beside the one that serves, configured as it is, or refused with the reason."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from inspector.domain.artefact import Announcement
from inspector.domain.errors import CredentialsError, ServiceUnavailableError
from inspector.domain.release import WeightsRelease
from inspector.pipeline.config_applier import ConfigApplier, OnApplied, OnRefused
from inspector.pipeline.config_book import ConfigBook
from inspector.pipeline.engine_ports import Engine
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.rollout_ports import EngineLoader, RolloutStore, Standing

MAX_TRIES = 3
"""A version is not loaded again where so many loads in a row ended with the process."""

_TRIAL_S = 10.0

SAID_AGAIN_S = 60.0
"""How often it is repeated how a version fares here: what is not repeated was said by an inspector that is gone."""


@dataclass(frozen=True, slots=True)
class ShelfEvents:
    """What is told of engines, from any thread.

    ``on_not_for``: an announcement that does not say for which weights it is, and is not for these, as most are that
    were made before a rollout.
    """

    on_applied: OnApplied = lambda _: None
    on_refused_config: OnRefused = lambda _announcement, _error: None
    on_not_for: OnRefused = lambda _announcement, _error: None
    on_loaded: Callable[[str, int], None] = lambda _version, _bytes: None
    on_refused: Callable[[str, str], None] = lambda _version, _why: None


@dataclass(frozen=True, slots=True)
class _Loaded:
    engine: Engine
    config: ConfigApplier
    at_s: float


class EngineShelf:
    """``load`` is called from a thread that may take its time, ``configure`` from the one that scores.

    A version that was never loaded here before is on trial until it has been at hand for ten seconds: a process that
    ends in that while, as one does that lacks memory for two models, finds a note of it when it starts again.
    """

    def __init__(
        self,
        loader: EngineLoader,
        store: RolloutStore,
        book: ConfigBook,
        artefacts: ArtefactStore,
        replica: str,
        events: ShelfEvents,
    ) -> None:
        self._loader = loader
        self._store = store
        self._book = book
        self._artefacts = artefacts
        self._replica = replica
        self._events = events
        self._lock = threading.Lock()
        self._loaded: dict[str, _Loaded] = {}
        self._refused: dict[str, str] = {}
        self._on_trial: set[str] = set()
        self._let_go: set[str] = set()
        self._standings: dict[str, Standing] = {}
        self._said_s: dict[str, float] = {}

    def get(self, version: str) -> Engine | None:
        """Return an engine that is at hand."""
        with self._lock:
            found = self._loaded.get(version)
        return None if found is None else found.engine

    def known(self) -> Collection[str]:
        """Return the versions that are at hand or refused."""
        with self._lock:
            return {*self._loaded, *self._refused}

    def is_full(self) -> bool:
        """Tell whether there are two engines, which is what memory is planned for."""
        with self._lock:
            return len(self._loaded) >= 2

    def keep_only(self, versions: Collection[str]) -> None:
        """Let all other engines go."""
        with self._lock:
            gone = self._loaded.keys() - set(versions)
            self._let_go |= gone & self._on_trial
            for version in gone:
                del self._loaded[version]
                self._standings.pop(version, None)

    def forgive(self, version: str | None = None) -> None:
        """Let what was refused be tried again: one version, or all."""
        with self._lock:
            for forgiven in [*self._refused] if version is None else [version]:
                if self._refused.pop(forgiven, None) is not None:
                    self._standings.pop(forgiven, None)

    def configure(self) -> bool:
        """Apply what was announced to each engine; False: Kafka or Redis is away, and something may be to come."""
        with self._lock:
            engines = list(self._loaded.values())
        return all(each.config.apply_pending() for each in engines)

    def load_first(self, versions: Collection[str], releases: Mapping[str, WeightsRelease]) -> Engine:
        """Return the first of these versions that can serve; where none can, what the settings name.

        Raises:
            BadInputError: not even that can.
            ServiceUnavailableError: a store is away.
        """
        own = self._loader.settings_version() if versions else ""
        for version in versions:
            if version == own:
                break
            self.load(version, releases)
            if (engine := self.get(version)) is not None:
                return engine
        return self._keep(self._loader.from_settings(), (), 0, own)

    def load(self, version: str, releases: Mapping[str, WeightsRelease]) -> None:
        """Put a version at hand, or refuse it and say why.

        Raises:
            ServiceUnavailableError: a store is away; nothing is known of the version yet.
        """
        if version == self._loader.settings_version():
            self._keep(self._loader.from_settings(), (), 0, version)
            return
        release = releases.get(version)
        if release is None:
            self._refuse(version, "no such release on the topic of weights: publish it")
            return
        if version in self._let_go:  # before it is counted again
            self._end_trial(version)
        if self._store.begin_trial(version, self._replica) > MAX_TRIES:
            self._refuse(version, f"{MAX_TRIES} loads of it ended with the process")
            return
        with self._lock:
            self._on_trial.add(version)
            beside = bool(self._loaded)
        try:
            engine, memory_bytes = self._loader.load(release, beside=beside)
            self._keep(engine, release.announcements(), memory_bytes, version)
        except (ServiceUnavailableError, CredentialsError):
            self._end_trial(version)
            raise
        except Exception as error:
            self._refuse(version, str(error) or type(error).__name__)
            self._end_trial(version)

    def tell(self) -> None:
        """Say how each version fares here, and end the trials of those that stood it or were let go.

        Raises:
            ServiceUnavailableError: the store is away; it is said by the next call.
        """
        now_s = time.monotonic()
        with self._lock:
            due = {v: s for v, s in self._standings.items() if now_s - self._said_s.get(v, -math.inf) >= SAID_AGAIN_S}
            stood = [v for v in self._on_trial if (at := self._loaded.get(v)) and now_s - at.at_s >= _TRIAL_S]
        for version, standing in due.items():
            self._store.report(version, self._replica, standing)
            with self._lock:
                if self._standings.get(version) == standing:
                    self._said_s[version] = now_s
        for version in stood:
            self._end_trial(version, passed=True)
        for version in [*self._let_go]:
            self._end_trial(version)

    def close(self) -> None:
        """End all trials: the process ends for another reason. Raises as ``tell``."""
        with self._lock:
            unended = list(self._on_trial)
        for version in unended:
            self._end_trial(version)

    def _end_trial(self, version: str, *, passed: bool = False) -> None:
        self._store.end_trial(version, self._replica, passed=passed)
        with self._lock:
            self._on_trial.discard(version)
            self._let_go.discard(version)

    def _stands(self, version: str, standing: Standing) -> None:
        self._standings[version] = standing
        self._said_s.pop(version, None)

    def _keep(self, engine: Engine, companions: tuple[Announcement, ...], memory_bytes: int, version: str) -> Engine:
        """Configure an engine as the others are, and put it at hand. ``version``: its, or nothing without a rollout."""
        events = self._events

        def refused(announcement: Announcement, error: Exception) -> None:
            of_before = bool(version) and announcement.weights_version is None
            (events.on_not_for if of_before else events.on_refused_config)(announcement, error)

        feed = self._book.follow(companions)
        config = ConfigApplier(feed, self._artefacts, engine, events.on_applied, refused)
        if not config.apply_pending():
            raise ServiceUnavailableError(
                "what is configured for new weights", "the store is away", "it is tried again"
            )
        with self._lock:
            self._loaded[engine.weights_version] = _Loaded(engine, config, time.monotonic())
            if version:
                self._stands(version, Standing(memory_bytes))
        events.on_loaded(engine.weights_version, memory_bytes)
        return engine

    def _refuse(self, version: str, why: str) -> None:
        with self._lock:
            self._refused[version] = why
            self._stands(version, Standing(refused=why))
        self._events.on_refused(version, why)

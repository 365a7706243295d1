"""Keeps the engines that a rollout asks for, and swaps them between two batches.

Three threads meet here. The one that scores calls ``apply_pending`` and ``after_batch``: only there does it change what
serves. A thread of the keeper's own reads the topic of weights and the store of vetoes. A third one loads engines,
which takes seconds and happens beside the engine that serves. Whatever goes wrong with a version, the engine that
served before goes on serving.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.domain.release import Rollout, WeightsRelease
from inspector.pipeline.config_book import ConfigBook
from inspector.pipeline.engine_shelf import EngineShelf
from inspector.pipeline.engine_versions import EngineVersions, Observation, Serving
from inspector.pipeline.rollout import Watched, heeding, supersedes, wanted_versions, watched
from inspector.pipeline.rollout_guard import GuardLimits, RolloutGuard
from inspector.pipeline.rollout_notes import RolloutNotes
from inspector.pipeline.rollout_ports import RolloutStore, WeightsFeed

_LOAD_AGAIN_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class KeeperLimits:
    """``poll_s``: how often topic and store are looked at.

    ``watch``: how long a version that was promoted to all cameras is still held against the one before it.
    ``shadow_share``: see ``EngineVersions``.
    """

    poll_s: float = 0.5
    watch: timedelta = timedelta(hours=24)
    shadow_share: float = 0.25
    guard: GuardLimits = field(default_factory=GuardLimits)


@dataclass(frozen=True, slots=True)
class KeeperEvents:
    """What the keeper tells, from any of its threads."""

    on_serving: Callable[[Serving], None] = lambda _: None
    on_veto: Callable[[str, str], None] = lambda _version, _why: None
    on_trouble: Callable[[str, str], None] = lambda _what, _detail: None


class RolloutKeeper:
    """``ports.Configuration`` for the loop. ``engines`` is what the loop scores with."""

    def __init__(
        self,
        feed: WeightsFeed,
        store: RolloutStore,
        shelf: EngineShelf,
        book: ConfigBook,
        notes: RolloutNotes,
        limits: KeeperLimits,
        events: KeeperEvents,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load what serves first; takes seconds.

        Raises:
            ServiceUnavailableError: Kafka or Redis is away.
            BadInputError: not even the weights of the settings can serve.
        """
        self._feed = feed
        self._store = store
        self._shelf = shelf
        self._book = book
        self._notes = notes
        self._limits = limits
        self._events = events
        self._monotonic_s = monotonic_s
        self._promoted_s: float | None = None
        self._releases: Mapping[str, WeightsRelease] = {}
        self._rollout: Rollout | None = None
        self._vetoes: Mapping[str, str] = {}
        self._guard = RolloutGuard(limits.guard)
        self._guarded: Watched | None = None
        self._told_failure = ""
        self._is_loading = False
        self._load_after_s: Mapping[str, float] = {}
        self._stopping = threading.Event()
        self._loads = ThreadPoolExecutor(1, "load-weights")
        self._thread = threading.Thread(target=self._run, name="rollout", daemon=True)
        self._clock = store.now(), monotonic_s()
        self._read_topic()
        self._read_store()
        self.engines = EngineVersions(
            shelf.load_first(self._first_choices(), self._releases), limits.shadow_share, self._observed
        )

    def start(self) -> None:
        """Begin to follow the topic of weights."""
        self._thread.start()

    def apply_pending(self) -> bool:
        """Swap to what the rollout asks for, as far as it is ready, and apply what was announced to each engine.

        Runs on the thread that scores. False: Kafka or Redis is away, and something may still be to come.
        """
        self._quietly(self._swap)
        try:
            self._book.read()
        except ServiceUnavailableError:
            return False
        return self._shelf.configure()

    def after_batch(self) -> None:
        """Compare, and go back at once if the version on trial is out of bounds.

        Runs on the thread that scores; never raises.
        """
        self._quietly(self.engines.after_batch)
        guarded = self._guarded
        if guarded is None or (why := self._guard.objection()) is None or guarded.subject in self._all_vetoes():
            return
        self._notes.veto(guarded.subject, why)
        self._events.on_veto(guarded.subject, why)
        self._quietly(self._swap)

    def look(self) -> None:
        """Read topic and store once, tell what there is to tell, and load what is missing; never raises."""
        for step in (self._read_topic, self._read_store, self._notes.tell, self._shelf.tell, self._load_next):
            self._quietly(step)

    def close(self) -> None:
        """Stop following. A load that is under way is not waited for; never raises."""
        self._stopping.set()
        self._loads.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._quietly(self._shelf.close)
        self._quietly(self._notes.tell)
        self._feed.close()
        self._book.close()

    # What serves: on the thread that scores.

    def _swap(self) -> None:
        serving, now = self._asked_for(), self.engines.serving
        if serving.is_as(now):
            return
        if serving.on_trial != self._guarded:
            self._guarded = serving.on_trial
            self._guard = RolloutGuard(self._limits.guard)
        self.engines.serve(serving)
        self._events.on_serving(serving)

    def _asked_for(self) -> Serving:
        """Return what the rollout asks for, as far as it is at hand; else what serves already."""
        rollout = self._effective()
        if rollout is None:
            return self.engines.serving
        wanted = wanted_versions(rollout)
        # What serves at this moment stays too: it goes with the next call, when another one does.
        self._shelf.keep_only({*wanted, self.engines.serving.main.weights_version})
        main = self._shelf.get(rollout.stable_version)
        if main is None:  # the last good one stays, and no other has a say beside it
            return Serving(self.engines.serving.main)
        second = self._shelf.get(wanted[1]) if len(wanted) > 1 else None
        if second is None:
            return Serving(main)
        return Serving(main, second, rollout, self._watched(rollout))

    def _watched(self, rollout: Rollout) -> Watched | None:
        (then, then_s), now_s, watch = self._clock, self._monotonic_s(), self._limits.watch
        found = watched(rollout, then + timedelta(seconds=now_s - then_s), watch)
        since, seen_s = rollout.stable_since, self._promoted_s
        if found is None and since is not None and seen_s is not None and now_s - seen_s < watch.total_seconds():
            return watched(rollout, since, watch)
        return found

    def _observed(self, seen: Observation) -> None:
        self._guard.saw_frames(seen.asked, seen.failures)
        self._guard.saw_pairs(seen.pairs)
        if seen.pairs:
            self._guard.saw_times(seen.subject_s, seen.reference_s)
        if self._guarded is not None:
            self._notes.observed(self._guarded, seen)
        if seen.failure and seen.failure != self._told_failure:  # once, not with every batch
            self._told_failure = seen.failure
            self._events.on_trouble("the version on trial failed", f"{seen.version[:12]}: {seen.failure}")

    def _effective(self) -> Rollout | None:
        rollout = self._rollout
        return None if rollout is None else heeding(rollout, self._all_vetoes().keys())

    def _all_vetoes(self) -> Mapping[str, str]:
        # Ours may not be in the store yet; one that a person lifted there is gone.
        return {**self._vetoes, **self._notes.vetoes}

    # What is asked for: on the keeper's own thread.

    def _run(self) -> None:
        while not self._stopping.wait(self._limits.poll_s):
            self.look()

    def _quietly(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # a bug here must not end the line, nor what keeps it on the last good version
            self._told(error)

    def _told(self, error: Exception) -> None:
        if isinstance(error, InspectorError):
            self._events.on_trouble("weights are not followed for now", str(error))
        else:
            self._events.on_trouble("a bug beside the line", f"{type(error).__name__}: {error}")

    def _read_topic(self) -> None:
        for record in self._feed.poll():
            if isinstance(record, WeightsRelease):
                self._releases = {**self._releases, record.weights_version: record}
                self._shelf.forgive(record.weights_version)  # published anew, so perhaps mended
            else:
                self._take(record)

    def _take(self, record: Rollout) -> None:
        held = self._rollout
        if held is not None and not supersedes(record, held):
            if record != held:
                said = f"revision {record.revision} by {record.decided_by}, and {held.revision} holds"
                self._events.on_trouble("left out a rollout that is no later one", said)
            return
        if held is not None and record.stable_since not in (None, held.stable_since):
            self._promoted_s = self._monotonic_s()
        self._shelf.forgive()  # a person may have mended what could not be loaded
        self._rollout = record

    def _read_store(self) -> None:
        self._clock = self._store.now(), self._monotonic_s()
        if (rollout := self._rollout) is None:
            return
        found = self._store.vetoes(rollout.versions)
        self._vetoes = found
        self._notes.confirm(found)  # after it: a veto must not be missing in both for a moment

    # Loading: begun on the keeper's thread, done on one of its own.

    def _first_choices(self) -> Sequence[str]:
        """Return the stable version, then the last good one."""
        rollout = self._effective()
        if rollout is None:
            return ()
        previous = rollout.previous_version
        return (rollout.stable_version,) if previous is None else (rollout.stable_version, previous)

    def _load_next(self) -> None:
        rollout = self._effective()
        if rollout is None or self._is_loading or self._stopping.is_set():
            return
        known = self._shelf.known()
        missing = [version for version in wanted_versions(rollout) if version not in known]
        if not missing or self._monotonic_s() < self._load_after_s.get(missing[0], 0.0):
            return
        if missing[0] == rollout.stable_version:
            # Beside what serves until then there is room for it, and for no other.
            self._shelf.keep_only({self.engines.serving.main.weights_version})
        if not self._shelf.is_full():
            self._is_loading = True
            self._loads.submit(self._load, missing[0])

    def _load(self, version: str) -> None:
        try:
            self._shelf.load(version, self._releases)
        except Exception as error:
            self._load_after_s = {**self._load_after_s, version: self._monotonic_s() + _LOAD_AGAIN_AFTER_S}
            self._told(error)
        finally:
            self._is_loading = False

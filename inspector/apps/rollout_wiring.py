"""What serves: the inspector's engines of several versions, made from the settings and the topic of weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.weights_feed import KafkaWeightsFeed
from inspector.apps import wiring
from inspector.apps.release_loader import ReleaseLoader
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.release import Rollout, WeightsRelease
from inspector.pipeline.config_book import ConfigBook
from inspector.pipeline.engine_shelf import EngineShelf, ShelfEvents
from inspector.pipeline.engine_versions import Serving
from inspector.pipeline.rollout_guard import GuardLimits
from inspector.pipeline.rollout_keeper import KeeperEvents, KeeperLimits, RolloutKeeper
from inspector.pipeline.rollout_notes import RolloutNotes
from inspector.pipeline.rollout_ports import EngineLoader, WeightsFeed
from inspector.settings import Settings

_log = structlog.get_logger()

_LOOK_FOR_TOPIC_S = 30.0
_TROUBLE_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True)
class RolloutListener:
    """Hears, beside the log, what serves, and of versions that were refused or vetoed; from any thread."""

    serving: Callable[[Serving], None] = lambda _: None
    refused: Callable[[], None] = lambda: None
    vetoed: Callable[[], None] = lambda: None


def keeper(
    settings: Settings, loader: EngineLoader | None = None, listener: RolloutListener = RolloutListener()
) -> RolloutKeeper:
    """Return what keeps the engines of an inspector, with the first one loaded; it takes seconds.

    ``loader`` is the settings' own unless a test brings another.

    Raises:
        InspectorError: Kafka or Redis cannot be used, or there are no weights that can serve.
    """
    # The services first: one that is away should be told in a second, not after a model was loaded.
    artefacts, store = wiring.artefacts(settings), wiring.rollout_store(settings)
    connection = wiring.kafka_connection(settings)
    book = ConfigBook(KafkaConfigFeed(connection, settings.kafka.config_topic))
    shelf = EngineShelf(
        loader or ReleaseLoader(settings, artefacts),
        store,
        book,
        artefacts,
        settings.replica,
        ShelfEvents(_config_applied, _config_refused, _not_for_these_weights, _loaded, partial(_refused, listener)),
    )
    made = RolloutKeeper(
        _PatientFeed(settings),
        store,
        shelf,
        book,
        RolloutNotes(store, settings.replica),
        keeper_limits(settings),
        KeeperEvents(partial(_serving, listener), partial(_vetoed, listener), _Troubles().tell),
    )
    listener.serving(made.engines.serving)
    return made


def keeper_limits(settings: Settings) -> KeeperLimits:
    """Return the bounds of a rollout."""
    rollout = settings.rollout
    return KeeperLimits(
        watch=timedelta(hours=rollout.watch_hours),
        shadow_share=rollout.shadow_share,
        guard=guard_limits(settings),
    )


def guard_limits(settings: Settings) -> GuardLimits:
    """Return the bounds of a version on trial."""
    rollout = settings.rollout
    return GuardLimits(
        max_alarm_rise=rollout.max_alarm_rise,
        max_alarm_fall=rollout.max_alarm_fall,
        max_failure_rate=rollout.max_failure_rate,
        max_latency_ratio=rollout.max_latency_ratio,
        max_wrong_rise=rollout.max_wrong_rise,
    )


class _PatientFeed:
    """``rollout_ports.WeightsFeed`` of a line that may have been set up before there was a topic of weights.

    Then nothing is announced, and the weights of the settings serve; it is looked for every half minute.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._feed: WeightsFeed | None = None
        self._look_at_s = 0.0

    def poll(self) -> Sequence[WeightsRelease | Rollout]:
        if self._feed is None:
            if time.monotonic() < self._look_at_s:
                return ()
            topic = self._settings.kafka.weights_topic
            try:
                self._feed = KafkaWeightsFeed(wiring.kafka_connection(self._settings), topic)
            except BadInputError as error:
                if not self._look_at_s:
                    _log.warning("no topic of weights: those of the settings serve", problem=str(error))
                self._look_at_s = time.monotonic() + _LOOK_FOR_TOPIC_S
                return ()
        return self._feed.poll()

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()


class _Troubles:
    """Tells a trouble that goes on twice a second once in a while."""

    def __init__(self) -> None:
        self._told_s: dict[str, float] = {}

    def tell(self, what: str, detail: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s.get(what, -_TROUBLE_AGAIN_S) >= _TROUBLE_AGAIN_S:
            self._told_s[what] = now_s
            _log.warning(what, problem=detail)


def _config_applied(announcement: Announcement) -> None:
    _log.info("took configuration", what=announcement.key, version=announcement.version[:12])


def _config_refused(announcement: Announcement, error: Exception) -> None:
    _log.error(
        "refused configuration, what was in use stays",
        what=announcement.key,
        problem=str(error) or type(error).__name__,
    )


def _not_for_these_weights(announcement: Announcement, error: Exception) -> None:
    _log.info("left out configuration", what=announcement.key, reason=str(error) or type(error).__name__)


def _loaded(version: str, memory_bytes: int) -> None:
    # The first version loads into memory that the process has already: what it took cannot be told.
    told = {"memory_mb": round(memory_bytes / 2**20)} if memory_bytes >= 2**20 else {}
    _log.info("weights are ready", version=version[:12], **told)


def _refused(listener: RolloutListener, version: str, why: str) -> None:
    _log.error("refused weights, the last good ones stay", version=version[:12], problem=why)
    listener.refused()


def _serving(listener: RolloutListener, serving: Serving) -> None:
    rollout, on_trial = serving.rollout, serving.on_trial
    _log.info(
        "serving weights",
        version=serving.main.weights_version[:12],
        beside=None if serving.second is None else serving.second.weights_version[:12],
        stage=None if rollout is None else rollout.stage.value,
        on_trial=None if on_trial is None else on_trial.subject[:12],
    )
    listener.serving(serving)


def _vetoed(listener: RolloutListener, version: str, why: str) -> None:
    _log.error("vetoed weights, going back to those before them", version=version[:12], problem=why)
    listener.vetoed()

"""The real outside of the trainer: Kafka, Redis and the samples."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.feedback_log import read_book
from inspector.adapters.kafka.weights_feed import read_weights
from inspector.adapters.redis.trainer_lock import TrainerLock
from inspector.adapters.redis.trainer_runs import RedisTrainerRuns
from inspector.apps import drift, model_wiring, release, samples, weights_rollout, wiring
from inspector.apps.trainer.old_releases import let_go
from inspector.apps.trainer.world import Serving, World
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.release import Companion, WeightsRelease
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.rollout import heeding
from inspector.pipeline.rollout_ports import RolloutStore
from inspector.settings import Settings

_log = logging.getLogger(__name__)


def real_world(settings: Settings) -> World:
    """Return the outside as the settings name it.

    Raises:
        ServiceUnavailableError: Redis is away, or the folder of the samples cannot be made.
        CredentialsError: it refuses us.
        BadInputError: a setting cannot be used.
    """
    artefacts, connection = wiring.artefacts(settings), wiring.kafka_connection(settings)
    rollouts = wiring.rollout_store(settings)

    def keep_samples(book: FeedbackBook) -> None:
        samples.gather(settings, book)

    def publish(file: Path, report: bytes, companions: Sequence[Companion]) -> WeightsRelease:
        made = release.publish(settings, file, report, companions, reason="tuned, and let through by the gate")
        published = read_weights(connection, settings.kafka.weights_topic)
        for version in let_go(published.releases, published.rollout, _announcements(settings, connection)):
            artefacts.retire(version)
        return made

    return World(
        book=lambda: read_book(connection, settings.kafka.feedback_topic),
        keep_samples=keep_samples,
        samples=wiring.sample_store(settings),
        serving=lambda: _serving(settings, connection, artefacts, rollouts),
        announcements=lambda: _announcements(settings, connection),
        publish=publish,
        advance=lambda: weights_rollout.advance(settings),
        drifted=_Drifting(settings),
        artefacts=artefacts,
        runs=RedisTrainerRuns(wiring.redis_client(settings)),
    )


class _Drifting:
    """Which cameras have drifted, looked at now and then: it takes reading their results and some pictures."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked_s: float | None = None
        self._found: tuple[str, ...] = ()

    def __call__(self) -> Sequence[str]:
        now_s = time.monotonic()
        if self._looked_s is None or now_s - self._looked_s >= self._settings.trainer.drift_every_s:
            self._looked_s = now_s
            try:
                self._found = tuple(each.camera_id for each in drift.look(self._settings) if each.drifted)
            except InspectorError as error:  # a reason to train early; without it there are others
                _log.warning("which cameras drift cannot be told: %s", error)
        return self._found


def trainer_lock(settings: Settings) -> TrainerLock:
    """Return the lock of all trainers of this Redis. Raises as ``wiring.redis_client``."""
    return TrainerLock(wiring.redis_client(settings), life_s=settings.trainer.lock_s)


def _serving(
    settings: Settings, connection: KafkaConnection, artefacts: ArtefactStore, rollouts: RolloutStore
) -> Serving:
    """Return the weights that inspectors serve; those of the settings, where nothing was ever rolled out.

    Raises:
        BadInputError: they are for another model, or damaged.
    """
    published = read_weights(connection, settings.kafka.weights_topic)
    if published.rollout is None:
        return Serving(model_wiring.prompt_weights(settings))
    vetoes = rollouts.vetoes(published.rollout.versions)
    rollout = heeding(published.rollout, vetoes)
    found = published.releases.get(rollout.stable_version)
    if found is None:
        made = model_wiring.prompt_weights(settings)
        if made[1].version != rollout.stable_version:
            raise BadInputError(
                f"weights {rollout.stable_version[:12]}, which serve by the rollout, among the releases",
                "none of that version, and others in the settings",
                "publish them again, or set model.weights to them",
            )
        return Serving(made, (), rollout)
    data = artefacts.get(found.artefact_version)
    made = model_wiring.parse_prompt_weights(settings, data, f"release {found.weights_version[:12]}")
    return Serving(made, found.companions, rollout, found.golden)


def _announcements(settings: Settings, connection: KafkaConnection) -> Sequence[Announcement]:
    with closing(KafkaConfigFeed(connection, settings.kafka.config_topic)) as feed:
        return feed.poll()

"""The real outside of the trainer: Kafka, Redis and the samples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.feedback_log import read_book
from inspector.adapters.kafka.weights_feed import read_weights
from inspector.adapters.redis.trainer_lock import TrainerLock
from inspector.adapters.redis.trainer_runs import RedisTrainerRuns
from inspector.apps import release, samples, weights_rollout, wiring
from inspector.apps.trainer.world import Serving, World
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.rollout import heeding, wanted_versions
from inspector.pipeline.rollout_ports import RolloutStore
from inspector.settings import Settings


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

    return World(
        book=lambda: read_book(connection, settings.kafka.feedback_topic),
        keep_samples=keep_samples,
        samples=wiring.sample_store(settings),
        serving=lambda: _serving(settings, connection, artefacts, rollouts),
        announcements=lambda: _announcements(settings, connection),
        publish=lambda file, report, companions: release.publish(
            settings, file, report, companions, reason="tuned, and let through by the gate"
        ),
        advance=lambda: weights_rollout.advance(settings),
        artefacts=artefacts,
        runs=RedisTrainerRuns(wiring.redis_client(settings)),
    )


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
        return Serving(wiring.prompt_weights(settings))
    vetoes = rollouts.vetoes(wanted_versions(published.rollout))
    rollout = heeding(published.rollout, vetoes)
    found = published.releases.get(rollout.stable_version)
    if found is None:
        made = wiring.prompt_weights(settings)
        if made[1].version != rollout.stable_version:
            raise BadInputError(
                f"weights {rollout.stable_version[:12]}, which serve by the rollout, among the releases",
                "none of that version, and others in the settings",
                "publish them again, or set model.weights to them",
            )
        return Serving(made, (), rollout)
    data = artefacts.get(found.artefact_version)
    made = wiring.parse_prompt_weights(settings, data, f"release {found.weights_version[:12]}")
    return Serving(made, found.companions, rollout)


def _announcements(settings: Settings, connection: KafkaConnection) -> Sequence[Announcement]:
    with closing(KafkaConfigFeed(connection, settings.kafka.config_topic)) as feed:
        return feed.poll()

"""The topic of weights: releases and the rollout, read from its beginning and changed by whoever may write it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from inspector.adapters.announcements import decode_weights_record
from inspector.adapters.kafka.compacted_feed import MAX_RECORD_BYTES, CompactedFeed
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.small_records import BadRecord, log_bad_record, publish
from inspector.adapters.kafka.watchdog import exit_process
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.records import to_json
from inspector.domain.release import Rollout, WeightsRelease

# Two people at two terminals; a third turn would be a quarrel.
_MOST_TURNS = 5
_READ_BACK_S = 10.0
_LOOK_AGAIN_S = 0.02


class KafkaWeightsFeed(CompactedFeed[WeightsRelease | Rollout]):
    """``rollout_ports.WeightsFeed``: each inspector sees every record. Raises as ``CompactedFeed``."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        on_bad_record: BadRecord = log_bad_record,
        on_watchdog: Callable[[], None] = exit_process,
    ) -> None:
        super().__init__(connection, topic, decode_weights_record, on_bad_record, on_watchdog)


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """What stands on the topic: every release by its version, in the order they were published, and the rollout."""

    releases: dict[str, WeightsRelease] = field(default_factory=dict)
    rollout: Rollout | None = None


def read_weights(connection: KafkaConnection, topic: str) -> PublishedWeights:
    """Return what stands on the topic now. Raises as ``KafkaWeightsFeed``."""
    feed = KafkaWeightsFeed(connection, topic)
    try:
        return _taken(PublishedWeights(), feed.poll())
    finally:
        feed.close()


def announce_release(connection: KafkaConnection, topic: str, release: WeightsRelease) -> None:
    """Publish a release and wait until the brokers have it. Raises as ``publish``."""
    publish(connection, topic, release.key, to_json(release), max_record_bytes=MAX_RECORD_BYTES)


def announce_rollout(connection: KafkaConnection, topic: str, rollout: Rollout) -> None:
    """Publish a rollout as it is, whatever stands there; see ``change_rollout``. Raises as ``publish``."""
    publish(connection, topic, rollout.key, to_json(rollout), max_record_bytes=MAX_RECORD_BYTES)


def change_rollout(connection: KafkaConnection, topic: str, change: Callable[[PublishedWeights], Rollout]) -> Rollout:
    """Announce what ``change`` makes of what stands on the topic, and return it.

    Kafka knows no compare-and-set. So what was written is looked at again: where somebody wrote between our look and
    our word, his word is taken first, and ours is made anew of it, so that neither is lost.

    Raises:
        BadInputError: ``change`` refuses what stands there, also what was written in the meantime; then that stands.
        ServiceUnavailableError: as ``publish``, or what was written does not come back.
    """
    feed = KafkaWeightsFeed(connection, topic)
    try:
        standing = _taken(PublishedWeights(), feed.poll())
        revision = 0 if standing.rollout is None else standing.rollout.revision
        for turn in range(_MOST_TURNS):
            revision += 1
            try:
                wanted = replace(change(standing), revision=revision)
            except BadInputError:
                if turn and standing.rollout is not None:
                    announce_rollout(connection, topic, replace(standing.rollout, revision=revision))
                raise
            announce_rollout(connection, topic, wanted)
            before = _arrived_before(feed, wanted)
            now = _taken(standing, before)
            if now.rollout is standing.rollout or now.rollout is None:
                return wanted
            standing, revision = now, max(revision, now.rollout.revision)
        raise BadInputError("a rollout that nobody else changes at the same time", "others do", "agree with them")
    finally:
        feed.close()


def _taken(standing: PublishedWeights, records: Iterable[WeightsRelease | Rollout]) -> PublishedWeights:
    releases, rollout = dict(standing.releases), standing.rollout
    for record in records:
        if isinstance(record, Rollout):
            rollout = record
        else:
            releases[record.weights_version] = record
    return PublishedWeights(releases, rollout)


def _arrived_before(feed: KafkaWeightsFeed, ours: Rollout) -> list[WeightsRelease | Rollout]:
    """Return what was written since the last look and before ``ours``."""
    before: list[WeightsRelease | Rollout] = []
    deadline_s = time.monotonic() + _READ_BACK_S
    while time.monotonic() < deadline_s:
        for record in feed.poll():
            if record == ours:
                return before
            before.append(record)
        time.sleep(_LOOK_AGAIN_S)
    raise ServiceUnavailableError(
        f"to read back what was written within {_READ_BACK_S:.0f} s", "it does not come", "check the brokers"
    )

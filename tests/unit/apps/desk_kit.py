"""Commands that publish weights and roll them out, by their own code, on a topic and stores in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inspector.adapters.kafka import weights_feed
from inspector.adapters.kafka.weights_feed import PublishedWeights, read_weights
from inspector.adapters.memory.broker import MemoryBroker
from inspector.adapters.memory.log import MemoryConfigFeed, MemoryWeightsFeed, announce
from inspector.adapters.memory.rollout_store import MemoryRolloutStore
from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.apps import release, release_companions, weights_rollout, wiring
from inspector.apps.weights_rollout import Request
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.product import Vocabulary
from inspector.domain.release import Companion, GoldenScores, Rollout, RolloutStage
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.rollout import Watched, heeding, watched
from inspector.settings import Settings

ME = Request("me", "the test")
FORCE = Request("me", "checked", force=True)
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class Desk:
    """The line's stores, in memory; its clock is years away from this machine's."""

    settings: Settings
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    artefacts: MemoryArtefactStore = field(default_factory=MemoryArtefactStore)
    now: datetime = NOW
    cameras: dict[str, datetime] = field(default_factory=dict)
    store: MemoryRolloutStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryRolloutStore(lambda: self.now)
        for topic in ("inspection.config", "inspection.weights"):
            self.broker.create_topic(topic)

    @property
    def found(self) -> PublishedWeights:
        return read_weights(wiring.kafka_connection(self.settings), "inspection.weights")

    @property
    def rollout(self) -> Rollout:
        found = self.found.rollout
        assert found is not None
        return found

    @property
    def served(self) -> str:
        """What inspectors serve: the record, less what was vetoed."""
        return heeding(self.rollout, self.store.vetoes(self.rollout.versions)).stable_version

    @property
    def trial(self) -> Watched:
        found = watched(self.rollout, self.now, timedelta(hours=24))
        assert found is not None
        return found

    def publish(self, version: str, companions: tuple[Companion, ...] = ()) -> None:
        """Publish weights that are only a name; see ``without_models``."""
        release.publish(self.settings, Path(version), companions=companions)

    def promote(self, to: str | None = None, version: str | None = None, request: Request = ME) -> None:
        weights_rollout.promote(self.settings, version, None if to is None else RolloutStage(to), None, request)

    def announce(self, kind: ArtefactKind, camera_id: str, weights_version: str) -> None:
        announce(self.broker, "inspection.config", Announcement(kind, camera_id, "a" * 64, NOW, weights_version))


class FakeResults:
    """Of ``RedisResults``, which cameras sent something and when."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def cameras(self) -> dict[str, datetime]:
        return self._desk.cameras


def at_the_desk(desk: Desk, patch: pytest.MonkeyPatch) -> Desk:
    """Let commands find what they ask of Kafka and Redis at the desk."""

    def write(_connection: Any, topic: str, record: Any) -> None:
        announce(desk.broker, topic, record)

    patch.setattr(wiring, "artefacts", lambda _: desk.artefacts)
    patch.setattr(wiring, "rollout_store", lambda _: desk.store)
    patch.setattr(wiring, "results", lambda _: FakeResults(desk))
    patch.setattr(weights_feed, "KafkaWeightsFeed", lambda _, topic: MemoryWeightsFeed(desk.broker, topic))
    patch.setattr(weights_feed, "announce_rollout", write)
    patch.setattr(release, "announce_release", write)
    patch.setattr(release_companions, "KafkaConfigFeed", lambda _, topic: MemoryConfigFeed(desk.broker, topic))
    patch.setattr(weights_rollout, "read_book", lambda _, topic: FeedbackBook())
    return desk


def without_models(patch: pytest.MonkeyPatch) -> None:
    """Let weights be nothing but a version, and those of the settings v0: for what happens after they were verified."""

    def named(version: str) -> Any:
        manifest: Any = SimpleNamespace(version=version, model="stub")
        return release._Weights(version.encode(), manifest, b"", GoldenScores(Vocabulary(("dent",)), (0.0,)))

    patch.setattr(release, "_own", lambda *_: named("v0"))
    patch.setattr(release, "_bytes_of", lambda path: str(path).encode())
    patch.setattr(release, "_verified", lambda _settings, _artefacts, data, _where: named(data.decode()))

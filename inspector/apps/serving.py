"""The engines that the line serves with, for commands that prepare or repair what it does."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inspector.adapters.kafka.weights_feed import PublishedWeights, read_weights
from inspector.apps import model_wiring, wiring
from inspector.apps.release_loader import ReleaseLoader
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.release import WeightsRelease
from inspector.pipeline.rollout import heeding, wanted_versions
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.pipeline.ports import ArtefactStore
    from inspector.vision.engine import InspectionEngine

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServingEngine:
    """An engine with the weights of a version in use; ``release`` is None where they are only the settings'."""

    engine: InspectionEngine = field(repr=False)
    release: WeightsRelease | None = None

    def companions(self) -> tuple[Announcement, ...]:
        """Return the banks and calibrations that came with the weights."""
        return () if self.release is None else self.release.announcements()

    def companion(self, kind: ArtefactKind, subject: str) -> str | None:
        """Return the version of a bank or calibration that came with the weights."""
        found = [each.version for each in self.companions() if (each.kind, each.subject) == (kind, subject)]
        return found[-1] if found else None


def published(settings: Settings) -> PublishedWeights:
    """Return what stands on the topic of weights; nothing where a line has no such topic yet.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
    """
    try:
        return read_weights(wiring.kafka_connection(settings), settings.kafka.weights_topic)
    except BadInputError:
        return PublishedWeights()


def engines(settings: Settings, artefacts: ArtefactStore, *, second: bool) -> list[ServingEngine]:
    """Return the engine that serves the line and, if asked for, that of the version beside it; it takes seconds.

    The second is the candidate or, without one, the version before: what is on trial and what it is held against have
    to know the same of a camera, and so has what the line may go back to.

    Raises:
        BadInputError: the weights that serve cannot be loaded here.
        InspectorError: Kafka or Redis cannot be used.
    """
    found = published(settings)
    if found.rollout is None:
        return [ServingEngine(model_wiring.engine(settings))]
    store = wiring.rollout_store(settings)
    rollout = found.rollout
    rollout = heeding(rollout, store.vetoes(rollout.versions).keys())
    loader = ReleaseLoader(settings, artefacts)
    stable, *others = wanted_versions(rollout)
    made = [_engine(loader, found, stable)]
    for version in others if second else ():
        try:
            made.append(_engine(loader, found, version))
        except BadInputError as error:
            _log.warning("version %s is left out: %s", version[:12], error)
    return made


def _engine(loader: ReleaseLoader, found: PublishedWeights, version: str) -> ServingEngine:
    release = found.releases.get(version)
    if version == loader.settings_version():
        return ServingEngine(loader.from_settings(), release)
    if release is None:
        raise BadInputError(f"release {version[:12]} on the topic of weights", "none", "publish it")
    return ServingEngine(loader.load(release)[0], release)

"""Which cameras would lose their bank or their thresholds with other weights: both are made for one version."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.apps import wiring
from inspector.domain.artefact import Announcement, ArtefactKind, Calibration
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.domain.release import WeightsRelease
from inspector.pipeline.ports import ArtefactStore
from inspector.settings import Settings

_log = logging.getLogger(__name__)

_OF_WEIGHTS = (ArtefactKind.BANK, ArtefactKind.CALIBRATION)
_GONE_AFTER = timedelta(days=7)
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Lack:
    """What a camera has with the weights that serve, and would not have with others."""

    camera_id: str
    kinds: tuple[ArtefactKind, ...]


def announcements(settings: Settings) -> Sequence[Announcement]:
    """Return what was announced to cameras and products. Raises InspectorError where Kafka cannot be used."""
    with closing(KafkaConfigFeed(wiring.kafka_connection(settings), settings.kafka.config_topic)) as feed:
        return feed.poll()


def lacking(settings: Settings, releases: Mapping[str, WeightsRelease], stable: str, candidate: str) -> list[Lack]:
    """Return the cameras that have banks or calibrations for the one version and none for the other.

    A camera that has sent nothing for a week, while others have, is gone and lacks nothing; nor does one that
    ``gate.cameras_out_of_use`` names.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    if candidate == stable:
        return []
    announced = announcements(settings)
    artefacts = wiring.artefacts(settings)
    has = _has(stable, releases, announced, artefacts) - _has(candidate, releases, announced, artefacts)
    gone = _gone(wiring.results(settings).cameras()) if has else ()
    cameras = sorted({camera_id for _, camera_id in has} - {*gone, *settings.gate.cameras_out_of_use})
    return [Lack(each, tuple(kind for kind in _OF_WEIGHTS if (kind, each) in has)) for each in cameras]


def in_words(found: Sequence[Lack]) -> str:
    """Return what is lacking in a line."""
    named = [f"{each.camera_id} ({', '.join(each.kinds)})" for each in found[:_MOST_NAMED]]
    more = f" and {len(found) - _MOST_NAMED} more cameras" if len(found) > _MOST_NAMED else ""
    return ", ".join(named) + more


def _has(
    version: str,
    releases: Mapping[str, WeightsRelease],
    announced: Sequence[Announcement],
    artefacts: ArtefactStore,
) -> set[tuple[ArtefactKind, str]]:
    release = releases.get(version)
    came_with = () if release is None else release.announcements()
    live = [each for each in (*came_with, *announced) if each.kind in _OF_WEIGHTS]
    return {
        (each.kind, each.subject) for each in live if (each.weights_version or _made_with(each, artefacts)) == version
    }


def _made_with(announcement: Announcement, artefacts: ArtefactStore) -> str | None:
    """Return which weights an artefact of an old announcement says that it was made with."""
    from inspector.vision.bank_file import parse_bank

    try:
        data = artefacts.get(announcement.version)
        if announcement.kind is ArtefactKind.CALIBRATION:
            return from_json(Calibration, data).weights_version
        return parse_bank(data)[1].weights_version
    except BadInputError as error:
        _log.info("%s is left out: %s", announcement.key, error)
        return None


def _gone(cameras: Mapping[str, datetime]) -> Collection[str]:
    newest = max(cameras.values(), default=None)
    return [each for each, seen_at in cameras.items() if newest is not None and newest - seen_at > _GONE_AFTER]

"""The two engines that a candidate is judged with: each as it would serve, with its own banks and thresholds."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inspector.apps import model_wiring
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.frame import Frame
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.domain.records import from_json
from inspector.domain.release import Companion
from inspector.pipeline.config_applier import ConfigApplier
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.pipeline.ports import ArtefactStore
from inspector.settings import Settings
from inspector.training.refresh.companions import calibrate_for_judging, decoded
from inspector.training.refresh.inputs import KnownFrame
from inspector.training.refresh.judged_frames import CORE_CAMERA
from inspector.training.trainer import Made
from inspector.vision.engine import InspectionEngine

_log = logging.getLogger(__name__)

_OF_WEIGHTS = (ArtefactKind.BANK, ArtefactKind.CALIBRATION)


@dataclass(frozen=True, slots=True)
class Served:
    """An engine, and for which (kind, camera) it has a bank or a calibration."""

    engine: InspectionEngine
    own: frozenset[tuple[ArtefactKind, str]]

    def cameras(self, kind: ArtefactKind) -> frozenset[str]:
        """Return the cameras with a bank, or with a calibration."""
        return frozenset(subject for found, subject in self.own if found is kind)


class _Said:
    """``ports.ConfigFeed`` of announcements that are known."""

    def __init__(self, announcements: Sequence[Announcement]) -> None:
        self._announcements = announcements

    def poll(self) -> Sequence[Announcement]:
        found, self._announcements = self._announcements, ()
        return found

    def close(self) -> None:
        """Close nothing."""


def current_products(
    settings: Settings, announcements: Sequence[Announcement], artefacts: ArtefactStore
) -> Mapping[str, ProductSettings]:
    """Return the products as they are served: those of the settings, less what was announced since.

    Raises:
        ServiceUnavailableError: the artefacts are away.
    """
    products = dict(settings.domain_products())
    for announcement in announcements:
        if announcement.kind is ArtefactKind.PRODUCT:
            try:
                products[announcement.subject] = from_json(ProductSettings, artefacts.get(announcement.version))
            except BadInputError as error:
                _log.warning("product %s stays as the settings have it: %s", announcement.subject, error)
    return products


def serving_engine(
    settings: Settings,
    made: Made,
    companions: Sequence[Companion],
    announcements: Sequence[Announcement],
    artefacts: ArtefactStore,
) -> Served:
    """Return an engine as the line has it for these weights; what was announced later wins over companions.

    Raises:
        ServiceUnavailableError: the artefacts are away.
        BadInputError: as ``model_wiring.engine``.
    """
    engine = _bare(settings, made)
    own: set[tuple[ArtefactKind, str]] = set()
    never = datetime.fromtimestamp(0, UTC)
    version = made[1].version
    first = [Announcement(each.kind, each.subject, each.version, never, version) for each in companions]
    live = {each.key: each for each in (*first, *announcements)}
    applier = ConfigApplier(
        _Said(tuple(live.values())),
        artefacts,
        engine,
        lambda done: own.add((done.kind, done.subject)),
        lambda what, error: _log.info("%s %s does not count here: %s", what.kind, what.subject, error),
    )
    if not applier.apply_pending():
        raise ServiceUnavailableError("banks and thresholds from the artefact store", "none", "check Redis")
    return Served(engine, frozenset(pair for pair in own if pair[0] in _OF_WEIGHTS))


def candidate_engine(
    settings: Settings, made: Made, announcements: Sequence[Announcement], artefacts: ArtefactStore
) -> InspectionEngine:
    """Return an engine of new weights with the products and cameras as they are served, and nothing else yet."""
    settled = [each for each in announcements if each.kind not in _OF_WEIGHTS]
    return serving_engine(settings, made, (), settled, artefacts).engine


def prepare_for_judging(
    engine: InspectionEngine,
    own: Collection[tuple[ArtefactKind, str]],
    cameras: Collection[str],
    normals: Mapping[str, Sequence[KnownFrame]],
    scenes: Sequence[Frame],
    folder: Path,
    false_alarm_rate: float,
    now: datetime,
) -> None:
    """Let cameras without a bank or calibration, those of mode mutual, and the rendered scenes be judged zero-shot."""
    with_own = {subject for _, subject in own}
    for camera_id in sorted(cameras):
        camera = engine.find_camera(camera_id) or CameraSettings()
        if camera_id in with_own and camera.mode is not CameraMode.MUTUAL:
            continue
        frames = decoded(engine, normals.get(camera_id, ()), folder)
        calibrate_for_judging(engine, camera_id, frames, false_alarm_rate, now)
    core: list[DecodedFrame] = [engine.decode(frame) for frame in scenes]
    calibrate_for_judging(engine, CORE_CAMERA, core, false_alarm_rate, now)


def _bare(settings: Settings, made: Made) -> InspectionEngine:
    weights, manifest = made
    products, cameras = settings.domain_products(), settings.domain_cameras()
    return model_wiring.engine_of(settings, weights, manifest, products, cameras, allow_unknown=True)

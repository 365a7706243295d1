"""``inspector enroll`` and ``inspector calibrate``: normal frames of a camera -> its bank and its thresholds.

Both belong to the weights they were made with, and are made for those that serve and for those beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from inspector.adapters.kafka.config_feed import KafkaConfigFeed, announce
from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.apps import console, wiring
from inspector.apps.serving import ServingEngine
from inspector.apps.serving import engines as serving_engines
from inspector.apps.sources import open_source
from inspector.domain.artefact import Announcement, ArtefactKind, Calibration
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.records import to_json
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.settings import Settings
from inspector.vision.bank_file import parse_bank
from inspector.vision.engine import InspectionEngine


def enroll(
    settings: Settings,
    cameras: Sequence[tuple[str, str]],
    shots: int,
    false_alarm_rate: float | None,
    as_json: bool,
) -> None:
    """Build a bank for each (camera id, source of normal frames), and thresholds from the same frames, left one out.

    Raises:
        BadInputError: a camera whose mode uses no bank; too few usable frames, or a camera is unknown; the cameras
            before it are enrolled.
        InspectorError: Kafka or Redis cannot be used.
    """
    _check_modes(settings, [camera_id for camera_id, _ in cameras])
    artefacts = wiring.artefacts(settings)  # before the work: an absent Redis should not cost a minute
    serving = _engines(settings, artefacts, [camera_id for camera_id, _ in cameras])
    rate = false_alarm_rate or settings.calibration.false_alarm_rate
    announcer = _Announcer(settings, artefacts)
    for camera_id, source in cameras:
        frames = _decoded(serving[0].engine, camera_id, source, shots)
        for each in serving:
            _enroll(announcer, artefacts, each.engine, camera_id, frames, rate, as_json)


def _enroll(
    announcer: _Announcer,
    artefacts: RedisArtefactStore,
    engine: InspectionEngine,
    camera_id: str,
    frames: Sequence[DecodedFrame],
    rate: float,
    as_json: bool,
) -> None:
    with console.status(f"{camera_id}: bank and thresholds from {len(frames)} frames"):
        product = frames[0].frame.meta.product if frames else "default"
        bank = engine.enroll([frame.pixels for frame in frames], rate, product)
        bank_version = artefacts.put(bank)
        engine.set_bank(camera_id, bank_version, bank)
        calibration = engine.calibrate(camera_id, frames, datetime.now(UTC), rate)
    # The calibration first: no frame may meet the bank without it.
    calibration_version = artefacts.put(to_json(calibration))
    announcer.announce(ArtefactKind.CALIBRATION, camera_id, calibration_version, engine.weights_version)
    announcer.announce(ArtefactKind.BANK, camera_id, bank_version, engine.weights_version)
    _report(calibration, calibration_version, bank_version, len(bank), as_json)


def calibrate(
    settings: Settings, camera_id: str, source: str, shots: int, false_alarm_rate: float | None, as_json: bool
) -> None:
    """Set thresholds anew from normal frames, for the bank announced for the camera, if any. Raises as ``enroll``."""
    artefacts = wiring.artefacts(settings)
    serving = _engines(settings, artefacts, [camera_id])
    announcer = _Announcer(settings, artefacts)
    banks = [_use_bank(announcer, artefacts, each, camera_id) for each in serving]
    # Up to thousands of frames: the engine decodes them finer in batches, where it needs them so.
    frames = _decoded(serving[0].engine, camera_id, source, shots, coarse=True)
    rate = false_alarm_rate or settings.calibration.false_alarm_rate
    for each, bank_version in zip(serving, banks, strict=True):
        _calibrate(announcer, artefacts, each.engine, camera_id, frames, rate, bank_version, as_json)


def _use_bank(
    announcer: _Announcer, artefacts: RedisArtefactStore, serving: ServingEngine, camera_id: str
) -> str | None:
    """Let an engine use the bank that the line uses for a camera, and return its version."""
    version = announcer.live(ArtefactKind.BANK, camera_id, serving.engine.weights_version)
    if version is None and (version := serving.companion(ArtefactKind.BANK, camera_id)) is None:
        # Announced before banks were told apart by their weights: it may be for others, and is then no bank of ours.
        version = announcer.live(ArtefactKind.BANK, camera_id, None)
        if version is not None and serving.release is not None and not _fits(serving.engine, artefacts.get(version)):
            return None
    if version is not None:
        serving.engine.set_bank(camera_id, version, artefacts.get(version))
    return version


def _fits(engine: InspectionEngine, bank: bytes) -> bool:
    return parse_bank(bank)[1].weights_version == engine.weights_version


def _calibrate(
    announcer: _Announcer,
    artefacts: RedisArtefactStore,
    engine: InspectionEngine,
    camera_id: str,
    frames: Sequence[DecodedFrame],
    rate: float,
    bank_version: str | None,
    as_json: bool,
) -> None:
    with console.status(f"{camera_id}: thresholds from {len(frames)} frames"):
        calibration = engine.calibrate(camera_id, frames, datetime.now(UTC), rate)
    calibration_version = artefacts.put(to_json(calibration))
    announcer.announce(ArtefactKind.CALIBRATION, camera_id, calibration_version, engine.weights_version)
    _report(calibration, calibration_version, bank_version, None, as_json)


def _check_modes(settings: Settings, camera_ids: Sequence[str]) -> None:
    """Refuse cameras that would be given a bank they never look at."""
    known = settings.domain_cameras()
    for camera_id in camera_ids:
        mode = known.get(camera_id, CameraSettings()).mode
        if mode not in (CameraMode.AUTO, CameraMode.BANK):
            raise BadInputError(
                f"camera {camera_id} of mode auto or bank",
                f"mode {mode.value}, which uses no bank",
                f"set cameras.{camera_id}.mode to auto or bank, or use `inspector calibrate` for its thresholds",
            )


def _engines(settings: Settings, artefacts: RedisArtefactStore, camera_ids: Sequence[str]) -> Sequence[ServingEngine]:
    unknown = [camera_id for camera_id in camera_ids if camera_id not in settings.cameras.by_id()]
    if unknown and not settings.cameras.allow_unknown:
        raise BadInputError(
            "a camera of the settings, as cameras.allow_unknown is false", repr(unknown[0]), "add it under cameras"
        )
    with console.status("loading the model"):
        return serving_engines(settings, artefacts, second=True)


def _decoded(
    engine: InspectionEngine, camera_id: str, text: str, shots: int, *, coarse: bool = False
) -> Sequence[DecodedFrame]:
    """Take the first ``shots`` usable frames; a damaged one is reported and passed over."""
    frames: list[DecodedFrame] = []
    camera = engine.find_camera(camera_id)
    product = camera.product if camera is not None else "default"
    source = open_source(text, report=lambda line: console.remark(line, "yellow"))
    try:
        with console.progress(f"{camera_id}: normal frames", shots) as meter:
            for number, image in enumerate(source):
                meta = FrameMeta(
                    image.name, camera_id, "", product, image.captured_at, image.content_type, view=image.view
                )
                try:
                    frame = engine.decode(Frame(meta, FrameSource(text, 0, number), image.image))
                    frames.append(replace(frame, pixels=frame.pixels.coarse()) if coarse else frame)
                except FrameRejectedError as error:
                    console.remark(f"{image.name}: left out: {error}", "yellow")
                    continue
                meter.advance()
                if len(frames) == shots:
                    break
    finally:
        source.close()
    return frames


class _Announcer:
    """Announces versions, and retires those that are superseded by it."""

    def __init__(self, settings: Settings, artefacts: RedisArtefactStore) -> None:
        self._connection = wiring.kafka_connection(settings)
        self._topic = settings.kafka.config_topic
        self._artefacts = artefacts
        feed = KafkaConfigFeed(self._connection, self._topic)
        try:
            self._live = {(e.kind, e.subject, e.weights_version): e.version for e in feed.poll()}
        finally:
            feed.close()

    def live(self, kind: ArtefactKind, camera_id: str, weights_version: str | None) -> str | None:
        """Return the version announced for a camera and these weights, None if there is none."""
        return self._live.get((kind, camera_id, weights_version))

    def announce(self, kind: ArtefactKind, camera_id: str, version: str, weights_version: str) -> None:
        """Announce a version that the artefacts hold, for the weights it was made with."""
        announcement = Announcement(kind, camera_id, version, datetime.now(UTC), weights_version)
        announce(self._connection, self._topic, announcement)
        before = self.live(kind, camera_id, weights_version)
        self._live[kind, camera_id, weights_version] = version
        # The same frames give two cameras the same bank, and one of them may still use it.
        if before is not None and before not in self._live.values():
            self._artefacts.retire(before)


def _report(
    calibration: Calibration, calibration_version: str, bank_version: str | None, bank_bytes: int | None, as_json: bool
) -> None:
    if as_json:
        console.print_json(
            {
                "camera_id": calibration.camera_id,
                "mode": calibration.mode.value,
                "frames": calibration.frames,
                "false_alarm_rate": calibration.target_false_alarm_rate,
                "weights_version": calibration.weights_version,
                "bank_version": bank_version,
                "calibration_version": calibration_version,
            }
        )
        return
    size = "" if bank_bytes is None else f", {bank_bytes / 2**20:.1f} MiB"
    console.lines(
        [
            f"{calibration.camera_id}: {calibration.mode.value}, thresholds from {calibration.frames} normal frames, "
            f"aiming at {calibration.target_false_alarm_rate:.2%} false alarms",
            f"bank        {bank_version or '-'}{size}",
            f"calibration {calibration_version}",
            f"weights     {calibration.weights_version}",
        ]
    )

"""What cameras need beside new weights: banks and calibrations are made for one version of the weights."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from inspector.domain.artefact import ArtefactKind
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.records import to_json
from inspector.pipeline.calibration import MIN_FRAMES
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.training.refresh.inputs import KnownFrame
from inspector.vision.engine import InspectionEngine

# As many as a camera is set up with.
_ENOUGH = 64


@dataclass(frozen=True, slots=True)
class MadeCompanion:
    """A bank or a calibration of a camera, as the bytes of its artefact."""

    kind: ArtefactKind
    subject: str
    data: bytes = field(repr=False)

    @property
    def version(self) -> str:
        """SHA-256 (hex) of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def make_companions(
    engine: InspectionEngine,
    camera_id: str,
    frames: Sequence[DecodedFrame],
    false_alarm_rate: float,
    now: datetime,
    *,
    bank: bool,
) -> tuple[MadeCompanion, ...]:
    """Return what a camera needs beside the engine's weights, made of its normal frames; the engine uses it from now.

    A calibration, and before it a bank where the camera has one today: nobody's mode of scoring changes.

    Raises:
        BadInputError: fewer than 8 different frames, or as ``InspectionEngine.enroll``.
    """
    made: list[MadeCompanion] = []
    if bank:
        pixels = [frame.pixels for frame in frames]
        product = frames[0].frame.meta.product if frames else "default"
        data = engine.enroll(pixels, false_alarm_rate, product)
        made.append(MadeCompanion(ArtefactKind.BANK, camera_id, data))
        engine.set_bank(camera_id, made[0].version, data)
    calibration = to_json(engine.calibrate(camera_id, frames, now, false_alarm_rate))
    made.append(MadeCompanion(ArtefactKind.CALIBRATION, camera_id, calibration))
    engine.set_calibration(made[-1].version, calibration)
    return tuple(made)


def calibrate_for_judging(
    engine: InspectionEngine, camera_id: str, frames: Sequence[DecodedFrame], false_alarm_rate: float, now: datetime
) -> bool:
    """Make a camera that its last frames would be compared with score zero-shot, at the wanted false-alarm rate.

    Which frames a camera saw last is chance, and no two weights could be compared by it. False, and the weights' own
    threshold stays: the camera has fewer than 8 normal frames, or its mode is zero-shot, served by that threshold.
    """
    settings = engine.find_camera(camera_id) or CameraSettings()
    engine.set_camera(camera_id, replace(settings, mode=CameraMode.ZERO_SHOT))
    if settings.mode is CameraMode.ZERO_SHOT or len(frames) < MIN_FRAMES:
        return False
    calibration = to_json(engine.calibrate(camera_id, frames, now, false_alarm_rate))
    engine.set_calibration(hashlib.sha256(calibration).hexdigest(), calibration)
    return True


def normals_by_camera(frames: Iterable[KnownFrame], most: int) -> Mapping[str, tuple[KnownFrame, ...]]:
    """Return at most ``most`` normal frames of each camera, of the product that it sees most, those people saw first.

    The others follow in the order of their hashes, so that the choice is the same whenever it is made. Frames in doubt
    come last, and only until there are 64: thresholds that are made of missed defects miss them for ever.
    """
    by_camera: dict[str, list[KnownFrame]] = {}
    for frame in sorted(frames, key=lambda each: (not each.persons, each.in_doubt, each.image_sha256)):
        if not frame.anomalous:
            by_camera.setdefault(frame.camera_id, []).append(frame)
    chosen = {}
    for camera_id, found in sorted(by_camera.items()):
        product = Counter(frame.product for frame in found).most_common(1)[0][0]
        usual = [frame for frame in found if frame.product == product]
        certain = sum(not frame.in_doubt for frame in usual)
        chosen[camera_id] = tuple(usual[: min(most, max(certain, _ENOUGH))])
    return chosen


def decoded(engine: InspectionEngine, frames: Iterable[KnownFrame], folder: Path) -> list[DecodedFrame]:
    """Return frames whose images lie in ``folder``, as the engine takes them; what cannot be read is left out."""
    found = []
    for frame in frames:
        try:
            found.append(engine.decode(as_frame(frame, (folder / frame.image_sha256).read_bytes())))
        except (OSError, FrameRejectedError):
            continue
    return found


def as_frame(known: KnownFrame, image: bytes) -> Frame:
    """Return a known frame with its image as it came from the line."""
    meta = FrameMeta(known.frame_id, known.camera_id, "", known.product, known.captured_at, known.content_type)
    return Frame(meta, FrameSource("samples", 0, 0), image)


def too_few(camera_id: str, error: BadInputError) -> str:
    """Say in a line why a camera has no companions."""
    return (
        f"camera {camera_id} has a bank or thresholds of its own and would have none with the new weights: "
        f"{error.got} of {error.expected}; gather more of its frames, or name it in gate.cameras_out_of_use"
    )

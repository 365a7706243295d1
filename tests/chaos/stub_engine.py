"""A scorer without a model (``ports.Engine``): its verdict is a function of the bytes, which anybody can check."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from truth import asked_rejection

from inspector.domain.defect import Box, Defect
from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import Frame
from inspector.domain.outcome import RejectReason
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import DecodedFrame, Verdict

THRESHOLD = 0.5
_WIDTH_PX, _HEIGHT_PX = 320, 240
_ONE_IN = 4


@dataclass(frozen=True, slots=True)
class StubVerdict:
    """What the stub says of a frame; the score has the six digits that every record keeps."""

    label: PredLabel
    score: float


def stub_verdict(sha256: str) -> StubVerdict:
    """Return the verdict on bytes with this SHA-256 (hex): one frame in four is anomalous, scores tell them apart."""
    first, second = int(sha256[:8], 16), int(sha256[8:16], 16)
    share = round(0.49 * second / 2**32, 6)
    if first % _ONE_IN == 0:
        return StubVerdict(PredLabel.ANOMALOUS, round(THRESHOLD + share, 6))
    return StubVerdict(PredLabel.NORMAL, share)


class StubEngine:
    """Decodes nothing, scores by hash; the weights change their version every ``weights_every`` batches.

    The version names the process as well, so that a record tells whose it is.
    """

    def __init__(self, *, score_s: float = 0.0, weights_every: int = 50) -> None:
        self._score_s = score_s
        self._weights_every = weights_every
        self._batches = 0
        self._cameras: dict[str, CameraSettings] = {}

    @property
    def weights_version(self) -> str:
        return f"stub-{os.getpid()}-{self._batches // self._weights_every}"

    @property
    def model_name(self) -> str:
        return "stub"

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        return self._cameras.get(camera_id, CameraSettings())

    def decoded_bytes(self, frame: Frame) -> int:
        return len(frame.image)

    def decode(self, frame: Frame) -> DecodedFrame:
        if (reason := asked_rejection(frame.image)) is not None:
            raise FrameRejectedError(RejectReason(reason), "the test asked for it")
        return DecodedFrame(frame, hashlib.sha256(frame.image).hexdigest(), _WIDTH_PX, _HEIGHT_PX)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        self._batches += 1
        if self._score_s:
            time.sleep(self._score_s)
        return [_verdict(stub_verdict(decoded.pixels)) for decoded in frames]

    def is_sound(self) -> bool:
        return True

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        pass

    def set_calibration(self, version: str, data: bytes) -> None:
        pass

    def set_product(self, name: str, settings: ProductSettings) -> None:
        pass

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        self._cameras[camera_id] = settings


def _verdict(found: StubVerdict) -> Verdict:
    defects = (_defect(found.score),) if found.label is PredLabel.ANOMALOUS else ()
    return Verdict(found.score, found.label, THRESHOLD, ScoreMode.ZERO_SHOT, defects)


def _defect(score: float) -> Defect:
    return Defect(
        defect_type="scratch",
        score=score,
        severity=max(1, round(1000 * score)),
        area_px=1200,
        area_fraction=1200 / (_WIDTH_PX * _HEIGHT_PX),
        box=Box(10, 10, 40, 30),
        polygon=(),
        description="made up by the stub",
    )

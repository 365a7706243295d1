"""What the pipeline asks of an engine: pixels of a frame, verdicts of a batch, and settings to be taken.

The real one is ``vision.engine``; tests have simpler ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from inspector.domain.defect import Defect
from inspector.domain.frame import Frame
from inspector.domain.outcome import Evidence
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.result import PredLabel, ScoreMode


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame ready to be scored. ``pixels`` is the engine's own: ``vision.frame_pixels.FramePixels``."""

    frame: Frame
    pixels: Any = field(repr=False)
    width_px: int = 0
    height_px: int = 0
    decode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine found on one frame; the pipeline makes it a result and, if anomalous, an alert.

    ``weights_version``: of the weights that found it, where an engine has more than one; None: the engine's.
    """

    anomaly_score: float
    pred_label: PredLabel
    image_threshold: float
    mode: ScoreMode
    defects: tuple[Defect, ...] = ()  # gravest first
    evidence: Evidence = field(default_factory=Evidence, repr=False)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    bank_version: str | None = None
    calibration_version: str | None = None
    weights_trained: bool | None = None
    weights_version: str | None = None


class ServingEngine(Protocol):
    """Decoding, scoring and judging: all that a running loop asks of an engine, or of several behind one face."""

    @property
    def weights_version(self) -> str:
        """Version of the weights that score the next batch, but for verdicts that name another one."""
        ...

    @property
    def model_name(self) -> str:
        """Name of the model, as in ``model.name``."""
        ...

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        """Return a camera's settings; the default ones for a new camera, None if new cameras may not be served."""
        ...

    def decoded_bytes(self, frame: Frame) -> int:
        """Return what the pixels of a frame will take; called while other threads decode and score."""
        ...

    def decode(self, frame: Frame) -> DecodedFrame:
        """Decode one frame; called from several threads.

        Raises:
            FrameRejectedError: the bytes are no acceptable image.
        """
        ...

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        """Score and judge one batch, which may mix cameras with different vocabularies; one verdict each.

        Raises:
            MemoryError: the device has too little memory for a batch of this size.
        """
        ...

    def is_sound(self) -> bool:
        """Score a frame of the engine's own; False if even that fails, so that no camera's frame is to blame."""
        ...


class Engine(ServingEngine, Protocol):
    """An engine with one weights version, and what is configured for it."""

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        """Use a reference bank (its file's bytes) for a camera from the next batch on.

        Raises:
            BadInputError: not a bank, or for another model; the one in use stays.
        """
        ...

    def set_calibration(self, version: str, data: bytes) -> None:
        """Use a calibration (JSON) for its camera, mode, weights and bank version. Raises as ``set_bank``.

        It may be for a bank that is not there yet: it is announced first, so that no frame meets a bank without it.
        """
        ...

    def set_product(self, name: str, settings: ProductSettings) -> None:
        """Use these product settings from the next batch on, encoding new words if there are any."""
        ...

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        """Use these camera settings from the next batch on."""
        ...

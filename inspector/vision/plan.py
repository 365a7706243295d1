"""How one camera's frames are scored and judged in a batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from inspector.domain.artefact import ScoreMap
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.result import ScoreMode
from inspector.vision.reference_bank import BankInfo, ReferenceBank
from inspector.vision.score_map import ScoreMaps


@dataclass(frozen=True, slots=True)
class BankInUse:
    """A verified bank and its version (SHA-256 of its bytes)."""

    version: str
    bank: ReferenceBank = field(repr=False)
    info: BankInfo


@dataclass(frozen=True, slots=True)
class Plan:
    """How one camera's frames are scored and judged in this batch.

    Score maps are None where the raw score is the score (zero-shot without a calibration), and where mutual scoring
    finds them itself. ``finer``: as of the calibration. ``product_name`` is ``default`` for a product without settings.
    ``tiles``: how many a side the frames are decoded for. ``otherwise`` is the plan while mutual scoring has too few
    frames.
    """

    camera_id: str
    camera: CameraSettings
    product_name: str
    product: ProductSettings
    tiles: int
    mode: ScoreMode
    bank: BankInUse | None
    image_map: ScoreMap | None
    pixel_map: ScoreMap | None
    image_threshold: float
    pixel_threshold: float
    calibration_version: str | None
    otherwise: Plan | None = None
    finer: bool = False

    def settled(self, mode: ScoreMode, found: ScoreMaps | None) -> Plan:
        """Return the plan by which scores made in ``mode``, with the score maps ``found`` on the way, are judged."""
        if mode is ScoreMode.ZERO_SHOT and self.otherwise is not None:
            return self.otherwise
        if found is None or (self.image_map is not None and self.finer == found.finer):
            return self
        return replace(self, image_map=found.image, pixel_map=found.pixel, calibration_version=None)

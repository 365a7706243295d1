"""Versioned artefacts (banks, calibrations, product and camera settings) and their announcements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspector.domain.checks import check_number
from inspector.domain.result import ScoreMode

CONFIG_SCHEMA = "inspection.config/1"
CALIBRATION_SCHEMA = "inspection.calibration/1"
_KEY_CHARACTERS = 12


class ArtefactKind(StrEnum):
    """What an announced artefact is; ``subject`` is a camera id for the first three, a product's name for the last."""

    BANK = "bank"
    CALIBRATION = "calibration"
    CAMERA = "camera"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Announcement:
    """Record of ``inspection.config``: from now on, ``subject`` uses ``version``.

    ``version`` is the SHA-256 (hex) of the artefact's bytes, under which the store holds them. ``weights_version``: a
    bank or a calibration is for these prompt weights and no others; None, as in records older than the field: for
    whichever weights it says itself that it was made with.
    """

    kind: ArtefactKind
    subject: str
    version: str
    created_at: datetime
    weights_version: str | None = None
    schema: str = CONFIG_SCHEMA

    @property
    def key(self) -> str:
        """The compaction key: one live version for each kind and subject, and for each weights version that has one.

        So a rollback finds the banks and thresholds of the weights it goes back to.
        """
        of_weights = "" if self.weights_version is None else f"@{self.weights_version[:_KEY_CHARACTERS]}"
        return f"{self.kind}/{self.subject}{of_weights}"


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """Monotone map from a raw score to 0..1: ``1 / (1 + exp(-(raw - midpoint) / scale))``.

    ``midpoint`` is the raw score that becomes 0.5, the default threshold; ``scale`` > 0.

    Raises:
        BadInputError: a number that is not finite, or a scale that is not above 0.
    """

    midpoint: float
    scale: float

    def __post_init__(self) -> None:
        check_number("midpoint", self.midpoint, -math.inf)
        check_number("scale", self.scale, 0, low_excluded=True)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Score maps of one camera for one mode, weights version and number of tiles, from ``frames`` normal frames.

    ``variant``: of the raw scores; see ``ScoringSettings.variant``. ``finer``: whether fine texture had a share in
    mutual scores; where it has none, or only now has one, the frames' own thresholds hold.

    Raises:
        BadInputError: a number out of range.
    """

    camera_id: str
    mode: ScoreMode
    weights_version: str
    image: ScoreMap
    pixel: ScoreMap
    frames: int
    target_false_alarm_rate: float
    created_at: datetime
    bank_version: str | None = None
    tiles: int = 1
    variant: str = ""
    finer: bool = False
    schema: str = CALIBRATION_SCHEMA

    def __post_init__(self) -> None:
        check_number("frames", self.frames, 1)
        check_number("target_false_alarm_rate", self.target_false_alarm_rate, 0, 1)

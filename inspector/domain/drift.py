"""How a camera's scores and pictures differ from what they were (``inspection.drift/1``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspector.domain.result import ScoreMode

DRIFT_SCHEMA = "inspection.drift/1"
BASELINE_SCHEMA = "inspection.drift-baseline/1"


@dataclass(frozen=True, slots=True)
class ScoreBasis:
    """What scores were made of and from; only those of one basis compare."""

    product: str
    mode: ScoreMode
    weights_version: str
    bank_version: str | None
    calibration_version: str | None


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """One frame as a picture, whatever is on it; grey values are 0..1, of the frame at 512 px at most.

    ``sharpness``: variance of the Laplacian; ``focus``: that over the variance of the grey values, so that a part of
    less contrast is no blur. ``contrast``: standard deviation of the grey values. ``veil``: the darkest percent's
    brightest value, which stray light lifts. ``brightness``: the mean. ``clipped_dark`` and ``clipped_bright``: shares
    of pixels without any detail left. ``cells``: mean grey values of a grid of 16 x 16, row by row.
    """

    sharpness: float
    focus: float
    contrast: float
    veil: float
    brightness: float
    clipped_dark: float
    clipped_bright: float
    cells: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CameraSnapshot:
    """What a camera was like from ``first_at`` to ``last_at``, by what is kept of it.

    ``scores`` are of one ``basis``. ``embeddings`` (of length 1) are of the regions that were listed, by the weights of
    the basis. ``normal_frames`` and ``anomalous_frames`` are of the frames whose bytes are kept.
    """

    camera_id: str
    first_at: datetime | None = None
    last_at: datetime | None = None
    basis: ScoreBasis | None = None
    scores: tuple[float, ...] = ()
    embeddings: tuple[tuple[float, ...], ...] = ()
    normal_frames: tuple[FrameQuality, ...] = ()
    anomalous_frames: tuple[FrameQuality, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftBaseline:
    """What cameras were like when this was saved, to be compared with long after the store has let it go."""

    saved_at: datetime
    cameras: tuple[CameraSnapshot, ...]
    schema: str = BASELINE_SCHEMA


class DriftVerdict(StrEnum):
    """What one check says."""

    STABLE = "stable"
    DRIFTED = "drifted"
    TOO_LITTLE = "too_little"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """One thing that was compared. ``limit`` is what ``value`` must be beyond, and by more than chance, to be drift.

    ``baseline`` and ``recent`` are medians where there is such a thing, ``chance`` (0..1) that of so large a difference
    where nothing has changed. ``baseline_count`` and ``recent_count`` are of scores, frames or regions.
    """

    name: str
    verdict: DriftVerdict
    baseline_count: int
    recent_count: int
    text: str
    value: float | None = None
    limit: float | None = None
    chance: float | None = None
    baseline: float | None = None
    recent: float | None = None


@dataclass(frozen=True, slots=True)
class CameraDrift:
    """A camera now against what it was; it changes nothing by itself.

    ``drifted``: a check says so. ``baseline_kept``: the baseline is of a file that was kept for it, and not the oldest
    that the store still has, which moves on with what is let go.
    """

    camera_id: str
    drifted: bool
    baseline_kept: bool
    baseline_from: datetime | None
    baseline_to: datetime | None
    recent_from: datetime | None
    recent_to: datetime | None
    checks: tuple[DriftCheck, ...]
    remarks: tuple[str, ...] = ()
    schema: str = DRIFT_SCHEMA

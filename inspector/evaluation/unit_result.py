"""What one evaluated unit yields: a class of a dataset, scored in one mode, as it is written to disk and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from inspector.domain.result import PredLabel, ScoreMode
from inspector.evaluation.metrics import Metric

UNIT_SCHEMA = "inspection.evaluation-unit/1"

RATES = ("false_alarms", "found")
"""Shares of good and of defective images that the verdict called anomalous."""

Points = tuple[tuple[float, float], ...]
"""A curve: (x, y), both 0..1."""


class Setting(NamedTuple):
    """How a class was scored: the mode, and how many normal images it was shown (bank mode alone)."""

    mode: ScoreMode
    shots: int = 0

    @property
    def label(self) -> str:
        """The field's word for it: ``zero-shot``, ``4-shot`` or ``mutual``."""
        return f"{self.shots}-shot" if self.mode is ScoreMode.BANK else self.mode.value.replace("_", "-")

    @property
    def order(self) -> tuple[int, int]:
        """Sorts zero-shot, the shots by number, mutual."""
        return list(ScoreMode).index(self.mode), self.shots


@dataclass(frozen=True, slots=True)
class UnitKey:
    """Which unit: everything that varies within one run. ``seed`` chooses the shots, or the order of the stream."""

    dataset: str
    class_name: str
    mode: ScoreMode
    shots: int = 0
    seed: int = 0

    @property
    def setting(self) -> Setting:
        """Mode and shots: what units of different seeds share."""
        return Setting(self.mode, self.shots)


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """A region that the verdict lists; ``area_px`` in pixels of the image as it is on disk."""

    defect_type: str
    area_px: int


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """The recorded score of one test image.

    ``raw_score`` in the mode's own unit, ``score`` as served (0..1; raw where there were no images to calibrate a bank
    on), ``label`` the verdict. ``predicted_type`` is that of the gravest region, or the likeliest where the map peaks,
    whatever the verdict.
    """

    file: str
    types: tuple[str, ...]
    anomalous: bool
    raw_score: float
    score: float
    label: str
    predicted_type: str
    regions: tuple[FoundRegion, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedImage:
    """An image or mask that could not be used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Raw scores from which an image, or a pixel, counts as defective; None where there is none.

    ``*_f1_max`` are the best there are for these very images: an upper bound, no setting to use. ``in_use`` is the
    image threshold that the verdicts were made with, ``source`` says where it comes from.
    """

    image_f1_max: float | None
    pixel_f1_max: float | None
    in_use: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts [true][predicted], both in the order of ``labels``; ``counted`` says what one count is."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    counted: str


@dataclass(frozen=True, slots=True)
class Example:
    """One test image as it is shown: the truth on it, and what was found; both JPEG in base64.

    ``aspect`` is its width over its height.
    """

    group: Literal["best", "median", "worst"]
    file: str
    types: tuple[str, ...]
    raw_score: float
    predicted_type: str
    aspect: float
    truth_jpeg: str = field(repr=False)
    found_jpeg: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnitResult:
    """One unit. ``fingerprint`` identifies all that it was made from; ``method`` says how pixels were ranked.

    ``without_mask`` of the defective images have no mask and no part in the metrics of pixels.
    """

    key: UnitKey
    fingerprint: str
    vocabulary: tuple[str, ...]
    metrics: dict[str, Metric]
    thresholds: Thresholds
    method: str
    images: tuple[ScoredImage, ...]
    failures: tuple[FailedImage, ...] = ()
    shots_used: tuple[str, ...] = ()
    confusion: Confusion | None = None
    roc: Points = ()
    pro: Points = ()
    examples: tuple[Example, ...] = ()
    seconds: float = 0.0
    without_mask: int = 0
    schema: str = UNIT_SCHEMA

    @property
    def figures(self) -> dict[str, Metric]:
        """The metrics, then ``RATES``: what the verdicts at a threshold that was set beforehand would have cost."""
        return self.metrics | {"false_alarms": self._called_anomalous(False), "found": self._called_anomalous(True)}

    def _called_anomalous(self, anomalous: bool) -> Metric:
        """Return the share of the defective, or of the good, images that the verdict called anomalous."""
        of_images = self.metrics.get("image_auroc")
        if of_images is not None and set(self.metrics.values()) == {Metric(None, of_images.reason)}:
            return of_images  # the mode had too few images: whatever was said was not said in it
        # A bank of few images has no threshold of its own: its labels mean nothing. A stream finds one as it goes.
        if self.thresholds.in_use is None and self.key.mode is not ScoreMode.MUTUAL:
            return Metric(None, f"threshold: {self.thresholds.source or 'none was set'}")
        alarms = [image.label == PredLabel.ANOMALOUS for image in self.images if image.anomalous is anomalous]
        if not alarms:
            return Metric(None, "no defective image" if anomalous else "no normal image")
        return Metric(sum(alarms) / len(alarms))

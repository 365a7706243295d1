"""Products and cameras: what may be wrong with a part, where to look, and how sure to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

# Polygons are in fractions of the frame (0..1, x then y), so that they survive a change of camera resolution.
Polygon = tuple[tuple[float, float], ...]

DEFAULT_DEFECT_NAMES = ("scratch", "crack", "dent", "hole", "stain", "contamination")


@dataclass(frozen=True, slots=True)
class DefectSpec:
    """One defect type of a product's vocabulary.

    ``name`` is plain text and goes into the prompt as it is. ``threshold`` (0..1) overrides the camera's pixel
    threshold for this type. Regions below ``min_area_px`` (pixels of the frame as captured) are not reported.
    ``severity_weight`` scales severity: 1 is ordinary, 2 twice as grave.
    """

    name: str
    threshold: float | None = None
    min_area_px: int = 0
    severity_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words T is encoded from: defect types in order, and the word for the part ("object": any)."""

    defect_types: tuple[str, ...]
    object_word: str = "object"


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """What is inspected on a product. Polygons are fractions of the frame; no region of interest means all of it."""

    object_word: str = "object"
    defects: tuple[DefectSpec, ...] = field(default_factory=lambda: tuple(DefectSpec(n) for n in DEFAULT_DEFECT_NAMES))
    mm_per_px: float | None = None
    region_of_interest: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The words this product's text features are encoded from."""
        return Vocabulary(tuple(d.name for d in self.defects), self.object_word)


class CameraMode(StrEnum):
    """How a camera is scored; ``auto`` takes the reference bank as soon as the camera has one."""

    AUTO = "auto"
    ZERO_SHOT = "zero_shot"
    BANK = "bank"


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """One camera. Thresholds (0..1, on the calibrated score) override the calibrated ones."""

    product: str = "default"
    line_id: str = "line-1"
    mode: CameraMode = CameraMode.AUTO
    image_threshold: float | None = None
    pixel_threshold: float | None = None

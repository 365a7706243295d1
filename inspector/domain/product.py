"""Products and cameras: what may be wrong with a part, where to look, and how sure to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from inspector.domain.checks import check_number, check_word
from inspector.domain.errors import BadInputError

PRODUCT_SCHEMA = "inspection.product/1"
CAMERA_SCHEMA = "inspection.camera/1"

# Polygons are in fractions of the frame (0..1, x then y), so that they survive a change of camera resolution.
Polygon = tuple[tuple[float, float], ...]

# 8 x 8 tiles see a frame at 6.25 times the model's resolution, and cost 65 times one tile.
MAX_TILES = 8

DEFAULT_DEFECT_NAMES = ("scratch", "crack", "dent", "hole", "stain", "contamination")


@dataclass(frozen=True, slots=True)
class DefectSpec:
    """One defect type of a product's vocabulary.

    ``name`` is plain text and goes into the prompt as it is. ``threshold`` (0..1) overrides the camera's pixel
    threshold for this type. Regions below ``min_area_px`` (pixels of the frame as captured) are not reported.
    ``severity_weight`` (above 0, at most 10) scales severity: 1 is ordinary, 2 twice as grave.

    Raises:
        BadInputError: a value out of range.
    """

    name: str
    threshold: float | None = None
    min_area_px: int = 0
    severity_weight: float = 1.0

    def __post_init__(self) -> None:
        check_word("a defect type's name", self.name)
        check_number("threshold", self.threshold, 0, 1)
        check_number("min_area_px", self.min_area_px, 0)
        check_number("severity_weight", self.severity_weight, 0, 10, low_excluded=True)


ANY_OBJECT = "object"
"""What prompts call a part whatever it is."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words T is encoded from: defect types in order, and the word for the part ("object": any)."""

    defect_types: tuple[str, ...]
    object_word: str = ANY_OBJECT


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """What is inspected on a product. Polygons are fractions of the frame; no region of interest means all of it.

    ``tiles`` is how many overlapping tiles a side the frame is looked at through, each at the model's own resolution:
    1 sees all of it at once, n see it at about 0.75 n + 0.25 times the resolution, n^2 + 1 times the work. It is the
    same for every frame, as a reference bank needs: a frame with fewer pixels than the tiles have is enlarged.

    Raises:
        BadInputError: no defect types, one twice, a value out of range, or a polygon that is none.
    """

    object_word: str = ANY_OBJECT
    defects: tuple[DefectSpec, ...] = field(default_factory=lambda: tuple(DefectSpec(n) for n in DEFAULT_DEFECT_NAMES))
    mm_per_px: float | None = None
    region_of_interest: tuple[Polygon, ...] = ()
    ignore: tuple[Polygon, ...] = ()
    tiles: int = 1
    schema: str = PRODUCT_SCHEMA

    def __post_init__(self) -> None:
        check_word("the object word", self.object_word)
        check_number("tiles", self.tiles, 1, MAX_TILES)
        check_number("mm_per_px", self.mm_per_px, 0, low_excluded=True)
        names = [spec.name for spec in self.defects]
        if not names or len(set(names)) < len(names):
            raise BadInputError("one or more different defect types", ", ".join(names) or "none", "correct defects")
        for polygon in (*self.region_of_interest, *self.ignore):
            _check_polygon(polygon)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words this product's text features are encoded from."""
        return Vocabulary(tuple(d.name for d in self.defects), self.object_word)


class CameraMode(StrEnum):
    """How a camera is scored.

    ``mutual``: its last frames, unlabelled, are each other's reference, as soon as there are enough. ``auto`` takes the
    best that the camera has what it needs for: its reference bank; thresholds that it was calibrated with zero-shot;
    its last frames; and zero-shot until there are enough of them. Results say which it was.
    """

    AUTO = "auto"
    ZERO_SHOT = "zero_shot"
    BANK = "bank"
    MUTUAL = "mutual"


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """One camera. Thresholds (0..1, on the calibrated score) override the calibrated ones.

    Raises:
        BadInputError: a threshold out of range.
    """

    product: str = "default"
    line_id: str = "line-1"
    mode: CameraMode = CameraMode.AUTO
    image_threshold: float | None = None
    pixel_threshold: float | None = None
    schema: str = CAMERA_SCHEMA

    def __post_init__(self) -> None:
        check_number("image_threshold", self.image_threshold, 0, 1)
        check_number("pixel_threshold", self.pixel_threshold, 0, 1)


def _check_polygon(polygon: Polygon) -> None:
    if len(polygon) < 3 or any(len(point) != 2 for point in polygon):
        raise BadInputError(
            "a polygon of three or more points [x, y]", f"{str(polygon)[:100]}", "correct region_of_interest or ignore"
        )
    for point in polygon:
        for coordinate in point:
            check_number("a polygon's coordinate", coordinate, 0, 1)

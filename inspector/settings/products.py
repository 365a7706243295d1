"""``products.NAME`` and ``cameras.ID`` of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from inspector.domain.product import MAX_TILES, CameraMode, CameraSettings, DefectSpec, Polygon, ProductSettings
from inspector.settings.sections import Fraction, Name, Section


def _defect(value: object) -> object:
    """Let ``defects: [scratch, {name: crack, threshold: 0.7}]`` mix plain names with settings."""
    return {"name": value} if isinstance(value, str) else value


class DefectEntry(Section):
    """One defect type of a product."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    threshold: Fraction | None = None
    min_area_px: Annotated[int, Field(ge=0)] = 0
    severity_weight: Annotated[float, Field(gt=0, le=10)] = 1.0


class ProductEntry(Section):
    """``products.NAME``: polygons are lists of [x, y] in fractions of the frame, ``tiles`` how many a side."""

    object: Annotated[str, Field(min_length=1, max_length=80)] = "object"
    defects: tuple[Annotated[DefectEntry, BeforeValidator(_defect)], ...] | None = Field(None, min_length=1)
    mm_per_px: Annotated[float, Field(gt=0)] | None = None
    region_of_interest: tuple[tuple[tuple[Fraction, Fraction], ...], ...] = ()
    ignore: tuple[tuple[tuple[Fraction, Fraction], ...], ...] = ()
    tiles: Annotated[int, Field(ge=1, le=MAX_TILES)] = 1

    @model_validator(mode="after")
    def _sound(self) -> ProductEntry:
        names = [defect.name for defect in self.defects or ()]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"defect types must differ, these repeat: {', '.join(repeated)}")
        if any(len(polygon) < 3 for polygon in (*self.region_of_interest, *self.ignore)):
            raise ValueError("a polygon needs at least three points")
        return self

    def to_domain(self) -> ProductSettings:
        """Return the product as the engine takes it."""
        polygons: tuple[Polygon, ...] = self.region_of_interest
        product = ProductSettings(
            object_word=self.object,
            mm_per_px=self.mm_per_px,
            region_of_interest=polygons,
            ignore=self.ignore,
            tiles=self.tiles,
        )
        if self.defects is None:
            return product
        return replace(product, defects=tuple(DefectSpec(**d.model_dump()) for d in self.defects))


class CameraEntry(Section):
    """``cameras.ID``."""

    product: str = "default"
    line: Name = "line-1"
    mode: CameraMode = CameraMode.AUTO
    image_threshold: Fraction | None = None
    pixel_threshold: Fraction | None = None

    def to_domain(self) -> CameraSettings:
        """Return the camera as the engine takes it."""
        return CameraSettings(self.product, self.line, self.mode, self.image_threshold, self.pixel_threshold)


class CamerasSettings(BaseModel):
    """``cameras.ID``, and ``cameras.allow_unknown``: serve a camera that is not listed, as the default product."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, CameraEntry] = Field(init=False)

    allow_unknown: bool = True

    def by_id(self) -> Mapping[str, CameraEntry]:
        """Return the listed cameras."""
        return self.__pydantic_extra__

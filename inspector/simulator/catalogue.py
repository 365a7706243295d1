"""The products that virtual lines make, and what is inspected on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from inspector.domain.errors import BadInputError
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.simulator.products.belt import belt_scene
from inspector.simulator.products.board import board_scene
from inspector.simulator.products.plate import plate_scene
from inspector.simulator.scene import Scene


@dataclass(frozen=True)
class Product:
    """One product: how it is rendered, what it is called, which defects occur and between which sizes (pixels).

    ``scenes`` still pictures are kept: more cost start-up time and memory, fewer look alike.
    """

    name: str
    render: Callable[[np.random.Generator, np.random.Generator], Scene]
    object_word: str
    mm_per_px: float
    defect_types: tuple[str, ...]
    sizes_px: Mapping[str, tuple[int, int]]
    scenes: int = 3


_SIZES_PX = {
    "scratch": (60, 300),
    "crack": (60, 260),
    "dent": (36, 130),
    "hole": (24, 110),
    "stain": (60, 240),
    "contamination": (24, 90),
    "tear": (70, 260),
    "loose thread": (70, 200),
}
_SEVERITY = {"crack": 2.0, "tear": 2.0, "hole": 2.0, "missing part": 2.0, "misaligned part": 1.5, "stain": 0.5}
_MIN_AREA_PX = 60

_PRODUCTS = {
    p.name: p
    for p in (
        Product(
            "plate", plate_scene, "metal plate", 0.2,
            ("scratch", "crack", "dent", "stain", "contamination", "missing part"), _SIZES_PX,
        ),
        Product(
            "belt", belt_scene, "woven fabric belt", 0.25,
            ("tear", "hole", "loose thread", "stain", "contamination", "scratch"), _SIZES_PX, scenes=1,
        ),
        Product(
            "board", board_scene, "printed circuit board", 0.1,
            ("missing part", "misaligned part", "scratch", "crack", "stain", "contamination"), _SIZES_PX,
        ),
    )
}  # fmt: skip
NAMES = tuple(_PRODUCTS)


def product(name: str) -> Product:
    """Return product ``name``.

    Raises:
        BadInputError: there is none of that name; the message lists those there are.
    """
    if name not in _PRODUCTS:
        raise BadInputError(f"a virtual line ({', '.join(NAMES)})", repr(name), "choose one of these, as in sim:plate")
    return _PRODUCTS[name]


def product_settings(name: str) -> ProductSettings:
    """Return what an inspector should look for on line ``name``: exactly the types its defects are made of."""
    found = product(name)
    specs = tuple(
        DefectSpec(kind, min_area_px=_MIN_AREA_PX, severity_weight=_SEVERITY.get(kind, 1.0))
        for kind in found.defect_types
    )
    return ProductSettings(object_word=found.object_word, defects=specs, mm_per_px=found.mm_per_px)

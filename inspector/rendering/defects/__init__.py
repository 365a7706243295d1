"""Rendered defects with masks that agree with them to the pixel: nothing outside a mask is touched.

Each painter takes the surface where the defect will lie and follows what the defect does to light: a dent shades, a
stain multiplies, a crack swallows light and lifts its rims, a particle hides what is under it and casts a shadow.
"""

from __future__ import annotations

import numpy as np

from inspector.rendering.defects import chemistry, conductors, edges, films, foreign, grooves, pattern, relief, wear
from inspector.rendering.defects.painting import DefectShape, Painted, Painter, paint
from inspector.rendering.surfaces import ByteImage

__all__ = [
    "CONDUCTOR_TYPES",
    "DEFECT_TYPES",
    "EDGE_TYPES",
    "MOVED_EDGE_TYPES",
    "PAINTERS",
    "DefectShape",
    "Painted",
    "Painter",
    "paint",
    "paint_defect",
]

PAINTERS: dict[str, Painter] = {
    "scratch": grooves.scratch,
    "crack": grooves.crack,
    "dent": relief.dent,
    "hole": relief.hole,
    "pits": relief.pits,
    "stain": films.stain,
    "contamination": foreign.contamination,
    "tear": grooves.tear,
    "loose thread": foreign.loose_thread,
    "abrasion": wear.abrasion,
    "rust": chemistry.rust,
    "burnt": chemistry.burnt,
    "discoloration": chemistry.discoloration,
    "bubble": wear.bubble,
    "chip": edges.chip,
    "burr": edges.burr,
    "wrinkle": wear.wrinkle,
    "faulty imprint": pattern.faulty_imprint,
    "fibre": foreign.fibre,
    "deformation": pattern.deformation,
    "missing": pattern.missing,
    "cut": wear.cut,
    **conductors.painters(),
}
CONDUCTOR_TYPES = tuple(conductors.painters())
"""Those that only line artwork can show."""
EDGE_TYPES = ("chip", "burr", "open", "short", "mouse bite", "spur")
"""Those that lie on an edge, of the part or of its pattern."""
MOVED_EDGE_TYPES = (*CONDUCTOR_TYPES, "chip", "deformation", "missing")
"""Those that put the picture's own edges elsewhere, which are as sharp there as they were before."""
DEFECT_TYPES = tuple(PAINTERS)
"""Canonical words; a type's place (from 1) is its label in type masks, so new ones are added at the end."""


def paint_defect(
    rng: np.random.Generator,
    image: ByteImage,
    defect_type: str,
    centre: tuple[int, int],
    shape: DefectShape,
    allowed: ByteImage | None = None,
) -> ByteImage:
    """Paint a defect of ``defect_type``, otherwise as ``paint``.

    Raises:
        KeyError: ``defect_type`` is not in ``DEFECT_TYPES``.
    """
    return paint(rng, image, PAINTERS[defect_type], centre, shape, allowed)

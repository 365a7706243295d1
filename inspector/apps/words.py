"""Facts as a person reads them in a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from inspector.apps import console
from inspector.domain.defect import Defect
from inspector.domain.result import PredLabel

_NAMED_DEFECTS = 4


def defects_in_words(defects: Sequence[Defect]) -> str:
    """Return the first defects, which are the gravest, as ``scratch 612, dent 340``: type and severity."""
    named = [f"{defect.defect_type} {defect.severity}" for defect in defects[:_NAMED_DEFECTS]]
    more = len(defects) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "-"


def regions_cell(pred_label: str | None, defects: Sequence[Defect]) -> Text:
    """Return the regions of a frame for a table; named where the frame is anomalous, counted where it is normal.

    A severity says how soon to act, and nobody acts on a frame that was judged normal.
    """
    if not defects or pred_label != PredLabel.NORMAL:
        return console.cell(defects_in_words(defects))
    counted = "1 region" if len(defects) == 1 else f"{len(defects)} regions"
    return console.cell(f"{counted}, below the frame's threshold", "dim")

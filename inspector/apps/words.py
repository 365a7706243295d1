"""Facts as a person reads them in a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from inspector.apps import console
from inspector.domain.defect import Defect
from inspector.domain.result import PredLabel

_NAMED_DEFECTS = 4


def defects_in_words(defects: Sequence[Defect]) -> str:
    """Return the first defects, which are the gravest, as ``scratch 612, dent? 340``: type and severity.

    A type with a question mark is hardly told apart from another.
    """
    named = [f"{defect.type_text} {defect.severity}" for defect in defects[:_NAMED_DEFECTS]]
    more = len(defects) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "-"


def regions_cell(pred_label: str | None, defects: Sequence[Defect]) -> Text:
    """Return the regions of a frame for a table; named where the frame is anomalous, counted where it is normal.

    A frame may be anomalous as a whole, without a region above the pixel threshold. A severity says how soon to act,
    and nobody acts on a frame that was judged normal.
    """
    if not defects and pred_label == PredLabel.ANOMALOUS:
        return console.cell("the frame as a whole")
    if not defects or pred_label != PredLabel.NORMAL:
        return console.cell(defects_in_words(defects))
    counted = "1 region" if len(defects) == 1 else f"{len(defects)} regions"
    return console.cell(f"{counted}, below the frame's threshold", "dim")

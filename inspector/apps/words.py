"""Facts as a person reads them in a table."""

from __future__ import annotations

from collections.abc import Sequence

from inspector.domain.defect import Defect

_NAMED_DEFECTS = 4


def defects_in_words(defects: Sequence[Defect]) -> str:
    """Return the first defects, which are the gravest, as ``scratch 612, dent 340``: type and severity."""
    named = [f"{defect.defect_type} {defect.severity}" for defect in defects[:_NAMED_DEFECTS]]
    more = len(defects) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "-"

"""The table of ``inspector score``, printed while it goes on."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from inspector.apps import console
from inspector.apps.score_output import ScoredFile, Summary
from inspector.apps.words import regions_cell

_PAGE_ROWS = 25


class ScoreTable:
    """A ``score_output.Writer`` that prints pages of rows, so that a long run shows something and holds little."""

    def __init__(self) -> None:
        self._page: Table | None = None
        self._first = True

    def row(self, scored: ScoredFile) -> None:
        """Add one row."""
        if self._page is None:
            self._page = self._new_page()
        if scored.error is not None:
            self._page.add_row(
                console.cell(scored.file), console.cell("unreadable", "yellow"), "", console.cell(scored.error)
            )
        else:
            self._page.add_row(
                console.cell(scored.file),
                console.verdict(scored.pred_label or ""),
                f"{scored.anomaly_score:.3f}",
                regions_cell(scored.pred_label, scored.defects),
            )
        if self._page.row_count == _PAGE_ROWS:
            self._print()

    def end(self, summary: Summary) -> None:
        """Print the last page and the summary."""
        self._print()
        failed = f", {summary['failed']} unreadable" if summary["failed"] else ""
        lines = [f"{summary['images']} images, {summary['anomalous']} anomalous{failed}"]
        truth = summary.get("truth")
        if isinstance(truth, Mapping):
            unmasked = f", {truth['without_mask']} defects without a mask" if truth["without_mask"] else ""
            lines.append(
                f"image AUROC {_number(truth['image_auroc'])}  pixel AUROC {_number(truth['pixel_auroc'])}"
                f"  ({truth['images']} images with ground truth{unmasked})"
            )
            lines.append(
                f"found {truth['found']} of {truth['defective']} defective, "
                f"{truth['false_alarms']} of {truth['good']} good alarmed"
            )
            lines += truth["notes"]
        console.lines(lines)

    def _new_page(self) -> Table:
        page = console.table()
        page.show_header = self._first
        self._first = False
        # Fixed shares of the width, so that the pages line up.
        page.expand = True
        page.add_column("file", ratio=5, overflow="fold")
        page.add_column("verdict", width=10)
        page.add_column("score", width=6)
        page.add_column("defects (severity)", ratio=4, overflow="fold")
        return page

    def _print(self) -> None:
        if self._page is not None:
            console.print_table(self._page)
            self._page = None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

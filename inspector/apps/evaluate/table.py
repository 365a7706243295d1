"""The terminal's view of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from inspector.apps import console
from inspector.evaluation.report.page import COLUMNS, MISSING, TUNED_ON, EvaluatedDataset
from inspector.evaluation.summary import SettingSummary, Spread, summarise
from inspector.evaluation.unit_result import RATES

_SHOWN = (
    "image_auroc",
    *RATES,
    "image_ap",
    "image_f1_max",
    "pixel_auroc",
    "pixel_f1_max",
    "aupro",
    "type_auroc",
    "type_recall",
)


def print_tables(datasets: Sequence[EvaluatedDataset]) -> None:
    """Print each data set: its classes and their mean in every setting, per cent, with the spread over the seeds."""
    for dataset in datasets:
        console.print_table(_table(dataset, summarise(dataset.units)))
    console.remark(
        "false alarms, found: shares of good and of defective images that the verdict called anomalous, at thresholds "
        "set beforehand; AUROC and F1-max know no threshold, or the best one"
    )


def _table(dataset: EvaluatedDataset, summaries: Sequence[SettingSummary]) -> Table:
    headings = {name: heading for name, heading, _ in COLUMNS}
    title = f"{dataset.name}, per cent" + (f"; {TUNED_ON}" if dataset.tuned_on else "")
    made = console.table("setting", "class", title=console.safe(title))
    for name in _SHOWN:
        made.add_column(headings[name], justify="right")
    for summary in summaries:
        label = summary.setting.label
        for class_name, metrics in summary.classes.items():
            made.add_row(console.cell(label), console.cell(class_name), *_cells(metrics))
        if len(summary.classes) > 1:
            made.add_row(console.cell(label, "bold"), console.cell("mean", "bold"), *_cells(summary.mean))
    return made


def _cells(metrics: Mapping[str, Spread]) -> list[str]:
    return [_cell(metrics.get(name)) for name in _SHOWN]


def _cell(value: Spread | None) -> str:
    if value is None or value.mean is None:
        return MISSING
    spread = "" if value.std is None else f" ±{100 * value.std:.1f}"
    return f"{100 * value.mean:.1f}{spread}"

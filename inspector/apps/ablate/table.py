"""The terminal's view of an ablation: one row a variant, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from inspector.apps import console
from inspector.apps.ablate.summary import Estimate, Row
from inspector.domain.text import shortened

_COLUMNS = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "type_macro_f1": "type F1",
    "type_recall": "type of region",
    "false_alarms": "false alarms",
    "found": "found",
}
_LOWER_IS_BETTER = {"false_alarms"}
_MISSING = "-"


def print_rows(rows: Sequence[Row]) -> None:
    """Print the rows in per cent, under each the change from its group's default, seed by seed."""
    made = console.table("group", "row", title="per cent: mean over classes ± standard deviation over seeds")
    for heading in _COLUMNS.values():
        made.add_column(heading, justify="right")
    made.add_column("ms/image", justify="right")
    made.add_column("what")
    for row in rows:
        group = row.variant.group if not row.change else ""
        values = [_value(row.values.get(name)) for name in _COLUMNS]
        made.add_row(
            console.cell(group, "bold"),
            console.cell(row.variant.name),
            *values,
            _MISSING if row.ms_per_image is None else f"{row.ms_per_image:.0f}",
            console.cell(row.variant.what, "dim"),
        )
        if row.change:
            made.add_row("", "", *(_change(name, row.change.get(name)) for name in _COLUMNS), "", "")
    console.print_table(made)
    for what, variants in _missing(rows).items():
        console.remark(f"{'all rows' if len(variants) == len(rows) > 1 else ', '.join(variants)}: {what}")
    console.remark(
        "green, red: a change of more than twice its spread. false alarms, found: verdicts of good and of defective "
        "images at thresholds set beforehand. ms/image: all of a unit's work, reference and metrics included"
    )


def _missing(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return what is not there and why, with the rows that lack it: most reasons are the data's, not a row's."""
    lacking: dict[str, list[str]] = {}
    for row in rows:
        for why, names in _by_reason(row.missing).items():
            absent = "no" if names[0] not in row.values else "not over all classes:"
            what = f"{absent} {', '.join(_COLUMNS[name] for name in names)}: {why}"
            lacking.setdefault(what, []).append(row.variant.id)
    return lacking


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(shortened(why), []).append(name)
    return names


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return _MISSING
    return f"{100 * estimate.mean:.1f}" + ("" if estimate.std is None else f" ±{100 * estimate.std:.1f}")


def _change(name: str, estimate: Estimate | None) -> Text:
    if estimate is None:
        return console.cell("")
    text = f"{100 * estimate.mean:+.1f}" + ("" if estimate.std is None else f" ±{100 * estimate.std:.1f}")
    sure = estimate.std is not None and abs(estimate.mean) > 2 * estimate.std
    better = (estimate.mean > 0) is not (name in _LOWER_IS_BETTER)
    return console.cell(text, ("green" if better else "red") if sure else "dim")

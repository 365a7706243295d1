"""What the page shows, worked out from the units: tables as text, charts as SVG. The template only places it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from inspector.domain.result import ScoreMode
from inspector.domain.text import shortened
from inspector.evaluation.report import svg
from inspector.evaluation.report.panel import Panel, panel_of
from inspector.evaluation.report.published import Published, published_of
from inspector.evaluation.summary import SettingSummary, Spread, summarise
from inspector.evaluation.unit_result import RATES, FailedImage, Setting, UnitResult

# Columns of the tables, in the field's order: name, heading, what it is.
COLUMNS = (
    ("image_auroc", "image AUROC", "how well images are ranked, defective above good"),
    ("image_ap", "image AP", "average precision over images"),
    ("image_f1_max", "image F1-max", "best F1 over all image thresholds"),
    ("pixel_auroc", "pixel AUROC", "how well pixels are ranked"),
    ("pixel_ap", "pixel AP", "average precision over pixels"),
    ("pixel_f1_max", "pixel F1-max", "best F1 over all pixel thresholds"),
    ("aupro", "AUPRO", "mean overlap of each defect region, up to a false-positive rate of 0.3, exact"),
    ("aupro_legacy", "AUPRO (200)", "the usual approximation with 200 thresholds"),
    ("aupimo", "AUPIMO", "mean overlap of each defective image, at false-positive rates of 1e-5 to 1e-4 on good ones"),
    ("type_auroc", "type AUROC", "one type against the rest, mean over types"),
    ("type_macro_f1", "type F1", "argmax macro-F1 over types, without background"),
    (
        "type_recall",
        "type of region",
        "share of drawn regions given the right type, mean over K types: chance is 1/K",
    ),
    ("false_alarms", "false alarms", "share of good images called anomalous, at a threshold set beforehand"),
    ("found", "found", "share of defective images called anomalous, at a threshold set beforehand"),
)
TUNED_ON = "the weights were tuned on this data set: no measurement of how they do on new parts"
_MAX_NOTE = 400
MISSING = "–"  # noqa: RUF001 -- a dash as printed tables have it


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the page's head."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class EvaluatedDataset:
    """One dataset's part of the run; ``tuned_on`` says whether the weights were tuned on it."""

    name: str
    layout: str
    licence: str | None
    classes: tuple[str, ...]
    units: tuple[UnitResult, ...]
    tuned_on: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that a report is made from. ``facts`` are shown as they are; ``warnings`` stand where nobody misses them."""

    facts: tuple[Fact, ...]
    datasets: tuple[EvaluatedDataset, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in per cent, and its spread; ``note`` says what a blank or a bound means."""

    value: str
    spread: str = ""
    note: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. ``published`` rows were not run here."""

    label: str
    cells: tuple[Cell, ...]
    published: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under ``headings`` of (heading, explanation)."""

    headings: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassView:
    """One class: curves of all settings, then a panel for each."""

    name: str
    anchor: str
    legend: tuple[str, ...]
    roc: Markup
    pro: Markup
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class DatasetView:
    """One dataset's part of the page."""

    name: str
    anchor: str
    layout: str
    licence: str | None
    tuned_on: bool
    images: int
    defective: int
    summary: Table
    by_class: tuple[tuple[str, Table], ...]
    shots: Markup | None
    shots_legend: tuple[str, ...]
    classes: tuple[ClassView, ...]
    published: Published | None
    failures: tuple[FailedImage, ...]


def dataset_view(dataset: EvaluatedDataset, number: int) -> DatasetView:
    """Work out one dataset's part of the page; ``number`` makes its anchors unique."""
    summaries = summarise(dataset.units)
    published = published_of(dataset.layout, len(dataset.classes))
    anchor = f"d{number}"
    first = _first_units(dataset.units)
    images = {(unit.key.class_name, image.file): image for unit in dataset.units for image in unit.images}
    failures = dict.fromkeys(failure for unit in dataset.units for failure in unit.failures)
    shots, shots_legend = _shots_chart(summaries)
    return DatasetView(
        name=dataset.name,
        anchor=anchor,
        layout=dataset.layout,
        licence=dataset.licence,
        tuned_on=dataset.tuned_on,
        images=len(images),
        defective=sum(image.anomalous for image in images.values()),
        summary=_summary_table(summaries, published),
        by_class=tuple((s.setting.label, _class_table(s)) for s in summaries if len(s.classes) > 1),
        shots=shots,
        shots_legend=shots_legend,
        classes=tuple(
            _class_view(name, f"{anchor}c{index}", [unit for unit in first if unit.key.class_name == name])
            for index, name in enumerate(dataset.classes)
        ),
        published=published,
        failures=tuple(failures),
    )


def _first_units(units: Sequence[UnitResult]) -> list[UnitResult]:
    """Return one unit for each class and setting, that of the lowest seed, in the order of the tables."""
    chosen: dict[tuple[str, Setting], UnitResult] = {}
    for unit in sorted(units, key=lambda unit: unit.key.seed):
        chosen.setdefault((unit.key.class_name, unit.key.setting), unit)
    return sorted(chosen.values(), key=lambda unit: (unit.key.class_name, unit.key.setting.order))


def _class_view(name: str, anchor: str, units: Sequence[UnitResult]) -> ClassView:
    labels = tuple(unit.key.setting.label for unit in units)
    roc = [svg.Curve(label, unit.roc) for label, unit in zip(labels, units, strict=True)]
    pro = [svg.Curve(label, unit.pro) for label, unit in zip(labels, units, strict=True)]
    return ClassView(
        name=name,
        anchor=anchor,
        legend=labels,
        roc=svg.curves(roc, "false-positive rate of images", "true-positive rate", chance=True),
        pro=svg.curves(pro, "false-positive rate of pixels", "per-region overlap", x_high=0.3),
        panels=tuple(panel_of(unit, f"{anchor}p{index}") for index, unit in enumerate(units)),
    )


def _summary_table(summaries: Sequence[SettingSummary], published: Published | None) -> Table:
    columns = _columns(summaries, published)
    # Of the two rates neither is good without the other: the setting that finds all may do so by alarming always.
    best = {
        name: None if name in RATES else max((s.mean[name].mean or 0.0 for s in summaries if name in s.mean), default=0)
        for name, _, _ in columns
    }
    rows = [
        Row(s.setting.label, tuple(_cell(s.mean.get(name), best[name], len(summaries) > 1) for name, _, _ in columns))
        for s in summaries
    ]
    for other in published.rows if published else ():
        values = [other.metrics.get(name) for name, _, _ in columns]
        cells = tuple(Cell(MISSING if value is None else f"{100 * value:.1f}") for value in values)
        rows.append(Row(other.method, cells, published=True))
    return Table(tuple((heading, why) for _, heading, why in columns), tuple(rows), _notes(summaries))


def _class_table(summary: SettingSummary) -> Table:
    columns = _columns([summary], None)
    rows = [
        Row(name, tuple(_cell(metrics.get(column), None, False) for column, _, _ in columns))
        for name, metrics in summary.classes.items()
    ]
    rows.append(Row("mean", tuple(_cell(summary.mean.get(column), None, False) for column, _, _ in columns)))
    return Table(tuple((heading, why) for _, heading, why in columns), tuple(rows))


def _columns(summaries: Sequence[SettingSummary], published: Published | None) -> list[tuple[str, str, str]]:
    known = {name for s in summaries for name in s.mean}
    known |= {name for row in (published.rows if published else ()) for name in row.metrics}
    return [column for column in COLUMNS if column[0] in known]


def _cell(value: Spread | None, best: float | None, several: bool) -> Cell:
    if value is None or value.mean is None:
        return Cell(MISSING, note="not measured" if value is None else value.reason or "")
    note = f"within {100 * value.error_bound:.2g} points of the exact value" if value.error_bound else ""
    spread = "" if value.std is None else f"± {100 * value.std:.1f}"
    return Cell(
        _shown(value.mean), spread, note, best=several and best is not None and _shown(value.mean) == _shown(best)
    )


def _shown(value: float) -> str:
    return f"{100 * value:.1f}"


def _notes(summaries: Sequence[SettingSummary]) -> tuple[str, ...]:
    """Say why figures are missing, or what a mean lacks: each reason once, with the metrics and settings it holds for.

    ``metrics.json`` has them in full.
    """
    headings = {name: heading for name, heading, _ in COLUMNS}
    settings: dict[tuple[str, str], list[str]] = {}
    for summary in summaries:
        for name, value in summary.mean.items():
            if value.reason is not None and name in headings:
                settings.setdefault((headings[name], value.reason), []).append(summary.setting.label)
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (heading, reason), labels in settings.items():
        groups.setdefault((reason, tuple(labels)), []).append(heading)
    return tuple(
        f"{', '.join(names)}: {shortened(reason, _MAX_NOTE)}"
        + ("" if len(labels) == len(summaries) else f" ({', '.join(labels)})")
        for (reason, labels), names in groups.items()
    )


def _shots_chart(summaries: Sequence[SettingSummary]) -> tuple[Markup | None, tuple[str, ...]]:
    """Return the metrics over the number of normal images shown, where there are three settings or more to draw."""
    if len(summaries) < 3:
        return None, ()
    mutual = [s.setting.mode is ScoreMode.MUTUAL for s in summaries]
    labels = ["mutual" if alone else str(s.setting.shots) for s, alone in zip(summaries, mutual, strict=True)]
    series = []
    for name, label in (("image_auroc", "image AUROC"), ("pixel_auroc", "pixel AUROC"), ("aupro", "AUPRO")):
        having = [(i, s.mean[name]) for i, s in enumerate(summaries) if name in s.mean]
        known = [(i, spread.mean, spread.std) for i, spread in having if spread.mean is not None]
        if known:
            points = tuple((i, y) for i, y, _ in known)
            # Mutual scoring is shown no normal image: its place is beside the line, not at its end.
            joined = sum(not mutual[i] for i, _, _ in known)
            series.append(svg.Curve(label, points, tuple(std for _, _, std in known), joined))
    return svg.over_shots(series, labels, "mean over classes"), tuple(curve.label for curve in series)

"""Units of each variant and seed -> one row a variant: means, spread over seeds, difference from the default."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inspector.apps.ablate.variants import Variant
from inspector.evaluation.unit_result import RATES, UnitResult

METRICS = ("image_auroc", "pixel_auroc", "aupro", "type_macro_f1", "type_recall")
FIGURES = (*METRICS, *RATES)

ByClass = Mapping[tuple[str, str], Mapping[str, float]]
"""Values by name, of each (data set, class)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over seeds and standard deviation between them (None for one seed)."""

    mean: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One variant. ``values`` by metric; ``change`` is the difference from the group's default, seed by seed, over the
    classes that have the metric in both: a class that only one of them could measure would change the mean by itself.

    ``false_alarms`` and ``found`` are shares of good and of defective images that the verdict called anomalous, with
    thresholds calibrated beforehand. ``ms_per_image`` is wall time, decoding and metrics included, None where no image
    was scored. ``missing`` says why a metric is not there, or which classes its mean lacks.
    """

    variant: Variant
    seeds: int
    values: Mapping[str, Estimate]
    change: Mapping[str, Estimate]
    ms_per_image: float | None
    missing: Mapping[str, str]


def rows_of(measured: Mapping[Variant, Sequence[Sequence[UnitResult]]]) -> list[Row]:
    """Return a row for each variant, from its units by seed; the first of each group is what others are compared with.

    Seeds are compared in pairs: the same weights, shots and order of frames on both sides.
    """
    values = {variant: [_by_class(units) for units in by_seed] for variant, by_seed in measured.items()}
    default: dict[str, Variant] = {}
    rows = []
    for variant, by_seed in values.items():
        base = values[default.setdefault(variant.group, variant)]
        changes = [_changes(seed, of_base) for seed, of_base in zip(by_seed, base, strict=True)]
        rows.append(
            Row(
                variant,
                len(by_seed),
                _estimates([_mean(seed) for seed in by_seed]),
                {} if default[variant.group] is variant else _estimates([_mean(change) for change in changes]),
                _ms_per_image(measured[variant]),
                _missing(measured[variant]),
            )
        )
    return rows


def _by_class(units: Sequence[UnitResult]) -> ByClass:
    return {(unit.key.dataset, unit.key.class_name): _of_class(unit) for unit in units}


def _changes(one: ByClass, base: ByClass) -> ByClass:
    return {
        key: {name: value - base[key][name] for name, value in found.items() if name in base[key]}
        for key, found in one.items()
    }


def _mean(by_class: ByClass) -> Mapping[str, float]:
    """Return the mean over data sets of the mean over classes, for each value that some class has."""
    by_dataset: dict[str, list[Mapping[str, float]]] = {}
    for (dataset, _), found in by_class.items():
        by_dataset.setdefault(dataset, []).append(found)
    return _mean_of([_mean_of(classes) for classes in by_dataset.values()])


def _of_class(unit: UnitResult) -> dict[str, float]:
    figures = unit.figures
    found = {name: figures[name].value for name in FIGURES if name in figures}
    return {name: value for name, value in found.items() if value is not None}


def _missing(by_seed: Iterable[Sequence[UnitResult]]) -> dict[str, str]:
    """Return for each metric that some class lacks which, and why: the first seed's reason stands for all."""
    reasons: dict[str, dict[str, str]] = {}
    for unit in (unit for units in by_seed for unit in units):
        figures = unit.figures
        for name in FIGURES:
            metric = figures.get(name)
            if metric is not None and metric.value is None:
                reasons.setdefault(name, {}).setdefault(unit.key.class_name, metric.reason or "not measured")
    return {name: "; ".join(f"{own}: {why}" for own, why in classes.items()) for name, classes in reasons.items()}


def _mean_of(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: statistics.fmean(part[name] for part in parts if name in part) for name in names}


def _estimates(by_seed: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    common = [name for name in FIGURES if all(name in seed for seed in by_seed)]
    return {name: _estimate([seed[name] for seed in by_seed]) for name in common}


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _ms_per_image(by_seed: Iterable[Sequence[UnitResult]]) -> float | None:
    units = [unit for units in by_seed for unit in units if unit.images]
    images = sum(len(unit.images) for unit in units)
    return round(1e3 * sum(unit.seconds for unit in units) / images, 2) if images else None

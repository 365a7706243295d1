"""Units of each variant and seed -> one row a variant: means, spread over seeds, difference from the default."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inspector.apps.ablate.variants import Variant
from inspector.domain.result import PredLabel, ScoreMode
from inspector.evaluation.unit_result import UnitResult

METRICS = ("image_auroc", "pixel_auroc", "aupro", "type_macro_f1")
RATES = ("false_alarms", "found")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over seeds and standard deviation between them (None for one seed)."""

    mean: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One variant. ``values`` by metric; ``change`` is the difference from the group's default, seed by seed.

    ``false_alarms`` and ``found`` are shares of good and of defective images that the verdict called anomalous, with
    thresholds calibrated beforehand. ``ms_per_image`` is wall time, decoding and metrics included. ``missing`` says why
    a metric is not there.
    """

    variant: Variant
    seeds: int
    values: Mapping[str, Estimate]
    change: Mapping[str, Estimate]
    ms_per_image: float
    missing: Mapping[str, str]


def rows_of(measured: Mapping[Variant, Sequence[Sequence[UnitResult]]]) -> list[Row]:
    """Return a row for each variant, from its units by seed; the first of each group is what others are compared with.

    Seeds are compared in pairs: the same weights, shots and order of frames on both sides.
    """
    values = {variant: [_values(units) for units in by_seed] for variant, by_seed in measured.items()}
    default: dict[str, Variant] = {}
    rows = []
    for variant, by_seed in values.items():
        base = values[default.setdefault(variant.group, variant)]
        rows.append(
            Row(
                variant,
                len(by_seed),
                {name: _estimate([seed[name] for seed in by_seed]) for name in _common(by_seed)},
                {}
                if default[variant.group] is variant
                else {
                    name: _estimate([seed[name] - of_base[name] for seed, of_base in zip(by_seed, base, strict=True)])
                    for name in _common([*by_seed, *base])
                },
                _ms_per_image(measured[variant]),
                _missing(measured[variant]),
            )
        )
    return rows


def _values(units: Sequence[UnitResult]) -> dict[str, float]:
    """Return the mean over data sets of the mean over classes, for each value that some class has."""
    by_dataset: dict[str, list[dict[str, float]]] = {}
    for unit in units:
        by_dataset.setdefault(unit.key.dataset, []).append(_of_class(unit))
    means = [_mean_of(classes) for classes in by_dataset.values()]
    return _mean_of(means)


def _of_class(unit: UnitResult) -> dict[str, float]:
    found = {name: unit.metrics[name].value for name in METRICS if name in unit.metrics}
    # A bank of few images has no threshold of its own; its labels mean nothing.
    if unit.thresholds.in_use is not None or unit.key.mode is ScoreMode.MUTUAL:
        found |= _rates(unit)
    return {name: value for name, value in found.items() if value is not None}


def _missing(by_seed: Iterable[Sequence[UnitResult]]) -> dict[str, str]:
    units = [unit for units in by_seed for unit in units]
    reasons = ((name, unit.metrics[name].reason) for unit in units for name in METRICS if name in unit.metrics)
    return {name: reason for name, reason in reasons if reason is not None}


def _rates(unit: UnitResult) -> dict[str, float | None]:
    def share(anomalous: bool) -> float | None:
        alarms = [image.label == PredLabel.ANOMALOUS for image in unit.images if image.anomalous is anomalous]
        return sum(alarms) / len(alarms) if alarms else None

    return {"false_alarms": share(False), "found": share(True)}


def _mean_of(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: statistics.fmean(part[name] for part in parts if name in part) for name in names}


def _common(parts: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in (*METRICS, *RATES) if all(name in part for part in parts)]


def _estimate(values: Sequence[float]) -> Estimate:
    return Estimate(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _ms_per_image(by_seed: Iterable[Sequence[UnitResult]]) -> float:
    units = [unit for units in by_seed for unit in units]
    return 1e3 * sum(unit.seconds for unit in units) / max(1, sum(len(unit.images) for unit in units))

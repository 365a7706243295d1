"""From units to the numbers of a table: mean over classes, mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from inspector.evaluation.metrics import Metric, mean
from inspector.evaluation.unit_result import Setting, UnitResult


@dataclass(frozen=True, slots=True)
class Spread:
    """One number over the seeds. ``mean`` None has a ``reason``; ``std`` (n - 1) is None for a single seed.

    ``error_bound``: how far ``mean`` may be from the exact one, where pixels were counted in bins.
    """

    mean: float | None
    std: float | None = None
    seeds: int = 0
    reason: str | None = None
    error_bound: float = 0.0


@dataclass(frozen=True, slots=True)
class SettingSummary:
    """One dataset in one setting: each class, and the mean over its classes, by the metric's name."""

    setting: Setting
    classes: Mapping[str, Mapping[str, Spread]]
    mean: Mapping[str, Spread]


def summarise(units: Iterable[UnitResult]) -> tuple[SettingSummary, ...]:
    """Summarise the units of ONE dataset, one summary a setting: zero-shot, the shots by number, mutual."""
    by_setting: dict[Setting, list[UnitResult]] = {}
    for unit in units:
        by_setting.setdefault(unit.key.setting, []).append(unit)
    return tuple(_setting(setting, by_setting[setting]) for setting in sorted(by_setting, key=lambda s: s.order))


def spread(metrics: Sequence[Metric]) -> Spread:
    """Return mean and spread of one metric over the seeds that have it."""
    values = [metric.value for metric in metrics if metric.value is not None]
    reason = next((metric.reason for metric in metrics if metric.reason is not None), None)
    if not values:
        return Spread(None, reason=reason or "not measured")
    bound = max(metric.error_bound for metric in metrics)
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values), reason, bound)


def _setting(setting: Setting, units: Sequence[UnitResult]) -> SettingSummary:
    figures = [(unit.key, unit.figures) for unit in sorted(units, key=lambda u: (u.key.class_name, u.key.seed))]
    names = list(dict.fromkeys(name for _, found in figures for name in found))
    by_class: dict[str, list[Mapping[str, Metric]]] = {}
    by_seed: dict[int, dict[str, Mapping[str, Metric]]] = {}
    for key, found in figures:
        by_class.setdefault(key.class_name, []).append(found)
        by_seed.setdefault(key.seed, {})[key.class_name] = found
    classes = {
        class_name: {name: spread([found[name] for found in own if name in found]) for name in names}
        for class_name, own in by_class.items()
    }
    # The mean over classes first, for each seed: the spread is that of the number one would report.
    over_classes = {
        name: spread(
            [
                mean({class_name: found[name] for class_name, found in own.items() if name in found})
                for own in by_seed.values()
            ]
        )
        for name in names
    }
    return SettingSummary(setting, classes, over_classes)

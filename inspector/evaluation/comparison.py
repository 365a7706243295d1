"""A model beside its controls: the same figures of each, by setting, for each data set and as their mean.

A figure alone says nothing for training: on easy sets untrained or hand-made features find nearly everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from inspector.domain.errors import BadInputError
from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric, mean
from inspector.evaluation.summary import Spread, spread, summarise
from inspector.evaluation.unit_result import Setting, UnitResult

COMPARISON_SCHEMA = "inspection.comparison/1"
MODEL = "model"
"""The system that the others are controls of."""

METRICS = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "type_regions": "type of a given defect region right",
    "type_recall": "the same, mean over types",
}


@dataclass(frozen=True, slots=True)
class System:
    """One system in one setting: ``METRICS`` for each data set (mean over its classes), and the mean over the sets."""

    name: str
    setting: Setting
    datasets: Mapping[str, Mapping[str, Spread]]
    mean: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``systems``, the model's own first; ``chance``: how often guessing a region's type is right, by data set."""

    systems: tuple[System, ...]
    chance: Mapping[str, float]


def systems_of(name: str, units: Iterable[UnitResult]) -> list[System]:
    """Return one system from its units, in each setting that they were measured in.

    The spread of a mean over data sets is that of the mean, seed by seed, as one would report it.
    """
    by_setting: dict[Setting, dict[str, list[UnitResult]]] = {}
    for unit in units:
        by_setting.setdefault(unit.key.setting, {}).setdefault(unit.key.dataset, []).append(unit)
    return [
        System(
            name,
            setting,
            {dataset: _known(summarise(own)[0].mean) for dataset, own in datasets.items()},
            _known(_over_datasets(datasets)),
        )
        for setting, datasets in sorted(by_setting.items(), key=lambda item: item[0].order)
    ]


def chance_of(units: Iterable[UnitResult]) -> dict[str, float]:
    """Return 1 in K for each data set whose classes have K > 1 types, mean over classes."""
    types = {(unit.key.dataset, unit.key.class_name): len(unit.vocabulary) for unit in units}
    of_sets: dict[str, list[float]] = {}
    for (dataset, _), count in types.items():
        if count > 1:
            of_sets.setdefault(dataset, []).append(1 / count)
    return {dataset: fmean(shares) for dataset, shares in of_sets.items()}


def _over_datasets(datasets: Mapping[str, Sequence[UnitResult]]) -> dict[str, Spread]:
    by_seed: dict[int, dict[str, dict[str, UnitResult]]] = {}
    for dataset, units in datasets.items():
        for unit in units:
            by_seed.setdefault(unit.key.seed, {}).setdefault(dataset, {})[unit.key.class_name] = unit
    return {name: spread([_mean_of(name, own) for own in by_seed.values()]) for name in METRICS}


def _mean_of(metric: str, datasets: Mapping[str, Mapping[str, UnitResult]]) -> Metric:
    absent = Metric(None, "not measured")
    return mean(
        {
            dataset: mean({name: unit.metrics.get(metric, absent) for name, unit in classes.items()})
            for dataset, classes in datasets.items()
        }
    )


def _known(metrics: Mapping[str, Spread]) -> dict[str, Spread]:
    return {name: found for name in METRICS if (found := metrics.get(name)) is not None and found.mean is not None}


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Return it for JSON: of each system ``datasets.NAME.METRIC`` and ``mean.METRIC`` as {mean, std, seeds}."""
    return {
        "schema": COMPARISON_SCHEMA,
        "chance_of_type": dict(comparison.chance),
        "systems": [
            {
                "name": system.name,
                "setting": system.setting.label,
                "mode": system.setting.mode.value,
                "shots": system.setting.shots,
                "datasets": {name: _numbers(metrics) for name, metrics in system.datasets.items()},
                "mean": _numbers(system.mean),
            }
            for system in comparison.systems
        ],
    }


def from_document(document: Any) -> Comparison:
    """Return what ``to_document`` was given.

    Raises:
        BadInputError: the document is something else.
    """
    try:
        if document["schema"] != COMPARISON_SCHEMA:
            raise ValueError(document["schema"])
        systems = tuple(
            System(
                str(found["name"]),
                Setting(ScoreMode(found["mode"]), int(found["shots"])),
                {str(name): _spreads(metrics) for name, metrics in found["datasets"].items()},
                _spreads(found["mean"]),
            )
            for found in document["systems"]
        )
        return Comparison(systems, {str(name): float(x) for name, x in document["chance_of_type"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInputError(
            f"a comparison ({COMPARISON_SCHEMA})", f"{type(error).__name__}: {error}", "name a comparison.json"
        ) from error


def _numbers(metrics: Mapping[str, Spread]) -> dict[str, dict[str, float | int | None]]:
    return {name: {"mean": found.mean, "std": found.std, "seeds": found.seeds} for name, found in metrics.items()}


def _spreads(metrics: Any) -> dict[str, Spread]:
    return {
        name: Spread(float(found["mean"]), None if found["std"] is None else float(found["std"]), int(found["seeds"]))
        for name, found in metrics.items()
    }

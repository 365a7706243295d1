"""The files beside the report: ``metrics.json``, ``metrics.csv`` and ``scores.jsonl``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inspector.domain.result import ScoreMode
from inspector.evaluation.report.page import EvaluatedDataset
from inspector.evaluation.summary import SettingSummary, Spread, summarise
from inspector.evaluation.unit_result import UnitResult

METRICS_SCHEMA = "inspection.evaluation/1"

Document = dict[str, Any]


def metrics_document(about: Mapping[str, object], datasets: Sequence[EvaluatedDataset]) -> Document:
    """Return ``metrics.json``: ``about`` (model, weights, settings, versions), then each data set.

    ``datasets.NAME.classes.CLASS.METRIC`` and ``datasets.NAME.mean.METRIC`` are the zero-shot values, null where there
    is none; ``reasons`` beside them say why, ``error_bounds`` how far a value may be from the exact one. ``shots.K``
    and ``mutual`` have the same two keys with ``{mean, std, seeds}`` for each metric; ``std`` is null for one seed.
    Among the metrics are ``false_alarms`` and ``found``: shares of good and of defective images that the verdict called
    anomalous, null where no threshold was set beforehand. ``datasets.NAME.tuned_on`` is true where the weights were
    tuned on that data set.
    """
    return {"schema": METRICS_SCHEMA, **about, "datasets": {dataset.name: _dataset(dataset) for dataset in datasets}}


def _dataset(dataset: EvaluatedDataset) -> Document:
    document: Document = {
        "layout": dataset.layout,
        "licence": dataset.licence,
        "tuned_on": dataset.tuned_on,
        "images": _images(dataset.units),
        "classes": {},
        "mean": {},
        "shots": {},
    }
    for summary in summarise(dataset.units):
        if summary.setting.mode is ScoreMode.ZERO_SHOT:
            document |= _zero_shot(summary)
        elif summary.setting.mode is ScoreMode.BANK:
            document["shots"][str(summary.setting.shots)] = _spreads(summary)
        else:
            document["mutual"] = _spreads(summary)
    failures = dict.fromkeys(failure for unit in dataset.units for failure in unit.failures)
    document["failures"] = [asdict(failure) for failure in failures]
    return document


def _images(units: Sequence[UnitResult]) -> dict[str, dict[str, int]]:
    """Return test images of each class: how many were scored, how many are defective, how many of those undrawn."""
    files: dict[str, dict[str, bool]] = {}
    for unit in units:
        known = files.setdefault(unit.key.class_name, {})
        known.update({image.file: image.anomalous for image in unit.images})
    undrawn = {unit.key.class_name: unit.without_mask for unit in units if unit.images}
    return {
        name: {"images": len(known), "defective": sum(known.values()), "without_mask": undrawn.get(name, 0)}
        for name, known in files.items()
    }


def _zero_shot(summary: SettingSummary) -> Document:
    of_classes = {name: _values(metrics) for name, metrics in summary.classes.items()}
    return {"classes": of_classes, "mean": _values(summary.mean)}


def _values(metrics: Mapping[str, Spread]) -> Document:
    return {
        **{name: spread.mean for name, spread in metrics.items()},
        "reasons": {name: spread.reason for name, spread in metrics.items() if spread.reason is not None},
        "error_bounds": {name: spread.error_bound for name, spread in metrics.items() if spread.error_bound},
    }


def _spreads(summary: SettingSummary) -> Document:
    return {
        "classes": {name: _spread_values(metrics) for name, metrics in summary.classes.items()},
        "mean": _spread_values(summary.mean),
    }


def _spread_values(metrics: Mapping[str, Spread]) -> Document:
    return {
        **{name: {"mean": spread.mean, "std": spread.std, "seeds": spread.seeds} for name, spread in metrics.items()},
        "reasons": {name: spread.reason for name, spread in metrics.items() if spread.reason is not None},
        "error_bounds": {name: spread.error_bound for name, spread in metrics.items() if spread.error_bound},
    }


def metrics_csv(units: Sequence[UnitResult]) -> str:
    """Return one row a unit, metrics as in ``metrics_document``; one that does not exist is empty."""
    figures = [unit.figures for unit in units]
    names = list(dict.fromkeys(name for found in figures for name in found))
    text = io.StringIO()
    rows = csv.writer(text)
    limits = ("image_f1_max_threshold", "pixel_f1_max_threshold", "image_threshold_in_use")
    rows.writerow(["dataset", "class", "mode", "shots", "seed", "images", "failed", *names, *limits])
    for unit, found in zip(units, figures, strict=True):
        key, thresholds = unit.key, unit.thresholds
        values = [found[name].value if name in found else None for name in names]
        values += [thresholds.image_f1_max, thresholds.pixel_f1_max, thresholds.in_use]
        start = [key.dataset, key.class_name, key.mode.value, key.shots, key.seed, len(unit.images), len(unit.failures)]
        rows.writerow([*start, *("" if value is None else value for value in values)])
    return text.getvalue()


def scores_lines(units: Iterable[UnitResult]) -> str:
    """Return one JSON object a line: the recorded score of each image in each unit."""
    lines = []
    for unit in units:
        key = unit.key
        start = {
            "dataset": key.dataset,
            "class": key.class_name,
            "mode": key.mode.value,
            "shots": key.shots,
            "seed": key.seed,
        }
        lines += [json.dumps(start | asdict(image), ensure_ascii=False) for image in unit.images]
    return "".join(line + "\n" for line in lines)

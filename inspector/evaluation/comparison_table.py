"""A comparison as Markdown: a table a metric, in each setting the model first, then its controls, then its lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inspector.domain.result import ScoreMode
from inspector.evaluation.comparison import METRICS, MODEL, Comparison, System
from inspector.evaluation.summary import Spread
from inspector.evaluation.unit_result import Setting

_MISSING = "-"
_CHANCE = "guessing"
_LEAD = "lead over the best control"
# Types come from the text: one figure a set of weights, which the other settings would only repeat.
_OF_TEXT = ("type_regions", "type_recall")


def markdown(comparison: Comparison) -> str:
    """Return the tables, per cent: mean over the seeds, ± their standard deviation where there are several."""
    datasets = list(dict.fromkeys(name for system in comparison.systems for name in system.datasets))
    parts = [_table(comparison, metric, datasets) for metric in METRICS]
    return "\n".join(part for part in parts if part)


def _table(comparison: Comparison, metric: str, datasets: Sequence[str]) -> str:
    groups: dict[Setting, list[System]] = {}
    for system in comparison.systems:
        if metric in system.mean and (metric not in _OF_TEXT or system.setting.mode is ScoreMode.ZERO_SHOT):
            groups.setdefault(system.setting, []).append(system)
    if not groups:
        return ""
    rows = [_row(("setting", "system", *datasets, "mean")), "|" + "---|" * (3 + len(datasets))]
    for setting in sorted(groups, key=lambda s: s.order):
        rows += _group(setting, groups[setting], metric, datasets)
        if metric in _OF_TEXT and comparison.chance:
            rows.append(_row(("", _CHANCE, *_chance(comparison.chance, datasets))))
    return f"**{METRICS[metric]}**, per cent\n\n" + "\n".join(rows) + "\n"


def _group(setting: Setting, systems: Sequence[System], metric: str, datasets: Sequence[str]) -> list[str]:
    ordered = sorted(systems, key=lambda system: system.name != MODEL)  # stable: controls stay as they came
    rows = [
        _row((setting.label if not number else "", system.name, *map(_cell, _values(system, metric, datasets))))
        for number, system in enumerate(ordered)
    ]
    controls = [_values(system, metric, datasets) for system in ordered if system.name != MODEL]
    if ordered[0].name == MODEL and controls:
        own = _values(ordered[0], metric, datasets)
        rows.append(_row(("", _LEAD, *(_lead(o, others) for o, *others in zip(own, *controls, strict=True)))))
    return rows


def _values(system: System, metric: str, datasets: Sequence[str]) -> list[Spread | None]:
    return [*(system.datasets.get(name, {}).get(metric) for name in datasets), system.mean.get(metric)]


def _cell(value: Spread | None) -> str:
    if value is None or value.mean is None:
        return _MISSING
    return f"{100 * value.mean:.1f}" + ("" if value.std is None else f" ±{100 * value.std:.1f}")


def _lead(own: Spread | None, others: Sequence[Spread | None]) -> str:
    known = [other.mean for other in others if other is not None and other.mean is not None]
    return _MISSING if own is None or own.mean is None or not known else f"{100 * (own.mean - max(known)):+.1f}"


def _chance(chance: Mapping[str, float], datasets: Sequence[str]) -> list[str]:
    known = [chance[name] for name in datasets if name in chance]
    shown = [f"{100 * chance[name]:.1f}" if name in chance else _MISSING for name in datasets]
    return [*shown, f"{100 * sum(known) / len(known):.1f}"]


def _row(cells: Sequence[str]) -> str:
    # A name with a bar in it would open another column.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

"""``inspector metrics``: every metric that the service exports."""

from __future__ import annotations

from dataclasses import asdict

from inspector.apps import console
from inspector.domain.metrics import LABELS, METRICS, OTHER, Label, Metric, Part

_EVERY_PART = tuple(Part)


def show(as_json: bool, as_markdown: bool) -> None:
    """Print the list, for people, machines, or a README."""
    if as_json:
        console.print_json(
            {"metrics": [asdict(each) for each in METRICS], "labels": [asdict(e) for e in LABELS.values()]}
        )
    elif as_markdown:
        print(markdown())
    else:
        made = console.table("metric", "kind", "of", "what")
        for each in METRICS:
            made.add_row(console.cell(_name(each)), each.kind.value, _parts(each), console.cell(each.meaning))
        console.print_table(made)


def markdown() -> str:
    """Return the list as two tables: metrics, and what their labels may be."""
    rows = [f"| `{_name(each)}` | {_parts(each)} | {each.kind.value} | {each.meaning} |" for each in METRICS]
    labels = [f"| `{each.name}` | {each.meaning} | {_values(each)} |" for each in LABELS.values()]
    return "\n".join(
        [
            "| metric | of | kind | what |",
            "|---|---|---|---|",
            *rows,
            "",
            "| label | what | values |",
            "|---|---|---|",
            *labels,
        ]
    )


def _name(metric: Metric) -> str:
    return f"{metric.name}{{{','.join(metric.labels)}}}" if metric.labels else metric.name


def _parts(metric: Metric) -> str:
    return "all" if metric.parts == _EVERY_PART else ", ".join(part.value for part in metric.parts)


def _values(label: Label) -> str:
    if label.values:
        return ", ".join(f"`{value}`" for value in label.values)
    return f"at most `{label.bound}`, then `{OTHER}`" if label.bound.startswith("metrics.") else label.bound

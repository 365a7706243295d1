"""Published figures that stand beside ours: of the same dataset only, and marked as not run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One method's figures, 0..1, by the metric's name."""

    method: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Published:
    """What was published for one dataset, with weights tuned on ``trained_on``."""

    name: str
    trained_on: str
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, slots=True)
class Literature:
    """All of it: where the figures come from, and what is claimed without a table."""

    sources: tuple[str, ...]
    claims: tuple[str, ...]


def published_of(layout: str, classes: int) -> Published | None:
    """Return the figures of the data set with this layout, if so many classes are all it has."""
    entry = _document()["datasets"].get(layout)
    if entry is None or entry["classes"] != classes:
        return None
    rows = tuple(
        PublishedRow(method, {name: value / 100 for name, value in figures.items()})
        for method, figures in entry["rows"].items()
    )
    return Published(entry["title"], entry["trained_on"], rows)


def literature() -> Literature:
    """Return sources and claims."""
    document = _document()
    return Literature(tuple(document["sources"]), tuple(document["claims"]))


@cache
def _document() -> dict[str, Any]:
    text = files("inspector.evaluation.report").joinpath("published.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document

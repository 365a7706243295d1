"""One class in one setting: its scores, thresholds, confusion and examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from inspector.domain.result import PredLabel, ScoreMode
from inspector.evaluation.report import svg
from inspector.evaluation.unit_result import Confusion, Example, ScoredImage, UnitResult

GOOD = "good"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a threshold makes of the recorded scores; ``value`` None where it moved from image to image."""

    name: str
    why: str
    value: float | None
    false_alarms: int
    good: int
    missed: int
    defective: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """One true label: its counts, and the shade (0..9) of each as a share of the row."""

    label: str
    cells: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """What stands in one panel.

    ``scores_json`` is read by the slider: the histogram's range, each score and its group; ``start`` is where it stands
    first.
    """

    anchor: str
    label: str
    images: int
    histogram: Markup
    thresholds: tuple[Counted, ...]
    groups: tuple[str, ...]
    scores_json: Markup
    confusion: Confusion | None
    confusion_rows: tuple[ConfusionRow, ...]
    examples: tuple[tuple[str, tuple[Example, ...]], ...]
    method: str
    shots_used: tuple[str, ...]
    seed: int
    start: str
    without_mask: int


def panel_of(unit: UnitResult, anchor: str) -> Panel:
    """Work out the panel of one unit."""
    normal = [image.raw_score for image in unit.images if not image.anomalous]
    defective = [image.raw_score for image in unit.images if image.anomalous]
    histogram, frame = svg.histogram(normal, defective)
    groups = sorted({_group(image) for image in unit.images if image.anomalous})
    return Panel(
        anchor=anchor,
        label=unit.key.setting.label,
        images=len(unit.images),
        histogram=histogram,
        thresholds=tuple(_thresholds(unit)),
        groups=tuple(groups),
        scores_json=_scores_json(unit.images, groups, frame),
        confusion=unit.confusion,
        confusion_rows=() if unit.confusion is None else _confusion_rows(unit.confusion),
        examples=tuple(
            (group, tuple(example for example in unit.examples if example.group == group))
            for group in ("best", "median", "worst")
            if any(example.group == group for example in unit.examples)
        ),
        method=unit.method,
        shots_used=unit.shots_used,
        seed=unit.key.seed,
        start="" if unit.thresholds.image_f1_max is None else repr(unit.thresholds.image_f1_max),
        without_mask=unit.without_mask,
    )


def counted(images: Sequence[ScoredImage], name: str, why: str, threshold: float | None) -> Counted:
    """Count what ``raw_score >= threshold`` makes of these images; None counts the verdicts as they were given."""
    alarm = [
        image.label == PredLabel.ANOMALOUS.value if threshold is None else image.raw_score >= threshold
        for image in images
    ]
    hits = sum(a and image.anomalous for a, image in zip(alarm, images, strict=True))
    defective, alarms = sum(image.anomalous for image in images), sum(alarm)
    false_alarms = alarms - hits
    return Counted(
        name=name,
        why=why,
        value=threshold,
        false_alarms=false_alarms,
        good=len(images) - defective,
        missed=defective - hits,
        defective=defective,
        precision=hits / alarms if alarms else None,
        recall=hits / defective if defective else None,
    )


def _thresholds(unit: UnitResult) -> list[Counted]:
    given = [
        ("F1-max", "the best F1 on these very images: an upper bound, not a setting", unit.thresholds.image_f1_max),
        ("in use", unit.thresholds.source, unit.thresholds.in_use),
    ]
    # A stream's threshold moves with it: what it made of each image is in the verdicts alone.
    moving = unit.key.mode is ScoreMode.MUTUAL
    return [
        counted(unit.images, name, why, value)
        for name, why, value in given
        if value is not None or (moving and name == "in use" and unit.images)
    ]


def _group(image: ScoredImage) -> str:
    return " + ".join(image.types) or ("defective" if image.anomalous else GOOD)


def _scores_json(images: Sequence[ScoredImage], groups: Sequence[str], frame: svg.Frame) -> Markup:
    place = {group: index for index, group in enumerate(groups)}
    left, _, right, _ = frame.plot
    document = {
        "low": frame.x_low,
        "high": frame.x_high,
        "left": left,
        "right": right,
        "groups": list(groups),
        # Not rounded: a threshold is one of them, and counts what reaches it.
        "scores": [image.raw_score for image in images],
        "truth": [place[_group(image)] if image.anomalous else -1 for image in images],
    }
    # A script element ends at the first "</": none can be inside. Group names come from folders.
    text = json.dumps(document, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 -- escaped


def _confusion_rows(confusion: Confusion) -> tuple[ConfusionRow, ...]:
    rows = []
    for label, counts in zip(confusion.labels, confusion.counts, strict=True):
        total = max(sum(counts), 1)
        rows.append(ConfusionRow(label, tuple((count, min(9, count * 10 // total)) for count in counts)))
    return tuple(rows)

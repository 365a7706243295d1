"""The report's head, its file, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspector.apps.evaluate.earlier import MISTAKES_FILE
from inspector.evaluation.report.mistakes import mistakes_picture, worst_mistakes
from inspector.evaluation.report.page import EvaluatedDataset, Evaluation, Fact
from inspector.evaluation.report.render import render
from inspector.evaluation.unit_result import Setting, UnitResult
from inspector.files import write_whole

_UNTRAINED = (
    "The text side is untrained: zero-shot scores and defect types mean nothing here. Scores of k-shot and mutual"
    " settings do not need it."
)


def write_report(path: Path, about: Mapping[str, Any], datasets: Sequence[EvaluatedDataset]) -> None:
    """Write ``report.html``; ``about`` as in ``metrics.json``."""
    failures = {
        (unit.key.dataset, failure.file) for dataset in datasets for unit in dataset.units for failure in unit.failures
    }
    warnings = [] if about["trained"] else [_UNTRAINED]
    if failures:
        warnings.append(f"{len(failures)} files could not be used and are in none of the figures; each is named below.")
    page = render(Evaluation(tuple(_facts(about, datasets)), tuple(datasets), tuple(warnings)))
    write_whole(path, page.encode("utf-8", "replace"))


def write_mistakes(out: Path, units: Sequence[UnitResult]) -> list[Path]:
    """Write the worst mistakes of each setting below ``out``, a picture each, and return where they are."""
    by_setting: dict[Setting, list[UnitResult]] = {}
    for unit in units:
        by_setting.setdefault(unit.key.setting, []).append(unit)
    written = []
    for setting in sorted(by_setting, key=lambda setting: setting.order):
        if mistakes := worst_mistakes(by_setting[setting]):
            written.append(out / MISTAKES_FILE.format(setting.label))
            write_whole(written[-1], mistakes_picture(mistakes))
    return written


def _facts(about: Mapping[str, Any], datasets: Sequence[EvaluatedDataset]) -> list[Fact]:
    settings = about["settings"]
    side = settings["image_size_px"]
    masks = {
        "model": f"resized to the model's {side} px, thresholded at 0.5 after resizing",
        "full": "at their full resolution; score maps are upsampled to them",
    }
    seeds = {unit.key.seed for dataset in datasets for unit in dataset.units}
    kind = "trained" if about["trained"] else "untrained"
    text = settings["text_mode"]
    return [
        Fact("Model", f"{about['model']} ({about['pretrained']}) at {side} px, {settings['precision']}, {text} text"),
        Fact("Prompt weights", f"{about['weights_version'][:12]}, {kind}"),
        Fact("Masks", masks[settings["resolution"]]),
        Fact("The part is called", "object" if settings["object_word"] == "object" else "by its class's name"),
        Fact("False alarms aimed at", f"{100 * settings['false_alarm_rate']:g} % of good images"),
        Fact("Seeds", str(len(seeds))),
        Fact("Made with", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        Fact("Made at", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]

"""Rows of an ablation, worked out from units that are made up here."""

from __future__ import annotations

import pytest

from inspector.apps.ablate.summary import rows_of
from inspector.apps.ablate.variants import VARIANTS
from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric
from inspector.evaluation.unit_result import ScoredImage, Thresholds, UnitKey, UnitResult

DEFAULT, FEW = (next(variant for variant in VARIANTS if variant.id == name) for name in ("bank/default", "bank/4-shot"))


def unit(class_name: str, auroc: float | None, images: int = 4) -> UnitResult:
    scored = tuple(
        ScoredImage(f"{number}.png", (), bool(number % 2), 0.5, 0.5, "normal", "dent") for number in range(images)
    )
    metric = Metric(auroc, None if auroc is not None else "10 normal training images, 16 are asked for")
    return UnitResult(
        key=UnitKey("parts", class_name, ScoreMode.BANK, 4),
        fingerprint="",
        vocabulary=("dent",),
        metrics={"image_auroc": metric},
        thresholds=Thresholds(None, None, None, ""),
        method="exact",
        images=scored,
        seconds=2.0,
    )


def test_a_class_that_only_one_side_could_measure_is_no_change() -> None:
    """A hard class with too few images for the default must not make fewer shots look worse."""
    default = [[unit("easy", 0.9), unit("hard", None, images=0)]]
    few = [[unit("easy", 0.95), unit("hard", 0.3)]]
    first, second = rows_of({DEFAULT: default, FEW: few})
    assert first.values["image_auroc"].mean == 0.9
    assert second.values["image_auroc"].mean == pytest.approx((0.95 + 0.3) / 2)
    assert second.change["image_auroc"].mean == pytest.approx(0.05)
    assert first.missing["image_auroc"].startswith("hard: 10 normal"), "a mean says which classes it lacks"


def test_time_an_image_counts_units_with_images_only() -> None:
    (row,) = rows_of({DEFAULT: [[unit("easy", 0.9, images=4), unit("hard", None, images=0)]]})
    assert row.ms_per_image == 500
    (row,) = rows_of({DEFAULT: [[unit("hard", None, images=0)]]})
    assert row.ms_per_image is None

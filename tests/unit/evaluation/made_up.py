"""Units as an evaluation would leave them, made up: scores drawn from two normal distributions, pictures of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric
from inspector.evaluation.report.page import EvaluatedDataset, Evaluation, Fact
from inspector.evaluation.report.pictures import found_picture, truth_picture
from inspector.evaluation.unit_result import (
    Confusion,
    Example,
    FailedImage,
    FoundRegion,
    ScoredImage,
    Thresholds,
    UnitKey,
    UnitResult,
)


def unit(
    class_name: str = "plate",
    mode: ScoreMode = ScoreMode.ZERO_SHOT,
    shots: int = 0,
    seed: int = 0,
    types: tuple[str, ...] = ("scratch", "dent"),
    dataset: str = "parts",
) -> UnitResult:
    rng = np.random.default_rng([seed, shots])
    images = tuple(
        ScoredImage(
            file=f"test/{kind}/{number:03}.png",
            types=() if kind == "good" else (kind,),
            anomalous=kind != "good",
            raw_score=float(score),
            score=0.5,
            label="normal",
            predicted_type=types[number % len(types)],
            regions=(FoundRegion(types[0], 120),),
        )
        for kind in ("good", *types)
        for number, score in enumerate(rng.normal(0.0 if kind == "good" else 1.0 + 0.2 * shots, 1, 20))
    )
    auroc = 0.7 + 0.01 * shots + 0.005 * seed
    return UnitResult(
        key=UnitKey(dataset, class_name, mode, shots, seed),
        fingerprint="f" * 64,
        vocabulary=types,
        metrics={
            "image_auroc": Metric(auroc),
            "image_ap": Metric(auroc + 0.1),
            "pixel_auroc": Metric(auroc + 0.05, error_bound=0.001),
            "aupro": Metric(None, "no mask"),
        },
        thresholds=Thresholds(0.6, 0.5, 0.9, "calibrated on 32 normal images"),
        method="exact",
        images=images,
        failures=(FailedImage("test/dent/broken.png", "not an image"),),
        confusion=Confusion(
            ("good", *types), tuple(tuple(range(1 + len(types))) for _ in range(1 + len(types))), "regions"
        ),
        roc=((0, 0), (0.2, auroc), (1, 1)),
        pro=((0, 0), (0.3, 0.6)),
        examples=tuple(_example(group, types[0]) for group in ("best", "median", "worst")),  # type: ignore[arg-type]  # literals
    )


def evaluation(*units: UnitResult, layout: str = "mvtec") -> Evaluation:
    by_dataset: dict[str, list[UnitResult]] = {}
    for one in units:
        by_dataset.setdefault(one.key.dataset, []).append(one)
    datasets = tuple(
        EvaluatedDataset(name, layout, None, tuple(sorted({u.key.class_name for u in own})), tuple(own))
        for name, own in by_dataset.items()
    )
    return Evaluation((Fact("model", "tiny at 64 px"),), datasets, ("untrained",))


def hostile(one: UnitResult, name: str) -> UnitResult:
    """The same unit, with ``name`` wherever a name comes from a folder."""
    images = tuple(replace(image, file=name, types=(name,) if image.anomalous else ()) for image in one.images)
    assert one.confusion is not None
    return replace(
        one,
        key=replace(one.key, class_name=name, dataset=name),
        images=images,
        failures=(FailedImage(name, name),),
        confusion=replace(one.confusion, labels=(name,) * len(one.confusion.labels)),
        examples=tuple(replace(e, file=name, types=(name,), predicted_type=name) for e in one.examples),
        shots_used=(name,),
    )


def _example(group: str, defect: str) -> Example:
    rng = np.random.default_rng(len(group))
    pixels = rng.integers(80, 120, (48, 64, 3), dtype=np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:30] = 1
    scores = rng.random((16, 16), dtype=np.float32)
    return Example(
        group,  # type: ignore[arg-type]  # one of the three literals
        f"test/{defect}/000.png",
        (defect,),
        0.7,
        defect,
        64 / 48,
        truth_picture(pixels, mask),
        found_picture(pixels, scores, 0, 1, 0.9),
    )

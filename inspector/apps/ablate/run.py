"""``inspector ablate``: what each ingredient is worth, over several seeds, on the user's own data."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.apps import console, model_wiring
from inspector.apps.ablate.summary import FIGURES, Estimate, Row, rows_of
from inspector.apps.ablate.table import print_rows
from inspector.apps.ablate.variants import Variant, chosen
from inspector.apps.ablate.weights import Tuning, WeightsShelf
from inspector.apps.evaluate.plan import Asked, classes_of
from inspector.apps.evaluate.run import INTERRUPTED, complain_of, open_all
from inspector.apps.evaluate.session import Session, StoppedError
from inspector.apps.evaluate.steps import Steps
from inspector.apps.stopping import stop_event
from inspector.apps.train_progress import TrainingProgress
from inspector.datasets.opening import open_dataset
from inspector.datasets.sample import Dataset
from inspector.domain.result import ScoreMode
from inspector.domain.weights import WeightsManifest
from inspector.evaluation.report.page import TUNED_ON
from inspector.evaluation.unit_result import UnitResult
from inspector.files import write_whole
from inspector.settings import Settings
from inspector.settings.products import ProductEntry
from inspector.settings.sections import ScoringSection
from inspector.training.options import TrainingStoppedError

ABLATION_SCHEMA = "inspection.ablation/1"


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure on, with what weights, and where to put it. ``tuning`` None takes the weights as they are."""

    paths: tuple[Path, ...]
    out: Path
    seeds: int = 3
    only: tuple[str, ...] | None = None
    tuning: Tuning | None = None
    classes: tuple[str, ...] | None = None
    layout: str | None = None
    vocabulary: Path | None = None
    as_json: bool = False


def run(settings: Settings, request: Request) -> int:
    """Measure each variant with each seed; return 0, or 130 where it was interrupted: a later run goes on from there.

    Raises:
        BadInputError: no data set, an unknown row, unusable weights, or images that could not be used (all else is
            written then).
        OSError: the output folder cannot be written.
    """
    datasets = open_all(request.paths, request.layout, request.vocabulary)
    variants = chosen(request.only, with_training=request.tuning is not None)
    for dataset in datasets:
        classes_of(dataset, Asked(classes=request.classes))
    if request.tuning is None:
        _remark_on(model_wiring.prompt_weights(settings)[1], datasets)
    if _built_in(settings) != settings.scoring:
        console.remark("scoring.* of the settings is left aside: each row says how it scores", "yellow")
    leaked = _tuned_on(request, datasets)
    if leaked:
        console.remark(
            f"{leaked} of the test images are also tuned on: rows of zero-shot and training show what was learnt by "
            "heart; measure on other data than --train",
            "yellow",
        )
    measured: dict[Variant, list[Sequence[UnitResult]]] = {variant: [] for variant in variants}
    repeated = sum(_varies(settings, request, variant) for variant in variants)
    steps = Steps(len(variants) + repeated * (request.seeds - 1))
    with stop_event() as stop:
        try:
            # Seed by seed: whoever stops early has every row, with fewer seeds.
            for seed in range(request.seeds):
                for number, variant in enumerate(variants, 1):
                    if seed and not _varies(settings, request, variant):
                        continue
                    title = f"row {number} of {len(variants)}, seed {seed + 1} of {request.seeds}: {variant.id}"
                    steps.begin(title)
                    session = _session(settings, request, datasets, variant, seed, stop, title)
                    if len(session.units) == len(session.keys):
                        steps.was_there()
                    session.measure_missing(stop)
                    measured[variant].append(session.units)
        except (StoppedError, TrainingStoppedError):
            console.remark(f"interrupted: what is done is kept in {request.out}; run again to go on", "yellow")
            return INTERRUPTED
    rows = rows_of(measured)
    _write(rows, request, leaked)
    complain_of([unit for by_seed in measured.values() for units in by_seed for unit in units])
    return 0


def _remark_on(weights: WeightsManifest, datasets: Sequence[Dataset]) -> None:
    """Say before the work what figures with these weights will not say."""
    if not weights.trained:
        console.remark(model_wiring.UNTRAINED, "yellow")
    for dataset in datasets:
        if dataset.name in weights.tuned_on:
            console.remark(f"{dataset.name}: {TUNED_ON}", "yellow")


def _varies(settings: Settings, request: Request, variant: Variant) -> bool:
    """Tell whether a seed changes anything: given weights score without a reference always alike.

    Repeats would have no spread, and a spread of zero makes any change look certain.
    """
    fresh = model_wiring.weights_file(settings) is None
    return variant.mode is not ScoreMode.ZERO_SHOT or request.tuning is not None or fresh


def _tuned_on(request: Request, datasets: Sequence[Dataset]) -> int:
    """Return how many of the test images that are measured are also among those that weights are tuned on."""
    if request.tuning is None:
        return 0
    tuned = {sample.image.resolve() for path in request.tuning.datasets for sample in open_dataset(path).samples}
    return sum(
        sample.image.resolve() in tuned
        for dataset in datasets
        for sample in dataset.samples
        if sample.split == "test" and (request.classes is None or sample.class_name in request.classes)
    )


def _built_in(settings: Settings) -> ScoringSection:
    """Return the scoring that rows start from: what they say of it is then true whatever the user's settings say."""
    return ScoringSection(mutual_memory_mb=settings.scoring.mutual_memory_mb)


def _session(
    settings: Settings,
    request: Request,
    datasets: Sequence[Dataset],
    variant: Variant,
    seed: int,
    stop: threading.Event,
    title: str,
) -> Session:
    """Return the session of one row and seed, what an earlier run measured taken up."""
    with TrainingProgress(enabled=True) as progress:
        changed = _changed(settings, request, variant, seed, stop, progress)
    asked = Asked(
        shots=() if variant.mode is ScoreMode.MUTUAL else (variant.shots,),
        mutual=variant.mode is ScoreMode.MUTUAL,
        seeds=1,
        first_seed=seed,
        classes=request.classes,
        object_word=variant.object_word,
    )
    folder = request.out / "units" / variant.group / variant.name / f"seed{seed}"
    session = Session(changed, datasets, asked, folder, title=f"{title}: ", examples=False)
    session.take_up()
    return session


def _changed(
    settings: Settings,
    request: Request,
    variant: Variant,
    seed: int,
    stop: threading.Event,
    progress: TrainingProgress,
) -> Settings:
    """Return the settings of one variant and seed, its weights made where there are none."""
    default = settings.products.get("default", ProductEntry.model_validate({})).model_copy(
        update={"tiles": variant.tiles}
    )
    model: dict[str, object] = {}
    if request.tuning is not None:
        shelf = WeightsShelf(settings, request.tuning, request.out / "weights", stop, progress.step)
        model = {"weights": shelf.file(variant.recipe, seed), "text_mode": None}
    elif model_wiring.weights_file(settings) is None:
        model = {"seed": settings.model.seed + seed}  # untrained: each seed has frozen weights of its own
    aim = {} if variant.false_alarm_rate is None else {"false_alarm_rate": variant.false_alarm_rate}
    return settings.model_copy(
        update={
            "scoring": _built_in(settings).model_copy(update=dict(variant.scoring)),
            "products": {**settings.products, "default": default},
            "calibration": settings.calibration.model_copy(update=aim),
            "model": settings.model.model_copy(update=model),
        }
    )


def _write(rows: Sequence[Row], request: Request, leaked: int) -> None:
    document = {
        "schema": ABLATION_SCHEMA,
        "seeds": request.seeds,
        "test_images_tuned_on": leaked,
        "rows": [_document(row) for row in rows],
    }
    request.out.mkdir(parents=True, exist_ok=True)
    write_whole(request.out / "ablation.json", (json.dumps(document, indent=1) + "\n").encode())
    write_whole(request.out / "ablation.csv", _csv(rows).encode())
    if request.as_json:
        console.print_json(document)
    else:
        print_rows(rows)


def _document(row: Row) -> dict[str, object]:
    variant = row.variant
    return {
        "row": variant.id,
        "what": variant.what,
        "seeds": row.seeds,
        "values": _numbers(row.values),
        "change": _numbers(row.change),
        "missing": dict(row.missing),
        "ms_per_image": row.ms_per_image,
    }


def _numbers(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: {"mean": found.mean, "std": found.std} for name, found in estimates.items()}


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["group", "row", "seeds", *FIGURES, *(f"{name}_std" for name in FIGURES), "ms_per_image"])
    for row in rows:
        found = [row.values.get(name) for name in FIGURES]
        means = ["" if value is None else value.mean for value in found]
        spreads = ["" if value is None or value.std is None else value.std for value in found]
        table.writerow([row.variant.group, row.variant.name, row.seeds, *means, *spreads, row.ms_per_image])
    return text.getvalue()

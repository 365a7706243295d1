"""``inspector evaluate``: measure the units that are not there yet, write what they say together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.apps import console, model_wiring
from inspector.apps.evaluate import documents
from inspector.apps.evaluate.controls import compared, measure_controls, read_beside
from inspector.apps.evaluate.earlier import (
    COMPARISON_FILE,
    COMPARISON_TABLE,
    METRICS_FILE,
    REPORT_FILE,
    SCORES_FILE,
    TABLE_FILE,
    UNITS_FOLDER,
    refuse_another,
    remove,
)
from inspector.apps.evaluate.plan import Asked, classes_of
from inspector.apps.evaluate.report import write_mistakes, write_report
from inspector.apps.evaluate.session import Session, StoppedError
from inspector.apps.evaluate.table import print_tables
from inspector.apps.stopping import stop_event
from inspector.datasets.opening import open_dataset
from inspector.datasets.sample import Dataset
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.evaluation.comparison import Comparison, System, to_document
from inspector.evaluation.comparison_table import markdown
from inspector.evaluation.report.page import TUNED_ON, EvaluatedDataset
from inspector.evaluation.unit_result import UnitResult
from inspector.files import write_whole
from inspector.settings import Settings

INTERRUPTED = 130  # as a shell reports a process that Ctrl-C ended


@dataclass(frozen=True, slots=True)
class Request:
    """What to evaluate and where to put it. ``beside``: comparisons of others, to be shown with this one."""

    paths: tuple[Path, ...]
    asked: Asked
    out: Path
    layout: str | None = None
    vocabulary: Path | None = None
    as_json: bool = False
    restart: bool = False
    controls: bool = False
    beside: tuple[Path, ...] = ()


def run(settings: Settings, request: Request) -> int:
    """Evaluate; return 0, or 130 where it was interrupted: finished units are kept, and a later run goes on from them.

    Raises:
        BadInputError: no data set, an unusable model, a report of other weights or settings in the way, a file beside
            that is no comparison, or images that could not be used (all else is written then).
        OSError: the output folder cannot be written.
    """
    datasets = open_all(request.paths, request.layout, request.vocabulary)
    beside = [read_beside(path) for path in request.beside]
    controls: list[System] = []
    with stop_event() as stop:
        session = Session(settings, datasets, request.asked, request.out / UNITS_FOLDER)
        if request.restart:
            remove(request.out)
        refuse_another(request.out, session.about)
        session.take_up()
        if session.units:
            console.remark(f"{len(session.units)} of {len(session.keys)} units are there from an earlier run")
        _remark_on(session, datasets, request.asked)
        try:
            session.measure_missing(stop)
            if request.controls:
                controls = measure_controls(settings, datasets, request.asked, request.out, stop)
        except StoppedError:
            done = f"{len(session.units)} of {len(session.keys)} units are kept in {request.out}"
            console.remark(f"interrupted: {done}; run again to go on", "yellow")
            return INTERRUPTED
    comparison = compared(session.units, controls, beside) if controls or beside else None
    _write(session, datasets, request, comparison)
    complain_of(session.units)
    return 0


def _remark_on(session: Session, datasets: Sequence[Dataset], asked: Asked) -> None:
    """Say before the work what its figures will not say, or will not be."""
    if not session.trained:
        console.remark(model_wiring.UNTRAINED, "yellow")
    for name in session.tuned_on:
        console.remark(f"{name}: {TUNED_ON}", "yellow")
    for dataset in datasets:
        for name in classes_of(dataset, asked):
            normal = sum(s.split == "train" and not s.anomalous for s in dataset.of_class(name))
            if short := [shots for shots in asked.shots if shots > normal]:
                which = ", ".join(f"{shots}-shot" for shots in sorted(short))
                console.remark(f"{dataset.name}, {name}: no {which}: {normal} good images for training (train/good)")


def complain_of(units: Sequence[UnitResult]) -> None:
    """Name what could not be used, now that all else is written.

    Raises:
        BadInputError: some images or masks could not.
    """
    failed = {(unit.key.dataset, failure) for unit in units for failure in unit.failures}
    if failed:
        first = min(f"{failure.file} of {dataset}: {failure.reason}" for dataset, failure in failed)
        raise BadInputError(
            "images and masks that can be used",
            f"{len(failed)} that cannot, the first {first}",
            "mend or remove them",
        )


def open_all(paths: Sequence[Path], layout: str | None, vocabulary: Path | None) -> tuple[Dataset, ...]:
    """Return the data sets in these folders, ``vocabulary`` being the user's file of synonyms.

    Raises:
        BadInputError: as ``open_dataset``, or two have one name.
    """
    synonyms = None if vocabulary is None else Synonyms.load(vocabulary)
    datasets = tuple(open_dataset(path, layout, synonyms) for path in paths)
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names):
        raise BadInputError("data sets of different names", ", ".join(names), "rename a folder, or run them apart")
    return datasets


def _write(session: Session, datasets: Sequence[Dataset], request: Request, comparison: Comparison | None) -> None:
    """Write what the units say together, and print it."""
    evaluated = [
        EvaluatedDataset(
            dataset.name,
            dataset.layout,
            dataset.licence,
            classes_of(dataset, request.asked),
            tuple(unit for unit in session.units if unit.key.dataset == dataset.name),
            tuned_on=dataset.name in session.tuned_on,
        )
        for dataset in datasets
    ]
    document = documents.metrics_document(session.about, evaluated)
    write_whole(request.out / METRICS_FILE, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(request.out / TABLE_FILE, documents.metrics_csv(session.units).encode())
    write_whole(request.out / SCORES_FILE, documents.scores_lines(session.units).encode())
    write_report(request.out / REPORT_FILE, session.about, evaluated)
    pictures = write_mistakes(request.out, session.units)
    table = ""
    if comparison is not None:
        document |= {"comparison": to_document(comparison)}
        table = markdown(comparison)
        about = dict(session.about)
        write_whole(
            request.out / COMPARISON_FILE, (json.dumps(about | document["comparison"], indent=1) + "\n").encode()
        )
        write_whole(request.out / COMPARISON_TABLE, table.encode())
    if request.as_json:
        console.print_json(document)
    else:
        print_tables(evaluated)
        console.lines(table.splitlines())
        console.lines([*(f"worst mistakes: {picture}" for picture in pictures), f"report: {request.out / REPORT_FILE}"])

"""The units of a run: those of an earlier run are taken up, the others measured, each on disk as soon as it is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from inspector import __version__
from inspector.apps import console, model_wiring
from inspector.apps.evaluate.files import UnitStore
from inspector.apps.evaluate.plan import (
    Asked,
    file_states,
    fingerprint,
    named_types,
    product_name,
    product_of,
    stream_of,
    units_of,
)
from inspector.apps.evaluate.steps import Steps
from inspector.apps.evaluate.unit import Job, Measured, measure
from inspector.datasets.sample import GOOD, Dataset
from inspector.domain.product import ProductSettings
from inspector.domain.result import ScoreMode
from inspector.evaluation.confusion import COUNTED
from inspector.evaluation.unit_result import Confusion, UnitKey, UnitResult
from inspector.settings import Settings

# All examples of a report; each takes about 25 kB of it.
_EXAMPLES = 200
_MOST_EXAMPLES = 5  # and ten of the worst
_GROUPS = 4  # best, median, and the worst of both kinds


class StoppedError(Exception):
    """Told to stop before all units were measured."""


class Session:
    """One run's plan and its units.

    ``folder`` is where units are kept. ``title`` stands beside the progress bar; where there is no bar, whoever gives
    it says how far the work is.
    """

    def __init__(
        self,
        settings: Settings,
        datasets: Sequence[Dataset],
        asked: Asked,
        folder: Path,
        *,
        title: str = "",
        examples: bool = True,
    ) -> None:
        """Plan the run and load the weights. Raises as ``plan.units_of`` and ``model_wiring.prompt_weights``."""
        self._settings = settings
        self._asked = asked
        self._title = title
        self._examples = examples
        self._datasets = {dataset.name: dataset for dataset in datasets}
        self.keys = [key for dataset in datasets for key in units_of(dataset, asked)]
        self.units: list[UnitResult] = []
        default = settings.domain_products()["default"]
        self._products: dict[str, ProductSettings] = {
            product_name(key): product_of(self._datasets[key.dataset], key.class_name, default, asked)
            for key in self.keys
        }
        folder.mkdir(parents=True, exist_ok=True)  # before the work: a wrong name should not cost hours
        self._store = UnitStore(folder)
        with console.status("loading the weights"):
            self._weights, self._manifest = model_wiring.prompt_weights(settings)

    @property
    def about(self) -> Mapping[str, object]:
        """What the numbers hang on, besides the data set: written beside them, and part of each fingerprint."""
        import torch

        model = model_wiring.model_spec(self._settings)
        return {
            "model": self._manifest.model,
            "pretrained": self._manifest.pretrained,
            "weights_version": self._manifest.version,
            "trained": self._manifest.trained,
            "settings": {
                "image_size_px": self._manifest.image_size_px,
                "precision": model.precision,
                "engine": model.engine,
                "device": model.device,
                "text_mode": self._manifest.text_mode,
                "region_types": model_wiring.region_types_id(self._settings, self._manifest),
                "resolution": self._asked.resolution,
                "object_word": self._asked.object_word,
                "false_alarm_rate": self._settings.calibration.false_alarm_rate,
                "scoring": self._settings.scoring.model_dump(),
                # Which images are refused hangs on them.
                "limits": self._settings.limits.model_dump(include={"max_frame_bytes", "max_frame_pixels"}),
            },
            "versions": {"inspector": __version__, "torch": torch.__version__},
        }

    @property
    def trained(self) -> bool:
        """Whether the text side means anything."""
        return self._manifest.trained

    @property
    def tuned_on(self) -> tuple[str, ...]:
        """Names of the data sets measured that the weights were tuned on."""
        return tuple(name for name in self._datasets if name in self._manifest.tuned_on)

    def take_up(self) -> None:
        """Take the units of an earlier run that was made from the same into ``units``."""
        known = (self._store.load(key, mark) for key, mark in self._marks.items())
        self.units = [unit for unit in known if unit is not None]

    def measure_missing(self, stop: threading.Event) -> None:
        """Measure what was not taken up.

        Raises:
            StoppedError: ``stop`` was set; ``units`` are those that are done.
        """
        done = {unit.key for unit in self.units}
        if missing := [key for key in self.keys if key not in done]:
            self._measure(missing, stop)
        place = {key: index for index, key in enumerate(self.keys)}
        self.units.sort(key=lambda unit: place[unit.key])

    def _measure(self, missing: Sequence[UnitKey], stop: threading.Event) -> None:
        with console.status("loading the model"):
            engine = model_wiring.engine_of(self._settings, self._weights, self._manifest, self._products, {}, True)
        examples = _examples_of(self.keys) if self._examples else {}
        images = {key: self._images(key) for key in missing}
        steps = None if self._title else Steps(sum(images.values()))
        before = len(self.units)
        with console.progress("evaluating", sum(images.values())) as meter:

            def advance(images: int) -> None:
                meter.advance(images)
                if stop.is_set():
                    raise StoppedError

            for number, key in enumerate(missing, before + 1):
                advance(0)
                what = f"{key.class_name}, {key.setting.label}, seed {key.seed}"
                meter.describe(f"{self._title}{what}")
                if steps is not None:
                    steps.begin(f"unit {number} of {len(self.keys)}: {what}", images[key])
                started = time.monotonic()
                job = self._job(key, examples.get(key, 0))
                unit = _result(job, self._marks[key], measure(engine, job, advance), time.monotonic() - started)
                self._store.save(unit)
                self.units.append(unit)

    def _job(self, key: UnitKey, examples: int) -> Job:
        dataset, name = self._datasets[key.dataset], product_name(key)
        return Job(
            key=key,
            product=name,
            vocabulary=self._products[name].vocabulary.defect_types,
            named=bool(named_types(dataset, key.class_name)),
            samples=dataset.of_class(key.class_name),
            resolution=self._asked.resolution,
            batch=self._settings.batch.max_size,
            false_alarm_rate=self._settings.calibration.false_alarm_rate,
            warm_up=self._settings.scoring.mutual_frames,
            stream_defects=self._asked.stream_defects,
            examples=examples,
        )

    def _images(self, key: UnitKey) -> int:
        samples = self._datasets[key.dataset].of_class(key.class_name)
        if key.mode is ScoreMode.MUTUAL:
            return len(stream_of(key.seed, samples, self._asked.stream_defects))
        return sum(sample.split == "test" for sample in samples)

    def _about(self, key: UnitKey) -> Mapping[str, object]:
        stream = {"stream_defects": self._asked.stream_defects} if key.mode is ScoreMode.MUTUAL else {}
        return {**self.about, **stream}

    @cached_property
    def _marks(self) -> dict[UnitKey, str]:
        classes = dict.fromkeys((key.dataset, key.class_name) for key in self.keys)
        files = {own: file_states(self._datasets[own[0]].of_class(own[1])) for own in classes}
        return {
            key: fingerprint(
                key, self._about(key), self._products[product_name(key)], files[key.dataset, key.class_name]
            )
            for key in self.keys
        }


def _examples_of(keys: Sequence[UnitKey]) -> dict[UnitKey, int]:
    """Return how many examples of a group a unit shows: the first seed of each class and setting, within a budget.

    Where it does not reach for all, each class's first setting comes before anybody's second.
    """
    settings: dict[tuple[str, str], list[UnitKey]] = {}
    for key in keys:
        if key.seed == 0:
            settings.setdefault((key.dataset, key.class_name), []).append(key)
    turns = [key for turn in zip_longest(*settings.values()) for key in turn if key is not None]
    shown = turns[: _EXAMPLES // _GROUPS]
    return dict.fromkeys(shown, min(_MOST_EXAMPLES, _EXAMPLES // (_GROUPS * max(len(shown), 1))))


def _confusion(job: Job, measured: Measured) -> Confusion | None:
    counts = measured.metrics.confusion
    if counts is None or not job.named:
        return None
    return Confusion((GOOD, *job.vocabulary), tuple(tuple(row) for row in counts.tolist()), COUNTED)


def _result(job: Job, mark: str, measured: Measured, seconds: float) -> UnitResult:
    metrics = measured.metrics
    return UnitResult(
        key=job.key,
        fingerprint=mark,
        vocabulary=job.vocabulary,
        metrics=dict(metrics.values),
        thresholds=measured.thresholds,
        method=metrics.method,
        images=measured.images,
        failures=measured.failures,
        shots_used=measured.shots_used,
        confusion=_confusion(job, measured),
        roc=metrics.curves.get("image_roc", ()),
        pro=metrics.curves.get("pixel_pro", ()),
        examples=measured.examples,
        seconds=round(seconds, 3),
        without_mask=metrics.without_mask,
    )

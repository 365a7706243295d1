"""Measure one unit: one class in one mode, through the engine that serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np

from inspector.adapters.artefacts import version_of
from inspector.apps.evaluate.examples import Candidate, candidate, draw_examples
from inspector.apps.evaluate.frames import MOMENT, Camera
from inspector.apps.evaluate.plan import Resolution, in_order_of, stream_of
from inspector.datasets.reading import MaskError, read_mask, read_type_mask
from inspector.datasets.sample import Sample
from inspector.domain.artefact import Calibration
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.records import to_json
from inspector.domain.result import ScoreMode
from inspector.evaluation.class_meter import ClassMeter, ClassMetrics
from inspector.evaluation.confusion import NameRegions
from inspector.evaluation.metrics import Metric
from inspector.evaluation.unit_result import (
    Example,
    FailedImage,
    FoundRegion,
    ScoredImage,
    Thresholds,
    UnitKey,
)
from inspector.pipeline.calibration import MIN_FRAMES
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.vision.engine import InspectionEngine
from inspector.vision.judge import RawScores
from inspector.vision.opencv import cv2

# Enough for a threshold of one false alarm in a hundred (see pipeline/calibration.py), few enough to be cheap.
_CALIBRATION_IMAGES = 32

T = TypeVar("T")
Judged = tuple[Sample, DecodedFrame, Verdict, RawScores]


@dataclass(frozen=True, slots=True)
class Job:
    """One unit to measure.

    ``product`` is one of the engine's, ``vocabulary`` its defect types, and ``named`` says whether the truth uses those
    words. ``samples`` are all of the class. ``warm_up`` is how many images a stream has seen before it counts, as one
    that has been running, and ``stream_defects`` as in ``stream_of``. ``examples`` is how many of each group are drawn.
    """

    key: UnitKey
    product: str
    vocabulary: tuple[str, ...]
    named: bool
    samples: Sequence[Sample] = field(repr=False)
    resolution: Resolution = "model"
    batch: int = 8
    false_alarm_rate: float = 0.01
    warm_up: int = 32
    stream_defects: float = 0.1
    examples: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found: the metrics, and the recorded score of each image."""

    metrics: ClassMetrics
    thresholds: Thresholds
    images: tuple[ScoredImage, ...]
    failures: tuple[FailedImage, ...]
    shots_used: tuple[str, ...]
    examples: tuple[Example, ...]


def measure(engine: InspectionEngine, job: Job, advance: Callable[[int], None] = lambda _: None) -> Measured:
    """Measure one unit; ``advance`` is told of each batch of images done, and may raise to end it.

    Shots and the images that thresholds are calibrated on come from ``train/good``, chosen by the seed. A stream that
    is scored mutually brings the test images as ``stream_of`` says, and has seen the first of it before; only test
    images are measured.

    Where there are too few images for the mode, every metric is None with that reason.
    """
    camera = Camera(engine, _camera_id(job.key), job.product)
    engine.set_camera(camera.camera_id, CameraSettings(product=job.product, mode=_CAMERA_MODES[job.key.mode]))
    shots, calibration = _prepare(engine, camera, job)
    enough = len(shots) == job.key.shots
    test = [sample for sample in job.samples if sample.split == "test"] if enough else []
    meter = ClassMeter(job.vocabulary if job.named else (), name=job.key.class_name)
    images: list[ScoredImage] = []
    candidates: list[Candidate] = []
    if job.key.mode is ScoreMode.MUTUAL:
        test = stream_of(job.key.seed, job.samples, job.stream_defects)
        for _ in _judged(engine, camera, job, test[: job.warm_up]):
            pass
        camera.failures.clear()  # they come again
    last: Verdict | None = None
    for sample, frame, verdict, raw in _judged(engine, camera, job, test, advance):
        if sample.split != "test":
            continue
        try:
            _meter(
                meter, sample, frame, raw, job, partial(engine.name_regions, frame) if engine.names_regions else None
            )
        except MaskError as error:
            camera.fail(sample, str(error))
            continue
        images.append(_scored(sample, verdict, raw, job))
        if job.examples:
            candidates.append(candidate(sample, images[-1], (frame.width_px, frame.height_px), raw.anomaly_map))
        last = verdict
    metrics = meter.result()
    if not enough:
        metrics = _without(metrics, f"{len(shots)} normal training images, {job.key.shots} are asked for")
    elif last is not None and last.mode is not job.key.mode:
        metrics = _without(metrics, f"{len(images)} images, too few for mode {job.key.mode.value}")
    return Measured(
        metrics=metrics,
        thresholds=_thresholds(metrics, job, calibration, last),
        images=tuple(images),
        failures=tuple(dict.fromkeys(camera.failures)),
        shots_used=tuple(sample.name for sample in shots),
        examples=draw_examples(candidates, job.examples, metrics.thresholds["pixel_f1_max"]),
    )


_CAMERA_MODES = {
    ScoreMode.ZERO_SHOT: CameraMode.ZERO_SHOT,
    ScoreMode.BANK: CameraMode.BANK,
    ScoreMode.MUTUAL: CameraMode.MUTUAL,
}


def _camera_id(key: UnitKey) -> str:
    """Return the camera of a unit: a new one for each stream, one for all banks, of which each replaces the last."""
    own = key.mode is ScoreMode.MUTUAL
    return f"{key.dataset}/{key.class_name}/{key.seed}" if own else f"evaluation-{key.mode.value}"


def _prepare(engine: InspectionEngine, camera: Camera, job: Job) -> tuple[list[Sample], Calibration | None]:
    """Give the camera its reference and its thresholds, from different normal images; a stream finds its own."""
    if job.key.mode is ScoreMode.MUTUAL:
        return [], None
    normal = [sample for sample in job.samples if sample.split == "train" and not sample.anomalous]
    ranked = camera.take(in_order_of(job.key.seed, normal))
    shots = list(islice(ranked, job.key.shots))
    if shots:
        engine.use_reference(camera.camera_id, [frame.pixels for _, frame in shots])
    others = [frame for _, frame in islice(ranked, _CALIBRATION_IMAGES)]
    if len(others) < MIN_FRAMES:
        return [sample for sample, _ in shots], None
    calibration = engine.calibrate(camera.camera_id, others, MOMENT, job.false_alarm_rate, job.batch)
    data = to_json(calibration)
    engine.set_calibration(version_of(data), data)
    return [sample for sample, _ in shots], calibration


def _judged(
    engine: InspectionEngine,
    camera: Camera,
    job: Job,
    test: Sequence[Sample],
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Judged]:
    for batch in _batches(test, job.batch):
        taken = list(camera.take(batch))
        results = engine.inspect_with_raw([frame for _, frame in taken])
        for (sample, frame), (verdict, raw) in zip(taken, results, strict=True):
            yield sample, frame, verdict, raw
        advance(len(batch))


def _without(metrics: ClassMetrics, reason: str) -> ClassMetrics:
    return replace(metrics, values=dict.fromkeys(metrics.values, Metric(None, reason)), curves={}, confusion=None)


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _meter(
    meter: ClassMeter, sample: Sample, frame: DecodedFrame, raw: RawScores, job: Job, name_regions: NameRegions | None
) -> None:
    """Compare one image with its truth, at the map's size or at the image's own. Raises as ``read_mask``."""
    anomaly_map = raw.anomaly_map
    if job.resolution == "full":
        size = (frame.width_px, frame.height_px)
        anomaly_map = np.asarray(cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR), np.float32)
    size = (anomaly_map.shape[1], anomaly_map.shape[0])
    known = sample.has_pixel_truth
    meter.add(
        raw.image_score,
        anomaly_map,
        read_mask(sample, size) if known else None,
        type_scores=raw.type_grid if job.named else None,
        type_mask=read_type_mask(sample, size, job.vocabulary) if known and job.named else None,
        anomalous=sample.anomalous,
        image_types=sample.defect_types,
        name_regions=name_regions,
    )


def _scored(sample: Sample, verdict: Verdict, raw: RawScores, job: Job) -> ScoredImage:
    return ScoredImage(
        file=sample.name,
        types=sample.defect_types,
        anomalous=sample.anomalous,
        raw_score=raw.image_score,
        score=verdict.anomaly_score,
        label=verdict.pred_label.value,
        predicted_type=_type_predicted(verdict, raw, job.vocabulary),
        regions=tuple(FoundRegion(defect.defect_type, defect.area_px) for defect in verdict.defects),
    )


def _type_predicted(verdict: Verdict, raw: RawScores, vocabulary: Sequence[str]) -> str:
    """Return the type of the gravest region; of an image without one, that of the type map where it peaks."""
    if verdict.defects:
        return verdict.defects[0].defect_type
    row, column = np.unravel_index(int(raw.anomaly_map.argmax()), raw.anomaly_map.shape)
    _, rows, columns = raw.type_grid.shape
    height, width = raw.anomaly_map.shape
    return vocabulary[int(raw.type_grid[:, int(row) * rows // height, int(column) * columns // width].argmax())]


def _thresholds(metrics: ClassMetrics, job: Job, calibration: Calibration | None, last: Verdict | None) -> Thresholds:
    given = Thresholds(metrics.thresholds["image_f1_max"], metrics.thresholds["pixel_f1_max"], None, "")
    if calibration is not None:
        rate = f"{100 * job.false_alarm_rate:g} %"
        source = f"calibrated on {calibration.frames} normal training images to {rate} of false alarms"
        return replace(given, in_use=calibration.image.midpoint, source=source)
    if job.key.mode is ScoreMode.ZERO_SHOT and last is not None:
        return replace(given, in_use=last.image_threshold, source="of the weights: too few images to calibrate on")
    if job.key.mode is ScoreMode.MUTUAL:
        return replace(given, source="found by the stream itself as it goes")
    return replace(given, source=f"none: fewer than {MIN_FRAMES} normal images beside the reference")

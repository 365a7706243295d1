"""``inspector train``: prompt weights from labelled images, and from defects painted on good ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from inspector.apps import console, model_wiring, train_output
from inspector.apps.stopping import STOPPED, stop_event
from inspector.apps.train_progress import TrainingProgress
from inspector.apps.weights import threshold_text
from inspector.dapo.clip import model_shape
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.weights_file import save_weights
from inspector.datasets.opening import open_dataset
from inspector.datasets.sample import Dataset
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.domain.scoring import ImageScore
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import MIN_FRAMES
from inspector.settings import Settings
from inspector.training.dataset_examples import DatasetExamples, ObjectWord, normal_images
from inspector.training.examples import ExampleSource, JoinedExamples
from inspector.training.options import Effort, TrainingOptions, TrainingStoppedError
from inspector.training.plot import draw_loss
from inspector.training.prepared import PreparedExamples
from inspector.training.processes import Processes, joined
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.training.thresholds import UNMEASURED
from inspector.training.trainer import Listener, train
from inspector.training.work_folder import begin_anew, clear_away
from inspector.vision.decode import DecodeLimits
from inspector.vision.image_file import printable

_NEXT_TO_ONE = 0.99


@dataclass(frozen=True, slots=True)
class Request:
    """What to learn from and where to put it. ``start``: weights to go on from. ``synthetic``: painted examples.

    ``image_score``: of which kind the thresholds are; None: as ``start``'s, or ``options``'.
    """

    datasets: tuple[Path, ...]
    out: Path
    options: TrainingOptions
    effort: Effort = field(default_factory=Effort)
    start: Path | None = None
    synonyms: Path | None = None
    classes: tuple[str, ...] | None = None
    object_word: ObjectWord = "object"
    synthetic: int = 0
    image_score: ImageScore | None = None
    restart: bool = False

    @property
    def work(self) -> Path:
        """Folder of the run beside the weights."""
        return train_output.work_folder(self.out)


def run(settings: Settings, request: Request) -> int:
    """Train and write the weights and a plot of the loss; return the exit code, which is 130 after Ctrl-C.

    Started by ``torchrun`` in several processes, all share the work, and the first one writes and prints.

    Raises:
        BadInputError: unusable data sets, weights, options or output (as ``train_output.check``), or some images
            could not be read (the others were trained on, and the weights are written).
        InspectorError: a loss that is no number.
        OSError: a file cannot be written.
    """
    with joined(settings.model.device) as processes, ExitStack() as stack:
        _check_out(request, processes)
        spec = replace(model_wiring.model_spec(settings), device=processes.device)
        if settings.model.threads is not None:
            torch.set_num_threads(settings.model.threads)
        datasets = datasets_of(request)
        sources = _sources(settings, request, spec, datasets)
        source = _joined(sources)
        unpainted = _unpainted(sources) if processes.writes else ()
        start = None if request.start is None else model_wiring.load_prompt_weights(settings, request.start)
        options = _options(request, None if start is None else start[1])
        stop = stack.enter_context(stop_event())
        progress = stack.enter_context(TrainingProgress(enabled=processes.writes))
        found: list[PreparedExamples] = []

        def examples_found(examples: PreparedExamples) -> None:
            found.append(examples)
            if processes.writes:
                _remark_on(examples, options.false_alarm_rate)

        listener = Listener(progress.step, progress.phase, examples_found, stop.is_set)
        try:
            weights, manifest = train(
                spec,
                source,
                options,
                request.work,
                listener,
                effort=request.effort,
                processes=processes,
                start=start,
            )
        except TrainingStoppedError as error:
            if processes.writes:
                console.remark(f"stopped by {error.got}; repeat the command to go on from there")
            return STOPPED
    if processes.writes:
        _write(request, weights, with_names(manifest, datasets, request.classes))
        _end([*unpainted, *found[0].unreadable])
    return 0


def _options(request: Request, start: WeightsManifest | None) -> TrainingOptions:
    usual = request.options.image_score if start is None else start.image_score
    options = replace(request.options, image_score=request.image_score or usual)
    return options if start is None else replace(options, text_mode=start.text_mode)


def _check_out(request: Request, processes: Processes) -> None:
    if processes.writes:
        train_output.check(request.out, restart=request.restart)
        if request.restart:
            begin_anew(request.work)
    processes.wait()


def datasets_of(request: Request) -> list[Dataset]:
    """Return the data sets of a request, opened. Raises BadInputError for one that cannot be used."""
    synonyms = None if request.synonyms is None else Synonyms.load(request.synonyms)
    return [open_dataset(path, None, synonyms) for path in request.datasets]


def with_names(
    manifest: WeightsManifest, datasets: Sequence[Dataset], classes: Collection[str] | None = None
) -> WeightsManifest:
    """Return ``manifest`` naming these data sets, those with any of ``classes``, beside what it was tuned on before."""
    used = [one.name for one in datasets if classes is None or not set(one.classes).isdisjoint(classes)]
    return replace(manifest, tuned_on=tuple(dict.fromkeys([*manifest.tuned_on, *used])))


def source_of(settings: Settings, request: Request, spec: ModelSpec, datasets: Sequence[Dataset]) -> ExampleSource:
    """Return the examples of a request. Raises BadInputError for data sets that cannot be used."""
    sources = _sources(settings, request, spec, datasets)
    _unpainted(sources)
    return _joined(sources)


def _joined(sources: Sequence[ExampleSource]) -> ExampleSource:
    return sources[0] if len(sources) == 1 else JoinedExamples(sources)


def _sources(settings: Settings, request: Request, spec: ModelSpec, datasets: Sequence[Dataset]) -> list[ExampleSource]:
    side = model_shape(spec).image_size_px
    limits = DecodeLimits(settings.limits.max_frame_bytes, settings.limits.max_frame_pixels)
    sources: list[ExampleSource] = []
    if not request.synthetic or _has_defects(datasets, request.classes):
        sources.append(
            DatasetExamples(datasets, side, classes=request.classes, object_word=request.object_word, limits=limits)
        )
    if request.synthetic:
        sources.append(_synthetic(settings, request, datasets, side, limits))
    return sources


def _has_defects(datasets: Sequence[Dataset], classes: Sequence[str] | None) -> bool:
    samples = (sample for dataset in datasets for sample in dataset.samples)
    return any(sample.anomalous and (classes is None or sample.class_name in classes) for sample in samples)


def _synthetic(
    settings: Settings, request: Request, datasets: Sequence[Dataset], side: int, limits: DecodeLimits
) -> SyntheticExamples:
    """Paint the defects of ``products.default`` on the good training images."""
    normals = normal_images(datasets, request.classes)
    if not normals:
        names = ", ".join(dataset.name for dataset in datasets)
        raise BadInputError("good images for training to paint on", f"none in {names}", "add them as train/good")
    types = settings.domain_products()["default"].vocabulary.defect_types
    return SyntheticExamples(normals, types, request.synthetic, request.options.seed, side, limits=limits)


def _unpainted(sources: Sequence[ExampleSource]) -> list[str]:
    """Tell what is not painted, or not painted on, and return the latter: name and reason."""
    left_out: list[str] = []
    for source in sources:
        if isinstance(source, SyntheticExamples):
            left_out += [f"{printable(path)}: not painted on: {reason}" for path, reason in source.left_out]
            if source.undrawn_types:
                words = ", ".join(source.undrawn_types)
                console.remark(f"nothing is painted for {words}: they only compete as words", "yellow")
    for problem in left_out:
        console.remark(problem, "yellow")
    return left_out


def _remark_on(examples: PreparedExamples, false_alarm_rate: float) -> None:
    for unreadable in examples.unreadable:
        console.remark(f"left out: {unreadable}", "yellow")
    defective = [label for label in examples.labels if label.anomalous]
    without_mask = sum(not label.segmented for label in defective)
    if defective and without_mask == len(defective):
        console.remark(
            "no defect has a mask: only the image score is trained, adapters stay random and maps mean nothing",
            "yellow",
        )
    elif without_mask:
        console.remark(f"{without_mask} of {len(defective)} defective images have no mask: they train the image score")
    good = len(examples.labels) - len(defective)
    if good < MIN_FRAMES:
        remark = f"{good} good images, fewer than {MIN_FRAMES}: thresholds stay at {UNMEASURED}, which nobody measured"
        console.remark(remark, "yellow")
    elif good * false_alarm_rate < 1:
        remark = f"{good} good images: thresholds that {false_alarm_rate:g} of such exceed are extrapolated, a guess"
        console.remark(remark, "yellow")
    classes = len({label.vocabulary for label in examples.labels})
    console.remark(
        f"{len(examples.labels)} images, {len(defective)} of them defective, {classes} "
        f"vocabular{'y' if classes == 1 else 'ies'}"
    )


def _write(request: Request, weights: PromptWeights, manifest: WeightsManifest) -> None:
    saved = save_weights(request.out, weights, manifest)
    plot = request.out.with_suffix(".loss.svg")
    draw_loss(request.work / "history.jsonl", plot)
    clear_away(request.work)
    console.lines(
        [
            f"wrote {request.out} version {saved.version}",
            f"image threshold {threshold_text(saved.image_threshold)}, "
            f"pixel threshold {threshold_text(saved.pixel_threshold)} (raw scores)",
            f"loss: {plot}, history: {request.work / 'history.jsonl'}",
        ]
    )
    if max(saved.image_threshold, saved.pixel_threshold) > _NEXT_TO_ONE:
        console.remark(
            "a threshold next to 1: good images score nearly as high as scores go, so few defects exceed it "
            "until a camera is calibrated",
            "yellow",
        )


def _end(unreadable: Sequence[str]) -> None:
    if unreadable:
        raise BadInputError(
            "images that can be read",
            f"{len(unreadable)} that cannot, the first {unreadable[0]} (the weights are from the others)",
            "replace or remove them",
        )

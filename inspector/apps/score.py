"""``inspector score``: images on disk, without Kafka or Redis."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from inspector.adapters.artefacts import version_of
from inspector.apps import console, wiring
from inspector.apps.score_inputs import (
    CAMERA_ID,
    PRODUCT,
    InputFile,
    UnreadableImageError,
    decode_file,
    find_inputs,
)
from inspector.apps.score_output import Format, JsonWriter, OutputFolder, ScoredFile, output_folder
from inspector.apps.score_table import ScoreTable
from inspector.apps.score_truth import TruthMeter
from inspector.domain.errors import BadInputError
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.result import PredLabel
from inspector.pipeline.ports import DecodedFrame, Verdict
from inspector.settings import Settings
from inspector.vision.engine import InspectionEngine

# Decoded frames of the reference are held at once: 256 are 50 MB at 256 px, 200 MB at 518 px.
_MAX_REFERENCE = 256


@dataclass(frozen=True, slots=True)
class Request:
    """What to score and where to put it; ``defects`` None takes those of ``products.default``."""

    paths: tuple[str, ...]
    defects: tuple[str, ...] | None = None
    reference: Path | None = None
    out: Path | None = None
    file_format: Format = "json"
    truth: Path | None = None
    as_json: bool = False


@dataclass
class _Tally:
    images: int = 0
    anomalous: int = 0
    failed: list[str] = field(default_factory=list)


def run(settings: Settings, request: Request) -> None:
    """Score every image; print a table or JSON, write files if asked, and say how it compares with the truth, if known.

    Raises:
        BadInputError: nothing to score, an unusable reference or model, or some images could not be scored.
        OSError: the output folder cannot be written.
    """
    inputs = find_inputs(request.paths, request.out)
    if request.out is not None:
        request.out.mkdir(parents=True, exist_ok=True)  # before the work: a wrong name should not cost a minute
    engine = _engine(settings, request)
    truth, tally = TruthMeter(request.truth), _Tally()
    with ExitStack() as stack:
        out = None if request.out is None else stack.enter_context(output_folder(request.out, request.file_format))
        shown = JsonWriter(sys.stdout) if request.as_json else ScoreTable()
        writers = [shown, *([out.writer] if out is not None else [])]
        meter = stack.enter_context(console.progress("scoring", len(inputs)))
        for batch in _batches(inputs, settings.batch.max_size):
            for row in _score(engine, batch, truth, out, tally):
                for writer in writers:
                    writer.row(row)
            meter.advance(len(batch))
        summary = _summary(tally, truth)
        for writer in writers:
            writer.end(summary)
    if tally.failed:
        raise BadInputError(
            "images that can be scored",
            f"{len(tally.failed)} of {len(inputs)} that cannot, the first {tally.failed[0]}",
            "replace or remove them",
        )


def _engine(settings: Settings, request: Request) -> InspectionEngine:
    with console.status("loading the model"):
        weights, manifest = wiring.prompt_weights(settings)
        products = {PRODUCT: _product(settings, request.defects)}
        engine = wiring.engine_of(settings, weights, manifest, products, {}, allow_unknown=True)
    if request.reference is not None:
        _take_reference(engine, request.reference, settings.calibration.false_alarm_rate)
    if not manifest.trained:
        what = "scores and types mean nothing; give --reference" if request.reference is None else "types are a guess"
        console.remark(f"no trained weights (model.weights): the text side is untrained, {what}", "yellow")
    return engine


def _product(settings: Settings, names: Sequence[str] | None) -> ProductSettings:
    product = settings.domain_products()[PRODUCT]
    if names is None:
        return product
    known = {spec.name: spec for spec in product.defects}
    return replace(product, defects=tuple(known.get(name, DefectSpec(name)) for name in dict.fromkeys(names)))


def _take_reference(engine: InspectionEngine, folder: Path, false_alarm_rate: float) -> None:
    """Build the bank and its thresholds, each normal image left out of the bank for its own score."""
    normals = find_inputs([str(folder)], None)
    if len(normals) > _MAX_REFERENCE:
        console.remark(f"{len(normals)} reference images: {_MAX_REFERENCE} of them, evenly spread, are used")
        normals = [normals[i * len(normals) // _MAX_REFERENCE] for i in range(_MAX_REFERENCE)]
    pixels = []
    with console.progress("reference", len(normals)) as meter:
        for item in normals:
            try:
                pixels.append(decode_file(engine, item).pixels)
            except UnreadableImageError as error:
                console.remark(f"{item.shown}: left out: {error}", "yellow")
            meter.advance()
    with console.status(f"building a bank of {len(pixels)} reference images"):
        bank = engine.enroll(pixels, false_alarm_rate)
    engine.set_bank(CAMERA_ID, version_of(bank), bank)


def _batches(inputs: Sequence[InputFile], size: int) -> Iterator[Sequence[InputFile]]:
    rest = iter(inputs)
    while batch := list(islice(rest, size)):
        yield batch


def _score(
    engine: InspectionEngine, batch: Sequence[InputFile], truth: TruthMeter, out: OutputFolder | None, tally: _Tally
) -> Iterator[ScoredFile]:
    decoded: list[tuple[InputFile, DecodedFrame]] = []
    for item in batch:
        try:
            decoded.append((item, decode_file(engine, item)))
        except UnreadableImageError as error:
            tally.failed.append(f"{item.shown}: {error}")
            yield ScoredFile(item.shown, error=str(error))
    judged = engine.inspect_with_raw([frame for _, frame in decoded])
    for (item, frame), (verdict, raw) in zip(decoded, judged, strict=True):
        if (known := truth.truth(item.path)) is not None:
            truth.add(known, raw.image_score, raw.anomaly_map, (frame.width_px, frame.height_px))
        tally.images += 1
        tally.anomalous += verdict.pred_label is PredLabel.ANOMALOUS
        overlay, mask = (None, None) if out is None else out.save(item.name, verdict.evidence)
        yield _row(item, verdict, frame, overlay, mask)


def _row(item: InputFile, verdict: Verdict, frame: DecodedFrame, overlay: str | None, mask: str | None) -> ScoredFile:
    return ScoredFile(
        file=item.shown,
        pred_label=verdict.pred_label.value,
        anomaly_score=round(verdict.anomaly_score, 6),
        image_threshold=verdict.image_threshold,
        mode=verdict.mode.value,
        width_px=frame.width_px,
        height_px=frame.height_px,
        defects=verdict.defects,
        overlay=overlay,
        mask=mask,
    )


def _summary(tally: _Tally, truth: TruthMeter) -> dict[str, object]:
    summary: dict[str, object] = {
        "images": tally.images,
        "anomalous": tally.anomalous,
        "failed": len(tally.failed),
    }
    if truth.images:
        image, pixel = truth.result()
        summary["truth"] = {
            "images": truth.images,
            "without_mask": truth.without_mask,
            "image_auroc": image.value,
            "pixel_auroc": pixel.value,
            "pixel_auroc_error_bound": pixel.error_bound,
            "notes": [metric.reason for metric in (image, pixel) if metric.reason is not None],
        }
    return summary

"""``inspector score``: images on disk, without Kafka or Redis."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from inspector.apps import console
from inspector.apps.local_engine import local_engine, types_are_set
from inspector.apps.score_inputs import (
    PRODUCT,
    InputFile,
    UnreadableImageError,
    decode_file,
    find_inputs,
)
from inspector.apps.score_output import Format, JsonWriter, OutputFolder, ScoredFile, output_folder
from inspector.apps.score_summary import Tally, advice, summary
from inspector.apps.score_table import ScoreTable
from inspector.apps.score_truth import TruthMeter
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraSettings, DefectSpec, ProductSettings
from inspector.domain.result import PredLabel
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.settings import Settings
from inspector.vision.engine import InspectionEngine
from inspector.vision.judge import RawScores

# Images that are compared with each other at once: the cost of a block grows with its square, and all are held.
_MUTUAL_BLOCK = 128
# Tiled ones are larger: these many are held at most where the tiles leave fewer.
_MUTUAL_BLOCK_TILED = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What to score and where to put it; ``defects`` and ``tiles`` None take those of ``product``.

    ``product`` is a name of the settings. ``mutual``: the images are each other's reference. ``image_threshold`` (0..1,
    on the calibrated score) None takes that of the reference or the weights.
    """

    paths: tuple[str, ...]
    defects: tuple[str, ...] | None = None
    reference: Path | None = None
    out: Path | None = None
    file_format: Format = "json"
    truth: Path | None = None
    as_json: bool = False
    tiles: int | None = None
    mutual: bool = False
    image_threshold: float | None = None
    product: str = PRODUCT


def run(settings: Settings, request: Request) -> None:
    """Score every image; print a table or JSON, write files if asked, and say how it compares with the truth, if known.

    Raises:
        BadInputError: nothing to score, an unknown product, an unusable reference or model, or some images could not be
            scored.
        OSError: the output folder cannot be written.
    """
    inputs = find_inputs(request.paths, request.out)
    if request.out is not None:
        request.out.mkdir(parents=True, exist_ok=True)  # before the work: a wrong name should not cost a minute
    product = _product(settings, request)
    types_asked = request.defects is not None or types_are_set(settings, request.product)
    camera = CameraSettings(image_threshold=request.image_threshold)
    local = local_engine(settings, product, request.reference, camera, request.mutual, types_asked)
    engine = local.engine
    truth, tally = TruthMeter(request.truth), Tally()
    with ExitStack() as stack:
        out = None if request.out is None else stack.enter_context(output_folder(request.out, request.file_format))
        shown = JsonWriter(sys.stdout) if request.as_json else ScoreTable()
        writers = [shown, *([out.writer] if out is not None else [])]
        meter = stack.enter_context(console.progress("scoring", len(inputs)))
        inspect = engine.inspect_mutually if request.mutual else engine.inspect_with_raw
        for batch in _blocks(inputs, product.tiles) if request.mutual else _batches(inputs, settings.batch.max_size):
            for row in _score(engine, inspect, batch, truth, out, tally):
                for writer in writers:
                    writer.row(row)
            meter.advance(len(batch))
        made = summary(tally, truth)
        for writer in writers:
            writer.end(made)
    if (told := advice(tally, truth, local.reference_images)) is not None:
        console.remark(told, "yellow")
    if tally.failed:
        raise BadInputError(
            "images that can be scored",
            f"{len(tally.failed)} of {len(inputs)} that cannot, the first {tally.failed[0]}",
            "replace or remove them",
        )


def _product(settings: Settings, request: Request) -> ProductSettings:
    known_products = settings.domain_products()
    if request.product not in known_products:
        names = ", ".join(sorted(known_products))
        raise BadInputError(
            f"a product of the settings: {names}", repr(request.product), "add products.NAME, or choose one"
        )
    product = known_products[request.product]
    if request.tiles is not None:
        product = replace(product, tiles=request.tiles)
    if request.defects is None:
        return product
    known = {spec.name: spec for spec in product.defects}
    asked = dict.fromkeys(request.defects)
    return replace(product, defects=tuple(known.get(name, DefectSpec(name)) for name in asked))


def _batches(inputs: Sequence[InputFile], size: int) -> Iterator[Sequence[InputFile]]:
    rest = iter(inputs)
    while batch := list(islice(rest, size)):
        yield batch


def _blocks(inputs: Sequence[InputFile], tiles: int) -> Iterator[Sequence[InputFile]]:
    """Give blocks of about one size, each spread over all inputs, lest one folder meets only itself."""
    most = max(_MUTUAL_BLOCK_TILED, _MUTUAL_BLOCK // tiles**2)
    count = -(-len(inputs) // most)
    yield from (inputs[first::count] for first in range(count))


def _score(
    engine: InspectionEngine,
    inspect: Callable[[Sequence[DecodedFrame]], list[tuple[Verdict, RawScores]]],
    batch: Sequence[InputFile],
    truth: TruthMeter,
    out: OutputFolder | None,
    tally: Tally,
) -> Iterator[ScoredFile]:
    decoded: list[tuple[InputFile, DecodedFrame]] = []
    for item in batch:
        try:
            decoded.append((item, decode_file(engine, item)))
        except UnreadableImageError as error:
            tally.failed.append(f"{item.shown}: {error}")
            yield ScoredFile(item.shown, error=str(error))
    judged = inspect([frame for _, frame in decoded])
    for (item, frame), (verdict, raw) in zip(decoded, judged, strict=True):
        if (known := truth.truth(item.path)) is not None:
            alarmed = verdict.pred_label is PredLabel.ANOMALOUS
            truth.add(known, alarmed, raw.image_score, raw.anomaly_map, (frame.width_px, frame.height_px))
        tally.add(verdict)
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

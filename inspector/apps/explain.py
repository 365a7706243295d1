"""``inspector explain``: what the result of a frame says, in words; a model's own words beside it, if one is set."""

from __future__ import annotations

import json
import mimetypes
import textwrap
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.apps import console, model_wiring, wiring
from inspector.domain.errors import BadInputError, FrameRejectedError, InspectorError
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.records import to_json
from inspector.domain.result import InspectionResult
from inspector.domain.text import is_text
from inspector.pipeline.answer_check import Mark, check_answer
from inspector.pipeline.report import report

if TYPE_CHECKING:
    from inspector.domain.report import FrameReport
    from inspector.settings import Settings

_WIDTH = 110
_MAX_ANSWER_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Request:
    """``target`` is a frame's id or an image file; ``reference`` is for an image; ``last`` frames are compared with."""

    target: str
    camera_id: str | None = None
    reference: Path | None = None
    last: int = 50
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """A result, the results of its camera up to it, its product, and a picture (JPEG or PNG), if there is one.

    ``file``: the image file inspected just now, as the report names it; None for a frame whose result was kept.
    """

    result: InspectionResult
    recent: list[InspectionResult]
    product: ProductSettings
    picture: bytes | None = field(repr=False)
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A model's words, as they came, and what in them the evidence does not bear out."""

    model: str
    text: str
    marks: tuple[Mark, ...]


def run(settings: Settings, request: Request) -> None:
    """Print the report of a frame, and a model's answer if ``explain.backend`` asks for one.

    Raises:
        BadInputError: no such frame or image, or one that cannot be inspected.
        InspectorError: as ``RedisResults``.
    """
    is_file = Path(request.target).is_file()
    if request.reference is not None and not is_file:
        raise BadInputError(
            "an image file beside --reference", repr(request.target), "check its path; a frame keeps its own verdict"
        )
    found = _from_file(settings, request) if is_file else _from_redis(settings, request)
    made = report(found.result, found.recent, found.product, found.file)
    answer = _ask(settings, made, found)
    if request.as_json:
        # Through `console`, which writes nothing but ASCII: names and a model's words may hold what moves a cursor.
        said = None if answer is None else json.loads(to_json(answer))
        console.print_json({"report": json.loads(to_json(made)), "model_answer": said})
        return
    console.lines(made.text.split("\n"))
    if answer is not None:
        _print_answer(answer)


def _from_redis(settings: Settings, request: Request) -> _Found:
    try:
        store = wiring.results(settings)
        # What a shell passes on that is no text cannot be an id, nor be sent.
        result = store.get(request.target) if is_text(request.target) else None
    except InspectorError as error:
        if _looks_like_a_file(request.target):
            raise _no_file(request.target) from error
        raise
    if result is None and _looks_like_a_file(request.target):
        raise _no_file(request.target)
    if result is None:
        raise BadInputError(
            "the id of a frame whose result is kept, or an image file",
            repr(request.target),
            "see `inspector results CAMERA`; results expire (retention.*), and a path must be that of a file",
        )
    if request.camera_id not in (None, result.camera_id):
        raise BadInputError(
            f"a frame of camera {request.camera_id!r}",
            f"{request.target!r} of camera {result.camera_id!r}",
            "leave --camera out, or name that camera",
        )
    products = settings.domain_products()
    return _Found(
        result,
        store.last(result.camera_id, request.last, until=result.captured_at),
        products.get(result.product, products["default"]),
        store.overlay(result.frame_id) or store.frame(result.frame_id),
    )


def _looks_like_a_file(target: str) -> bool:
    kind, _ = mimetypes.guess_type(target, strict=False)
    return "/" in target or (kind or "").startswith("image/")


def _no_file(target: str) -> BadInputError:
    return BadInputError(
        "an image file, or the id of a frame whose result is kept",
        f"{target!r}: there is no such file",
        "check the path; ids are in `inspector results CAMERA`",
    )


def _from_file(settings: Settings, request: Request) -> _Found:
    from inspector.apps.local_engine import local_engine, types_are_set
    from inspector.apps.score_inputs import PRODUCT, UnreadableImageError, decode_file, find_inputs
    from inspector.pipeline import outcomes

    camera, product = _camera(settings, request.camera_id)
    (item,) = find_inputs([request.target], None)
    as_default, types_asked = replace(camera, product=PRODUCT), types_are_set(settings, camera.product)
    local = local_engine(settings, product, request.reference, as_default, types_asked=types_asked)
    engine = local.engine
    try:
        frame = decode_file(engine, item)
    except UnreadableImageError as error:
        raise BadInputError("an image that can be inspected", f"{item.shown}: {error}", "use another file") from error
    (verdict,) = engine.inspect([frame])
    inspected = outcomes.inspected(
        frame,
        verdict,
        weights_version=engine.weights_version,
        model=engine.model_name,
        inspected_at=datetime.now(UTC),
        queue_ms=0.0,
    )
    result = replace(inspected.result, camera_id=request.camera_id or inspected.result.camera_id)
    named = item.shown if request.camera_id is None else f"{item.shown}, as of camera {request.camera_id}"
    return _Found(result, [], local.product, verdict.evidence.overlay or frame.frame.image, named)


def _camera(settings: Settings, camera_id: str | None) -> tuple[CameraSettings, ProductSettings]:
    cameras, products = settings.domain_cameras(), settings.domain_products()
    if camera_id is not None and camera_id not in cameras:
        raise BadInputError(
            "a camera of the settings, for the image to be inspected as one of its frames",
            f"{camera_id!r}; there are {', '.join(sorted(cameras)) or 'none'}",
            "add it to cameras, or leave --camera out",
        )
    camera = CameraSettings() if camera_id is None else cameras[camera_id]
    return camera, products[camera.product]


def _ask(settings: Settings, made: FrameReport, found: _Found) -> ModelAnswer | None:
    """Return a model's checked answer; None where there is none, in which case the report alone must do."""
    try:
        model = model_wiring.vision_language_model(settings)
        if model is None:
            return None
        if model.in_clear:
            console.remark(f"explain.url is not encrypted: picture and key can be read on the way to {model.in_clear}")
        with console.status(f"asking {settings.explain.model}"):
            text = model.explain(to_json(made).decode(), _small(settings, found.picture))[:_MAX_ANSWER_CHARS]
    except InspectorError as error:
        console.remark(f"no answer of a model (explain.*): {error}", "yellow")
        return None
    return ModelAnswer(
        settings.explain.model or "", text, check_answer(text, made, found.product.vocabulary.defect_types)
    )


def _small(settings: Settings, picture: bytes | None) -> bytes | None:
    if picture is None:
        return None
    from inspector.vision.picture import small_jpeg

    try:
        return small_jpeg(picture, model_wiring.decode_limits(settings))
    except FrameRejectedError as error:
        console.remark(f"the model gets no picture of the frame: {error}", "yellow")
        return None


def _print_answer(answer: ModelAnswer) -> None:
    console.lines(["", f"Words of the model {answer.model}, held against the report; not part of it:"])
    for paragraph in answer.text.splitlines():
        # Escaped before it is wrapped: an escape is several columns wide.
        console.lines(textwrap.wrap(console.safe(paragraph), _WIDTH, initial_indent="  ", subsequent_indent="  "))
    console.lines([f"  ! {mark.kind}: {mark.quote}" for mark in answer.marks])
    if not answer.marks:
        console.lines(["  Nothing in it was found to differ from the report, which does not make it true."])

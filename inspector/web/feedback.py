"""Routes of feedback: what a person says of a frame in, what people disagree on out."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import FeedbackVerdict
from inspector.domain.records import to_json
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.feedback_rules import FeedbackRequest, TakenFeedback


class FeedbackDesk(Protocol):
    """Takes what people say and knows what was said; called from several threads."""

    def take(self, request: FeedbackRequest) -> TakenFeedback:
        """Judge and keep one piece of feedback.

        Raises:
            InspectorError: it cannot be taken, or not now.
        """
        ...

    def book(self) -> FeedbackBook:
        """Return everything said so far.

        Raises:
            InspectorError: it cannot be read now.
        """
        ...


class FeedbackBody(BaseModel):
    """What a person says of the verdict on a frame."""

    model_config = ConfigDict(extra="forbid")

    frame_id: Annotated[str, Field(description="The frame, as in its result or alert.")]
    verdict: Annotated[FeedbackVerdict, Field(description="Of the service's verdict.")]
    person: Annotated[str, Field(description="Who says it; not proved by the token.")]
    defect_type: Annotated[
        str | None, Field(description="The right type, if wrong; without one there is no defect: a false alarm.")
    ] = None
    boxes: Annotated[
        tuple[tuple[int, int, int, int], ...],
        Field(description="Where: left, top, width, height in pixels of the frame."),
    ] = ()
    mask_png_base64: Annotated[
        str | None, Field(description="Where, exactly: a PNG in the frame's size, the defect drawn on black.")
    ] = None
    note: str = ""
    given_at: Annotated[datetime | None, Field(description="With a zone; default: now.")] = None

    def to_request(self) -> FeedbackRequest:
        """Return the request as the pipeline takes it.

        Raises:
            BadInputError: the mask is no base64.
        """
        return FeedbackRequest(
            frame_id=self.frame_id,
            verdict=self.verdict,
            person=self.person,
            defect_type=self.defect_type,
            boxes=tuple(Box(*box) for box in self.boxes),
            mask=None if self.mask_png_base64 is None else _decoded(self.mask_png_base64),
            note=self.note,
            given_at=self.given_at,
        )


def feedback_routes(desk: FeedbackDesk) -> APIRouter:
    """Return the routes below ``/api/v1/feedback``."""
    routes = APIRouter(prefix="/api/v1/feedback", tags=["feedback"])

    @routes.post("", status_code=201, response_model=None)
    def give(body: FeedbackBody) -> JSONResponse:
        """Keep what a person says of a frame; saying it again changes nothing, saying otherwise later replaces it."""
        taken = desk.take(body.to_request())
        said = {
            "feedback_id": taken.feedback.feedback_id,
            "feedback": _document(taken.feedback),
            "remarks": list(taken.remarks),
        }
        return JSONResponse(said, 201)

    @routes.get("/conflicts", response_model=None)
    def conflicts() -> JSONResponse:
        """List the frames on which people disagree, with the latest word of each."""
        found = desk.book().conflicts()
        return JSONResponse(
            [{"frame_id": frame_id, "feedback": [_document(one) for one in said]} for frame_id, said in found.items()]
        )

    return routes


def _document(record: object) -> Any:
    return json.loads(to_json(record))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInputError("mask_png_base64 as base64", str(error), "encode the PNG's bytes (RFC 4648)") from error

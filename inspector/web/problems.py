"""Our errors as HTTP answers: problem details (RFC 9457) that say what the command line would say."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.text import shortened
from inspector.pipeline.feedback_rules import UnknownFrameError

_RETRY_AFTER_S = 5
_MEDIA_TYPE = "application/problem+json"
# A refusal of our own name or password is nothing that who asks could mend.
_STATUS = {UnknownFrameError: 404, ServiceUnavailableError: 503, CredentialsError: 500, BadInputError: 422}


def problem(status: int, error: InspectorError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for an error: its three parts, and the sentence that the command line prints."""
    got = shortened(error.got)
    content = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": f"expected {error.expected}, got {got}: {error.do}",
        "expected": error.expected,
        "got": got,
        "do": error.do,
    }
    return Response(json.dumps(content), status, headers, _MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Make ``app`` answer every error in this form."""
    app.add_exception_handler(InspectorError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(_: Request, error: Exception) -> Response:
    if not isinstance(error, InspectorError):
        raise error
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return problem(status, error, {"retry-after": str(_RETRY_AFTER_S)} if status == 503 else None)


async def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return problem(422, BadInputError("a valid request", f"{first['msg']} at {place}", "see /api/v1/openapi.json"))


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    asked = f"{request.method} {request.url.path}"
    told = BadInputError("a route of /api/v1/openapi.json", f"{asked}: {error.detail}", "correct the request")
    return problem(error.status_code, told, error.headers)

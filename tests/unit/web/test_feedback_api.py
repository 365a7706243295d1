"""Feedback over HTTP: what is taken, what is refused and how that reads; and who may ask at all."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.feedback import FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.feedback_rules import FeedbackRequest, TakenFeedback, UnknownFrameError, judge
from inspector.web.app import create_app
from inspector.web.guard import WebAccess

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
MASK = "ab" * 32
PLATE = ProductSettings("metal plate", (DefectSpec("scratch"), DefectSpec("dent")))
RESULT = InspectionResult(
    "f1", "cam1", "line-1", "plate", NOW, NOW, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "w1", "m",
    FrameSource("frames", 1, 42), {}, 640, 480,
)  # fmt: skip
HERE = "http://127.0.0.1:8750"
TOKEN = "a-token-of-the-plant"
ACCESS = WebAccess(frozenset({"127.0.0.1", "localhost", "[::1]"}), max_body_bytes=20_000)
SAID: dict[str, Any] = {"frame_id": "f1", "verdict": "wrong", "person": "anna", "defect_type": "dent"}


class Desk:
    """A desk without servers: one frame, one product, a book in memory, and a fault if one is planned."""

    def __init__(self) -> None:
        self.told = FeedbackBook()
        self.requests: list[FeedbackRequest] = []
        self.fault: InspectorError | None = None

    def take(self, request: FeedbackRequest) -> TakenFeedback:
        self.requests.append(request)
        if self.fault is not None:
            raise self.fault
        if request.frame_id != "f1":
            raise UnknownFrameError("the id of a frame", repr(request.frame_id), "see results")
        taken = judge(request, RESULT, PLATE, MASK if request.mask else None, NOW)
        self.told.add(taken.feedback)
        return taken

    def book(self) -> FeedbackBook:
        if self.fault is not None:
            raise self.fault
        return self.told


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(create_app(desk, ACCESS), base_url=HERE) as made:
        yield made


@pytest.fixture
def with_token(desk: Desk) -> Iterator[TestClient]:
    with TestClient(create_app(desk, replace(ACCESS, token=TOKEN)), base_url=HERE) as made:
        yield made


def test_feedback_is_taken_and_answered_with_its_record(client: TestClient, desk: Desk) -> None:
    mask = b"\x89PNG..."
    body = {**SAID, "boxes": [[1, 2, 3, 4]], "mask_png_base64": base64.b64encode(mask).decode(), "note": "at the rim"}
    answer = client.post("/api/v1/feedback", json=body)
    assert answer.status_code == 201
    said = answer.json()
    assert said["feedback"]["schema"] == "inspection.feedback/1"
    assert said["feedback"]["defect_type"] == "dent"
    assert said["feedback_id"] == desk.told.of_frame("f1")[0].feedback_id
    assert said["remarks"] == []
    assert desk.requests == [
        FeedbackRequest("f1", FeedbackVerdict.WRONG, "anna", "dent", (Box(1, 2, 3, 4),), mask, "at the rim")
    ]


def test_the_same_again_changes_nothing(client: TestClient, desk: Desk) -> None:
    first, second = (client.post("/api/v1/feedback", json=SAID).json() for _ in range(2))
    assert first == second
    assert len(desk.told) == 1


def test_a_new_type_is_taken_and_offered_for_the_vocabulary(client: TestClient) -> None:
    said = client.post("/api/v1/feedback", json={**SAID, "defect_type": "solder ball"}).json()
    assert said["feedback"]["new_type"] is True
    assert "products.plate.defects" in said["remarks"][0]


def test_conflicts_are_listed_with_every_word(client: TestClient) -> None:
    assert client.get("/api/v1/feedback/conflicts").json() == []
    client.post("/api/v1/feedback", json=SAID)
    client.post("/api/v1/feedback", json={**SAID, "person": "bert", "defect_type": None})
    (conflict,) = client.get("/api/v1/feedback/conflicts").json()
    assert conflict["frame_id"] == "f1"
    assert {one["person"]: one["defect_type"] for one in conflict["feedback"]} == {"anna": "dent", "bert": None}


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"frame_id": "f2"}, 404, "id of a frame"),
        ({"boxes": [[600, 0, 41, 1]]}, 422, "640 x 480"),
        ({"boxes": [[1, 2, 3]]}, 422, "body.boxes.0"),
        ({"person": "a\x1b[31mb"}, 422, "a person's name"),
        ({"note": "x" * 10_000}, 422, "note"),
        ({"given_at": "2036-01-01T00:00:00Z"}, 422, "clock"),
        ({"given_at": "2026-01-01T00:00:00"}, 422, "time zone"),
        ({"verdict": "maybe"}, 422, "body.verdict"),
        ({"verdict": "right"}, 422, "leave it out"),
        ({"mask_png_base64": "no base64!"}, 422, "base64"),
        ({"frame": "f1"}, 422, "body.frame"),
        ({"person": None}, 422, "body.person"),
    ],
)
def test_a_refusal_says_what_was_expected_what_came_and_what_to_do(
    client: TestClient, desk: Desk, changes: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/api/v1/feedback", json={**SAID, **changes})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert said in problem["detail"]
    assert problem["status"] == status
    assert all(problem[part] for part in ("expected", "got", "do"))
    assert problem["detail"].isprintable()
    assert len(desk.told) == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 15_000, b'{"person": "\\ud800"}', b"\xff\xfe", b"null"])
def test_a_body_that_is_no_feedback_is_refused_not_stumbled_over(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/v1/feedback", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.json()["detail"].startswith("expected ")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (ServiceUnavailableError("Kafka", "silence", "wait"), 503),
        (CredentialsError("Redis to let us in", "a refusal", "check"), 500),
        (BadInputError("a topic", "none", "create it"), 422),
    ],
)
def test_what_is_wrong_behind_the_desk_is_told_apart(
    client: TestClient, desk: Desk, fault: InspectorError, status: int
) -> None:
    desk.fault = fault
    for answer in (client.post("/api/v1/feedback", json=SAID), client.get("/api/v1/feedback/conflicts")):
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) is (status == 503)


def test_a_body_beyond_the_limit_is_not_read(client: TestClient, desk: Desk) -> None:
    large = {**SAID, "mask_png_base64": "A" * 20_000}
    assert client.post("/api/v1/feedback", json=large).status_code == 413

    def chunks() -> Iterator[bytes]:  # no Content-Length
        for _ in range(30):
            yield b" " * 1_000

    answer = client.post("/api/v1/feedback", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert desk.requests == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_of_another_page_can_send_is_refused(client: TestClient, desk: Desk, kind: str) -> None:
    answer = client.post("/api/v1/feedback", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert desk.requests == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8750", "", "[::2]:8750"])
def test_a_name_that_is_not_ours_is_refused(client: TestClient, desk: Desk, host: str) -> None:
    for answer in (
        client.post("/api/v1/feedback", json=SAID, headers={"host": host}),
        client.get("/api/v1/feedback/conflicts", headers={"host": host}),
    ):
        assert answer.status_code == 403
    assert desk.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1:9999", "localhost", "LOCALHOST:8750", "[::1]:8750"])
def test_our_names_are_known_with_any_port(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/feedback/conflicts", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_others_may_not_ask(client: TestClient, desk: Desk, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/feedback", json=SAID, headers=headers).status_code == 403
    assert client.get("/api/v1/feedback/conflicts", headers=headers).status_code == 403
    asked = {**headers, "access-control-request-method": "POST"}
    assert client.options("/api/v1/feedback", headers=asked).status_code >= 400
    assert desk.requests == []


def test_our_own_pages_may_ask(client: TestClient) -> None:
    headers = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert client.post("/api/v1/feedback", json=SAID, headers=headers).status_code == 201


def test_an_allowed_page_may_ask_with_a_token_and_read_the_answer(desk: Desk) -> None:
    page = "https://mes.plant.example"
    access = replace(ACCESS, origins=frozenset({page}), token=TOKEN)
    with TestClient(create_app(desk, access), base_url=HERE) as client:
        before = client.options("/api/v1/feedback", headers={"origin": page, "access-control-request-method": "POST"})
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == page
        assert "authorization" in before.headers["access-control-allow-headers"]
        headers = {"origin": page, "sec-fetch-site": "cross-site", "authorization": f"Bearer {TOKEN}"}
        answer = client.post("/api/v1/feedback", json=SAID, headers=headers)
        assert answer.status_code == 201
        assert answer.headers["access-control-allow-origin"] == page
        refused = client.post("/api/v1/feedback", json=SAID, headers={"origin": page})
        assert refused.status_code == 401


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xe4"]
)
def test_without_the_token_nothing_is_told(with_token: TestClient, desk: Desk, authorization: str) -> None:
    headers = {"authorization": authorization.encode("latin-1")}
    for answer in (
        with_token.post("/api/v1/feedback", json=SAID, headers=headers),
        with_token.get("/api/v1/feedback/conflicts", headers=headers),
        with_token.get("/api/v1/openapi.json", headers=headers),
        with_token.get("/no/such/route", headers=headers),
    ):
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    assert desk.requests == []


def test_with_the_token_it_is(with_token: TestClient) -> None:
    headers = {"authorization": f"bearer {TOKEN}"}
    assert with_token.post("/api/v1/feedback", json=SAID, headers=headers).status_code == 201


def test_a_probe_needs_no_name_and_no_token(with_token: TestClient) -> None:
    answer = with_token.get("/healthz", headers={"host": "10.1.2.3:8750"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_answers_are_neither_kept_nor_guessed_at(client: TestClient) -> None:
    headers = client.get("/api/v1/feedback/conflicts").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_the_schema_of_the_api_names_the_routes(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert set(paths) == {"/api/v1/feedback", "/api/v1/feedback/conflicts"}


def test_what_is_not_there_is_told_as_a_problem(client: TestClient) -> None:
    answer = client.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("expected a route")


def test_a_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(replace(ACCESS, token=TOKEN))


def test_nothing_but_http_is_spoken(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/v1/feedback"):
        pass
    assert closed.value.code == 1008

"""The client of a vision-language model, against a real HTTP server that behaves and misbehaves."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from chat_server import Chat, completion, serving

from inspector.adapters.vision_language import MAX_ANSWER_BYTES, Endpoint, VisionLanguageModel
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError


@pytest.fixture
def chat() -> Iterator[Chat]:
    with serving() as made:
        yield made


def ask(url: str, timeout_s: float = 30.0, ca_file: Path | None = None) -> str:
    endpoint = Endpoint(url, "some-model", "s3cret", ca_file, timeout_s, max_tokens=42)
    return VisionLanguageModel(endpoint).explain('{"frame_id": "f1"}', b"\xff\xd8picture")


@pytest.mark.parametrize("suffix", ["", "/", "/chat/completions"])
def test_it_asks_as_the_field_does(chat: Chat, suffix: str) -> None:
    chat.body = completion("  A scratch.\n")
    assert ask(chat.url + suffix) == "A scratch."
    ((path, headers, body),) = chat.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer s3cret"
    assert (body["model"], body["max_tokens"]) == ("some-model", 42)
    evidence, picture = body["messages"][-1]["content"]
    assert evidence == {"type": "text", "text": '{"frame_id": "f1"}'}
    encoded = picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(encoded) == b"\xff\xd8picture"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://10.0.0.7:8000/v1", "10.0.0.7"),
        ("http://models.plant/v1", "models.plant"),
        ("http://localhost.evil.example/v1", "localhost.evil.example"),
        ("https://models.plant/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://[::1]:8000/v1", None),
        ("http://localhost/v1", None),
    ],
)
def test_what_crosses_a_network_in_clear_is_known(url: str, host: str | None) -> None:
    assert VisionLanguageModel(Endpoint(url, "m")).in_clear == host


def test_proxies_of_the_environment_are_not_asked(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(chat.url) == "A scratch."


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsError),
        (403, CredentialsError),
        (404, BadInputError),
        (429, ServiceUnavailableError),
        (500, ServiceUnavailableError),
        (503, ServiceUnavailableError),
    ],
)
def test_refusals_say_what_to_do(chat: Chat, status: int, error: type[InspectorError]) -> None:
    chat.status, chat.body = status, b"\x1b[2J no such thing"
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        ask(chat.url)
    assert "s3cret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 401, 418, 500])
def test_a_server_that_quotes_the_key_shows_it_to_nobody(chat: Chat, status: int) -> None:
    chat.status, chat.body = status, b'{"error": "Incorrect key: Bearer s3cret"}'
    with pytest.raises(InspectorError, match="Incorrect key") as caught:
        ask(chat.url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["hush\nhush", "hush\xe9", "hush\x00", ""])
def test_a_key_that_cannot_be_sent_is_not_shown(chat: Chat, key: str) -> None:
    with pytest.raises(CredentialsError, match="one line") as caught:
        VisionLanguageModel(Endpoint(chat.url, "m", key)).explain("{}", None)
    assert "hush" not in str(caught.value)
    assert chat.asked == []


def test_half_a_surrogate_pair_can_be_printed(chat: Chat) -> None:
    chat.body = b'{"choices": [{"message": {"content": "A \\ud800 scratch."}}]}'
    assert ask(chat.url).encode() == rb"A \ud800 scratch."


def test_an_answer_that_drips_in_ends_in_time(chat: Chat) -> None:
    left = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not left.wait(0.05):
            handler.wfile.write(b"X-More: to come\r\n")

    chat.write = drip
    try:
        with pytest.raises(ServiceUnavailableError, match=r"within 0\.5 s"):
            ask(chat.url, timeout_s=0.5)
    finally:
        left.set()


def test_a_redirect_is_not_followed(chat: Chat) -> None:
    with serving() as elsewhere:
        chat.status, chat.headers = 307, {"Location": elsewhere.url + "/chat/completions"}
        with pytest.raises(BadInputError, match="HTTP 307"):
            ask(chat.url)
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        completion(None),
        completion(" "),
        completion(["a"]),
        b"[" * 9000,
    ],
)
def test_what_is_no_answer(chat: Chat, body: bytes) -> None:
    chat.body = body
    with pytest.raises(BadInputError, match="OpenAI-compatible"):
        ask(chat.url)


def test_an_endless_answer_ends(chat: Chat) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65_536)

    chat.write = pour
    with pytest.raises(BadInputError, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        ask(chat.url)


def test_a_server_that_hangs_up(chat: Chat) -> None:
    chat.write = lambda handler: handler.connection.close()
    with pytest.raises(ServiceUnavailableError):
        ask(chat.url)


def test_a_server_that_never_answers() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        pytest.raises(ServiceUnavailableError, match=r"within 0\.2 s"),
    ):
        ask(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", timeout_s=0.2)


def test_nobody_there_and_addresses_that_are_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServiceUnavailableError):
        ask(f"http://127.0.0.1:{port}/v1")
    for url in ("ftp://127.0.0.1/v1", "http://[::1/v1", "no address"):
        with pytest.raises(InspectorError):
            ask(url)
    with pytest.raises(BadInputError, match="ca_file"):
        ask("https://127.0.0.1/v1", ca_file=tmp_path / "none.pem")


def test_a_certificate_nobody_vouches_for_is_refused(chat: Chat) -> None:
    with pytest.raises(ServiceUnavailableError):
        ask(chat.url.replace("http://", "https://"))

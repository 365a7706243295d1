"""Where Kafka is and who we are: a bad TLS file is told at once, and a broken socket is no bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kafka.net.inet import KafkaNetSocket
from log_worlds import KafkaWorld

from inspector.adapters.kafka.connection import KafkaConnection, admin_client, translated_errors
from inspector.domain.errors import BadInputError, ServiceUnavailableError


@pytest.mark.parametrize("setting", ["ssl_cafile", "ssl_certfile"])
@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_a_tls_file_that_cannot_be_used_is_told_before_any_connection(
    tmp_path: Path, protocol: str, setting: str
) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for file in (garbage, tmp_path, tmp_path / "missing.pem"):
        with pytest.raises(BadInputError, match=f"TLS files: {file}"):
            KafkaConnection("127.0.0.1:9", protocol, **{setting: str(file)})  # type: ignore[arg-type]  # one is text


def test_tls_files_do_not_matter_without_tls() -> None:
    assert "ssl_cafile" in KafkaConnection("127.0.0.1:9", ssl_cafile="missing.pem").client_options()


@pytest.mark.parametrize("error", [BrokenPipeError(), TimeoutError(), OSError("too many open files")])
def test_a_broken_socket_is_a_service_that_is_away(error: OSError) -> None:
    with pytest.raises(ServiceUnavailableError), translated_errors(KafkaConnection("127.0.0.1:9")):
        raise error


def test_attempts_to_connect_that_fail_leave_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = KafkaNetSocket.socket

    def noting(*arguments: Any) -> Any:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(KafkaNetSocket, "socket", noting)
    away = KafkaConnection("127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError), translated_errors(away), admin_client(away, 0.5):
        pass
    assert made
    assert [sock for sock in made if sock.fileno() != -1] == []


@pytest.mark.services
def test_an_error_of_the_system_in_a_poll_is_survived(request: pytest.FixtureRequest) -> None:
    world = KafkaWorld(request.getfixturevalue("services").kafka_bootstrap)
    log: Any = world.open("1")

    def fail(**_: object) -> None:
        raise OSError("too many open files")

    log._consumer.poll = fail
    with pytest.raises(ServiceUnavailableError, match="too many open files"):
        log.poll(0.1, 1)
    log.poll(1.0, 1)  # by then with a consumer made anew
    world.close()

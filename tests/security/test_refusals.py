"""Who cannot prove who he is gets no connection, in seconds and with the reason; secrets stay out of what is said."""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import Authority, Certificate
from secured import ADMIN, SECRET, Secured

from inspector.adapters.kafka.connection import KafkaConnection, check
from inspector.adapters.redis.connection import RedisAccess, connect
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

TIMEOUT_S = 3.0


def refusal(connection: KafkaConnection) -> InspectorError:
    with pytest.raises(InspectorError) as caught:
        check(connection, TIMEOUT_S)
    # As a log would show it, with everything it was raised from and for whom.
    shown = "".join(traceback.format_exception(caught.value)) + repr(connection)
    assert SECRET not in shown
    return caught.value


@pytest.mark.parametrize("change", [{"sasl_password": f"{SECRET}-wrong"}, {"sasl_username": "nobody"}])
def test_a_wrong_name_or_password_is_told_as_such(secured: Secured, change: Mapping[str, str]) -> None:
    error = refusal(replace(secured.connection("operator"), **change))
    assert isinstance(error, CredentialsError)
    assert "invalid credentials" in str(error)


def test_another_mechanism_is_refused(secured: Secured) -> None:
    assert isinstance(
        refusal(replace(secured.connection("operator"), sasl_mechanism="SCRAM-SHA-256")), CredentialsError
    )


def test_a_broker_of_another_authority_is_not_believed(secured: Secured, tmp_path: Path) -> None:
    stranger = str(Authority(tmp_path).file)
    for ca_file in (stranger, None):
        error = refusal(replace(secured.connection("operator"), ssl_cafile=ca_file))
        assert isinstance(error, ServiceUnavailableError)
        assert "kafka.security.ca_file" in str(error)


@pytest.mark.parametrize(("listener", "says"), [("expired", "expired"), ("elsewhere", "IP address mismatch")])
def test_a_brokers_certificate_that_has_expired_or_is_anothers_is_not_believed(
    secured: Secured, listener: str, says: str
) -> None:
    address = f"127.0.0.1:{secured.more_listeners[listener]}"
    error = refusal(KafkaConnection(address, "SSL", ssl_cafile=str(secured.authority.file)))
    assert says in str(error)
    assert "until when" in str(error)


# The client's loop may end before it has closed the socket of its last attempt, which Python then does.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_a_client_without_tls_gets_nowhere_and_is_told_where_to_look(secured: Secured, protocol: str) -> None:
    error = refusal(replace(secured.connection("operator"), security_protocol=protocol))
    assert isinstance(error, ServiceUnavailableError)
    assert "kafka.security.protocol" in str(error)


def test_a_client_certificate_opens_a_listener_that_asks_for_one(secured: Secured, tmp_path: Path) -> None:
    address = f"127.0.0.1:{secured.more_listeners['mutual']}"
    own = secured.certificates["kafka"]
    plain = KafkaConnection(address, "SSL", ssl_cafile=str(secured.authority.file))
    check(replace(plain, ssl_certfile=str(own.certificate), ssl_keyfile=str(own.key)), TIMEOUT_S)
    refusal(plain)
    stranger = Authority(tmp_path).sign("kafka")
    refusal(replace(plain, ssl_certfile=str(stranger.certificate), ssl_keyfile=str(stranger.key)))


def test_sasl_without_a_password_is_told_before_any_connection(secured: Secured) -> None:
    with pytest.raises(BadInputError, match="no password"):
        replace(secured.connection("operator"), sasl_password=None)
    with pytest.raises(BadInputError, match="no user name"):
        replace(secured.connection("operator"), sasl_username=None)


def test_redis_is_reached_with_a_name_a_password_and_its_authority(secured: Secured) -> None:
    url = f"rediss://127.0.0.1:{secured.redis_port}/0"
    ca_file = str(secured.authority.file)
    connect(url, access=RedisAccess(ADMIN, f"{SECRET}-{ADMIN}", ca_file)).close()
    for access in (
        RedisAccess(ADMIN, f"{SECRET}-wrong", ca_file),
        RedisAccess("nobody", f"{SECRET}-{ADMIN}", ca_file),
        RedisAccess(ca_file=ca_file),
    ):
        error = redis_refusal(url, access)
        assert isinstance(error, CredentialsError)
        assert "redis.username" in str(error)
    assert "redis.ca_file" in str(redis_refusal(url, RedisAccess(ADMIN, f"{SECRET}-{ADMIN}")))


def redis_refusal(url: str, access: RedisAccess) -> InspectorError:
    with pytest.raises(InspectorError) as caught:
        connect(url, timeout_s=TIMEOUT_S, access=access)
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(access)
    return caught.value


def test_redis_without_tls_gets_nowhere(secured: Secured) -> None:
    plain = f"redis://127.0.0.1:{secured.redis_port}/0"
    error = redis_refusal(plain, RedisAccess(ADMIN, f"{SECRET}-{ADMIN}"))
    assert isinstance(error, ServiceUnavailableError)
    assert "rediss://" in str(error)
    with pytest.raises(BadInputError, match="begin with rediss://"):
        connect(plain, access=RedisAccess(ca_file=str(secured.authority.file)))


@pytest.mark.parametrize(
    ("certificate", "says"), [("expired", "certificate has expired"), ("elsewhere", "IP address mismatch")]
)
def test_a_redis_certificate_that_has_expired_or_is_anothers_is_not_believed(
    secured: Secured, tmp_path: Path, certificate: str, says: str
) -> None:
    with redis_showing(secured.certificates[certificate], secured.authority, tmp_path) as port:
        error = redis_refusal(f"rediss://127.0.0.1:{port}/0", RedisAccess(ca_file=str(secured.authority.file)))
    assert isinstance(error, ServiceUnavailableError)
    assert says in str(error)
    assert "until when" in str(error)


@contextmanager
def redis_showing(certificate: Certificate, authority: Authority, folder: Path) -> Iterator[int]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port), "--dir", str(folder)]
    command += ["--tls-cert-file", str(certificate.certificate), "--tls-key-file", str(certificate.key), "--save", ""]
    command += ["--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "no"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert any(b"Ready to accept connections" in line for line in server.stdout)
        yield port
    finally:
        server.terminate()
        server.communicate()

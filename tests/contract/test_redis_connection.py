"""What Redis refuses, in a person's words, leaves nothing half done. On servers of the test's own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect, translated
from inspector.adapters.redis.doctor import check
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ports import StoreStatus

pytestmark = pytest.mark.services
PASSWORD = "s3cret-pass/word"
SECRET_PARTS = (PASSWORD, "s3cret", "%2Fword")


@dataclass
class Server:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b"Ready to accept connections" in line:
                return
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = Server(tmp_path, port)
    yield own
    own.stop()


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    server.start()
    made = connect(server.url, timeout_s=2)
    yield made
    made.close()


def store_on(client: redis.Redis) -> RedisResultStore:
    return RedisResultStore(client, group_id="g", retention=Retention())


def write(offset: int) -> Inspected:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    source = FrameSource("frames", 0, offset)
    result = InspectionResult(
        f"f{offset}", "cam", "line", "plate", now, now, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "w", "m", source,
        {}, 1280, 1024,
    )  # fmt: skip
    return Inspected(source, result, None, Evidence(overlay=b"o" * 100_000))


def test_a_server_that_is_not_there(server: Server) -> None:
    with pytest.raises(ServiceUnavailableError) as caught:
        connect(f"redis://:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{server.port}/0", timeout_s=2)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert not any(part in str(caught.value) for part in SECRET_PARTS)


def test_a_server_that_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ServiceUnavailableError, match="none in time"):
            connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@host:port-not-a-number/0",
        f"kafka://:{PASSWORD}@host",
        f"redis://u:{PASSWORD}@[broken",
        "",
        "redis://127.0.0.1/0?no_such_option=1",
    ],
)
def test_a_url_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(BadInputError) as caught:
        connect(url)
    assert not any(part in str(caught.value) for part in SECRET_PARTS)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("user", ["", ":wrong-secret@", "nobody:wrong-secret@"])
def test_wrong_credentials(server: Server, user: str) -> None:
    server.start("--requirepass", PASSWORD)
    with pytest.raises(CredentialsError) as caught:
        connect(f"redis://{user}127.0.0.1:{server.port}/0")
    assert "wrong-secret" not in str(caught.value)


def test_a_user_who_may_not_write(client: redis.Redis, server: Server) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-set"])
    reader = connect(f"redis://reader:pw@127.0.0.1:{server.port}/0")
    with pytest.raises(CredentialsError):
        store_on(reader).store([write(1)], 1)
    reader.close()


def test_a_full_server_takes_nothing_of_a_result_and_the_same_call_succeeds_later(client: redis.Redis) -> None:
    store = store_on(client)
    store.store([write(1)], 1)
    before = set(client.keys())
    client.config_set("maxmemory", "1mb")
    with pytest.raises(ServiceUnavailableError, match="memory"):
        store.store([write(1), write(2)], 2)
    assert set(client.keys()) == before
    assert client.get(keys.fence("g", "frames", 0)) == b"1"
    client.config_set("maxmemory", "0")
    assert list(store.store([write(1), write(2)], 2)) == [StoreStatus.STORED] * 2


def test_a_replica_refuses_for_now(client: redis.Redis, server: Server) -> None:
    client.replicaof("127.0.0.1", str(server.port + 1 if server.port < 65535 else 1))
    with pytest.raises(ServiceUnavailableError, match="primary"):
        store_on(client).store([write(1)], 1)


def test_what_was_stored_survives_a_kill_and_the_store_goes_on(client: redis.Redis, server: Server) -> None:
    store = store_on(client)
    assert list(store.store([write(1)], 3)) == [StoreStatus.STORED]
    assert server.process is not None
    server.process.kill()
    server.process.communicate()
    with pytest.raises(ServiceUnavailableError):
        store.store([write(2)], 3)
    server.start()
    assert client.exists(keys.result("f1"), keys.overlay("f1")) == 2
    # The script is unknown to the new process, the fence is not.
    assert list(store.store([write(1)], 2)) == [StoreStatus.FENCED]
    assert list(store.store([write(1), write(2)], 3)) == [StoreStatus.STORED] * 2
    assert client.xlen(keys.stream("cam")) == 2


def test_somebody_elses_key_is_reported_and_not_waited_for(client: redis.Redis) -> None:
    client.rpush(keys.result("f1"), "x")
    with pytest.raises(BadInputError, match="WRONGTYPE"):
        store_on(client).store([write(1)], 1)


def test_a_script_forgotten_between_load_and_call_is_worth_another_call(client: redis.Redis) -> None:
    with pytest.raises(ServiceUnavailableError, match="NOSCRIPT"), translated(client):
        client.evalsha("0" * 40, 0)


def test_doctor_finds_nothing_to_say_about_a_good_server(client: redis.Redis, server: Server) -> None:
    found = check(server.url)
    assert found.findings == ()
    assert found.version == client.info()["redis_version"]


def test_doctor_says_what_would_lose_results(client: redis.Redis, server: Server) -> None:
    client.config_set("appendfsync", "everysec")
    client.config_set("maxmemory-policy", "allkeys-lru")
    findings = " | ".join(check(server.url).findings)
    assert "appendfsync always, got everysec" in findings
    assert "noeviction, got allkeys-lru" in findings
    client.config_set("appendonly", "no")
    assert "appendonly yes, got no" in " ".join(check(server.url).findings)


def test_doctor_copes_with_a_server_that_hides_its_configuration(client: redis.Redis, server: Server) -> None:
    client.acl_setuser("managed", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-config"])
    findings = check(f"redis://managed:pw@127.0.0.1:{server.port}/0").findings
    assert findings == ("expected appendfsync always, the server does not tell: ask who runs it",)

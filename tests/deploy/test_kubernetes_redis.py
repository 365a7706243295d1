"""The Redis of k8s/ as its containers start it: a real server with the same file and arguments."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from kube_objects import K8S, script
from local_services import ROOT

pytestmark = pytest.mark.services

COMPONENTS = K8S / "components"
PASSWORD = "plant-7-summer"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Secrets `redis-tls` and `redis-users` hold; beside the roles a user who may see the configuration."""
    folder = tmp_path_factory.mktemp("redis-secrets")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
    access = script(ROOT / "deploy" / "security" / "access.py")
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    roles = access.acl_file({"inspector": PASSWORD})
    (folder / "users.acl").write_text(f"{roles}user examiner on #{digest} ~* +@all\n")
    return folder


@pytest.fixture(scope="module")
def port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with _started(secrets, tmp_path_factory.mktemp("redis-data")) as number:
        yield number


@contextmanager
def _started(secrets: Path, data: Path) -> Iterator[int]:
    """The port of a server that was started as `secure` starts it, with its files elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    config = (COMPONENTS / "redis" / "redis.conf").read_text().replace("dir /data", f"dir {data}")
    (data / "redis.conf").write_text(config)
    elsewhere = {"/etc/redis": str(data), "/run/secrets/redis": str(secrets)}
    arguments = [_moved(each, elsewhere, number) for each in _container()["args"]]
    with (data / "log").open("wb") as log:
        server = subprocess.Popen([*arguments, "--bind", "127.0.0.1"], stdout=log, stderr=log)
    try:
        _wait_for(number, server, data / "log")
        yield number
    finally:
        server.terminate()
        server.wait(30)


def _container() -> dict[str, Any]:
    patch = yaml.safe_load((COMPONENTS / "secure" / "redis.yaml").read_text())
    container: dict[str, Any] = patch["spec"]["template"]["spec"]["containers"][0]
    return container


def _moved(argument: str, elsewhere: dict[str, str], port: int) -> str:
    for place, here in elsewhere.items():
        argument = argument.replace(place, here)
    return str(port) if argument == "6379" else argument


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)


def _client(port: int, secrets: Path, user: str) -> redis.Redis:
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        username=user,
        password=PASSWORD,
        ssl=True,
        ssl_ca_certs=str(secrets / "ca.crt"),
        decode_responses=True,
    )


def test_what_it_says_yes_to_is_on_disk(port: int, secrets: Path) -> None:
    with _client(port, secrets, "examiner") as examiner:
        told = examiner.config_get("append*", "maxmemory*", "save")
    assert told["appendonly"] == "yes"
    assert told["appendfsync"] == "always"
    assert told["save"] == ""
    assert told["maxmemory-policy"] == "noeviction"
    # Below the container's limit, with room for a rewrite of the log.
    limit = next(yaml.safe_load_all((COMPONENTS / "redis" / "redis.yaml").read_text()))
    resources = limit["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert int(told["maxmemory"]) <= int(resources["memory"].removesuffix("Gi")) * 2**30 * 0.6


def test_a_role_does_its_work_and_no_more(port: int, secrets: Path) -> None:
    with _client(port, secrets, "inspector") as inspector:
        assert inspector.set("inspection:result:1", "{}")
        with pytest.raises(redis.exceptions.NoPermissionError):
            inspector.flushall()


def test_a_new_user_is_let_in_once_the_server_is_started_again_and_nothing_is_lost(
    secrets: Path, tmp_path: Path
) -> None:
    """deploy/day-two/secrets.md: a Secret that changes changes nothing before."""
    own, data = tmp_path / "secrets", tmp_path / "data"
    shutil.copytree(secrets, own)
    data.mkdir()
    access = script(ROOT / "deploy" / "security" / "access.py")
    with _started(own, data) as port:
        with _client(port, own, "inspector") as inspector:
            inspector.set("inspection:result:1", "{}")
        (own / "users.acl").write_text(access.acl_file({"inspector": PASSWORD, "watch": PASSWORD}))
        with _client(port, own, "watch") as watch, pytest.raises(redis.exceptions.AuthenticationError):
            watch.ping()
    with _started(own, data) as port, _client(port, own, "watch") as watch:
        assert watch.get("inspection:result:1") == "{}"


def test_the_probe_takes_what_a_stranger_is_told(port: int, secrets: Path) -> None:
    """Nobody without a password is told more, so this answer has to mean that it lives."""
    command = _container()["livenessProbe"]["exec"]["command"][2]
    assert command.startswith("redis-cli ")
    here = command.replace("/run/secrets/redis", str(secrets)).replace("redis-cli ", f"redis-cli -p {port} ", 1)
    assert subprocess.run(["sh", "-c", here], capture_output=True, check=False).returncode == 0
    gone = here.replace(f"-p {port}", "-p 1")
    assert subprocess.run(["sh", "-c", gone], capture_output=True, check=False).returncode != 0

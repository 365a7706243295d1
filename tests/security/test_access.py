"""deploy/security/access.py says what did not come about: rights that only seem to be given are none."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from kafka import errors
from secured import ACCESS

from inspector.domain.errors import BadInputError

CLOSED = "user default off\nuser boss on >boss-pw ~* &* +@all\n"
OPEN = "user default on nopass ~* &* +@all\n"
GUARDED = "user default on >boss-pw ~* &* +@all\nuser boss on >boss-pw ~* &* +@all\n"


@pytest.fixture(scope="module")
def access() -> ModuleType:
    spec = importlib.util.spec_from_file_location("access", ACCESS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["access"] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def redis_with(folder: Path, users: str | None) -> Iterator[int]:
    """Run a Redis whose ACL file, if it has one, holds these users; yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    if users is not None:
        file = folder / "users.acl"
        if not file.exists():
            file.write_text(users)
        command += ["--aclfile", str(file)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert any(b"Ready to accept connections" in line for line in server.stdout)
        yield port
    finally:
        server.terminate()
        server.communicate()


def applied(folder: Path, port: int, user: str | None) -> subprocess.CompletedProcess[str]:
    passwords = folder / "passwords"
    passwords.mkdir(exist_ok=True)
    (passwords / "operator").write_text("operator-pw\n")
    who = {} if user is None else {"username": user, "password": "boss-pw"}
    config = folder / "admin.yaml"
    config.write_text(json.dumps({"redis": {"url": f"redis://127.0.0.1:{port}/0", **who}}))
    command = [sys.executable, str(ACCESS), "redis", "-c", str(config), "--apply", "--passwords", str(passwords)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_roles_are_still_there_when_redis_has_started_again(tmp_path: Path) -> None:
    with redis_with(tmp_path, CLOSED) as port:
        done = applied(tmp_path, port, "boss")
        assert (done.returncode, done.stderr) == (0, "")
    with redis_with(tmp_path, CLOSED) as port:
        client = redis.Redis(port=port, username="operator", password="operator-pw")
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
        client.close()


def test_a_redis_that_forgets_its_users_is_refused_unchanged(tmp_path: Path) -> None:
    with redis_with(tmp_path, None) as port:
        client = redis.Redis(port=port)
        client.execute_command("ACL", "SETUSER", "boss", "on", ">boss-pw", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "off")
        done = applied(tmp_path, port, "boss")
        assert done.returncode == 1
        assert "aclfile" in done.stderr
        assert client.execute_command("ACL", "USERS") == [b"boss", b"default"]
        client.close()


def test_a_redis_that_lets_everybody_in_is_refused_and_one_with_an_open_superuser_told(tmp_path: Path) -> None:
    for name, users, code, says in (("open", OPEN, 1, "default off"), ("guarded", GUARDED, 0, "warning: ")):
        folder = tmp_path / name
        folder.mkdir()
        with redis_with(folder, users) as port:
            done = applied(folder, port, None if users == OPEN else "boss")
        assert done.returncode == code
        assert says in done.stderr
        assert ("user operator" in (folder / "users.acl").read_text()) is (code == 0)


def test_an_empty_password_is_none(access: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "operator").write_text("\n")
    with pytest.raises(BadInputError, match="which is empty"):
        access.read_passwords(tmp_path)


class Refusing:
    """A Kafka that refuses one of three things, as kafka-python tells it: by what it returns."""

    def __init__(self, refused: str) -> None:
        self._refused = refused

    def create_acls(self, acls: list[Any]) -> dict[str, list[Any]]:
        failed = [errors.SecurityDisabledError] if self._refused == "create" else []
        return {"succeeded": acls[len(failed) :], "failed": failed}

    def describe_acls(self, _: object) -> tuple[list[Any], type]:
        from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

        pattern = ResourcePattern(ResourceType.TOPIC, "old")
        return [ACL("User:producer", "*", ACLOperation.READ, ACLPermissionType.ALLOW, pattern)], errors.NoError

    def delete_acls(self, filters: list[Any]) -> list[tuple[Any, list[Any], type]]:
        error = errors.ClusterAuthorizationFailedError if self._refused == "delete" else errors.NoError
        return [(each, [], error) for each in filters]


def test_what_kafka_refuses_is_raised(access: ModuleType) -> None:
    rules = [access.KafkaRule("producer", "TOPIC", "frames", "LITERAL", "WRITE")]
    access._apply_role(Refusing("nothing"), "producer", rules)
    with pytest.raises(errors.SecurityDisabledError, match="1 of 1 rights of producer"):
        access._apply_role(Refusing("create"), "producer", rules)
    with pytest.raises(errors.ClusterAuthorizationFailedError, match="not taken back"):
        access._apply_role(Refusing("delete"), "producer", rules)
    access._require_taken({"producer": None})
    with pytest.raises(BadInputError, match="producer: Unacceptable"):
        access._require_taken({"producer": "Unacceptable iterations", "operator": None})

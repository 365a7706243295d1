"""Sentinel with TLS, users and passwords everywhere: roles are on every server, and still known after a failover."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from certificates import Authority
from local_services import ROOT
from sentinel_servers import SERVICE, Extra, SentinelServers, sentinel_servers

from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import RedisAccess, connect
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError

pytestmark = [pytest.mark.services, pytest.mark.long]

ACCESS = ROOT / "deploy" / "security" / "access.py"
SUPERUSER, SECRET = "superuser", "s3cret-super"
TIMEOUT_S = 2.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def servers(tmp_path: Path, authority: Authority) -> Iterator[SentinelServers]:
    """Two Redis and three sentinels that talk TLS alone; Redis knows one superuser, the sentinels one password."""
    signed = authority.sign("redis")
    tls = {
        "tls-cert-file": signed.certificate, "tls-key-file": signed.key, "tls-ca-cert-file": authority.file,
        "tls-auth-clients": "no", "tls-replication": "yes",
    }  # fmt: skip
    users = tmp_path / "users.acl"
    users.write_text(f"user default off\nuser {SUPERUSER} on >{SECRET} ~* &* +@all\n")
    options = [part for name, value in tls.items() for part in (f"--{name}", str(value))]
    # A file of its own for each server, which saves its users there.
    options += ["--masteruser", SUPERUSER, "--masterauth", SECRET, "--aclfile", "users.acl"]
    lines = "".join(f"{name} {value}\n" for name, value in tls.items())
    lines += f"sentinel auth-user {SERVICE} {SUPERUSER}\nsentinel auth-pass {SERVICE} {SECRET}\n"
    who = {"username": SUPERUSER, "password": SECRET, "ssl": True, "ssl_ca_certs": str(authority.file)}
    with sentinel_servers(tmp_path / "servers", extra=Extra(options, lines, [users], who)) as made:
        yield made


def test_roles_are_known_to_every_server_and_so_after_a_failover(
    servers: SentinelServers, authority: Authority, tmp_path: Path
) -> None:
    ca_file = str(authority.file)
    secrets = {"password_file": SECRET, "sentinel_password_file": servers.password}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    files = {name: str(tmp_path / name) for name in secrets}
    config = tmp_path / "admin.yaml"
    config.write_text(json.dumps({"redis": {"url": servers.url, "username": SUPERUSER, "ca_file": ca_file, **files}}))
    passwords = tmp_path / "passwords"
    passwords.mkdir()
    (passwords / "setup").write_text("setup-pw")
    command = [sys.executable, str(ACCESS), "redis", "-c", str(config), "--apply", "--passwords", str(passwords)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    role = RedisAccess("setup", "setup-pw", ca_file, sentinel_password=servers.password)
    with connect(servers.url, timeout_s=TIMEOUT_S, access=role) as client:
        artefacts = RedisArtefactStore(client)
        version = artefacts.put(b"a bank")
        servers.kill_primary()
        deadline = time.monotonic() + 60
        while True:
            try:
                assert artefacts.get(version) == b"a bank"
                break
            except ServiceUnavailableError:
                assert time.monotonic() < deadline, servers.logs()
                time.sleep(0.1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()


def test_who_is_not_let_in_and_whom_we_do_not_believe(
    servers: SentinelServers, authority: Authority, tmp_path: Path
) -> None:
    ca_file = str(authority.file)
    with pytest.raises(CredentialsError, match=r"redis\.username"):
        connect(servers.url, timeout_s=TIMEOUT_S, access=RedisAccess(
            SUPERUSER, "wrong", ca_file, sentinel_password=servers.password,
        ))  # fmt: skip
    with pytest.raises(CredentialsError, match=r"redis\.sentinel_username"):
        connect(servers.url, timeout_s=TIMEOUT_S, access=RedisAccess(
            SUPERUSER, SECRET, ca_file, sentinel_password="wrong",
        ))  # fmt: skip
    plain = servers.url.replace("rediss", "redis")
    with pytest.raises(BadInputError, match=r"rediss\+sentinel://"):
        connect(plain, timeout_s=TIMEOUT_S, access=RedisAccess(ca_file=ca_file, sentinel_password=servers.password))
    stranger = str(Authority(tmp_path / "stranger").file)
    with pytest.raises(ServiceUnavailableError, match=r"redis\.ca_file"):
        connect(servers.url, timeout_s=TIMEOUT_S, access=RedisAccess(
            SUPERUSER, SECRET, stranger, sentinel_password=servers.password,
        ))  # fmt: skip

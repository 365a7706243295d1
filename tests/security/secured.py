"""Servers that are secured as in a factory, and commands and connections in the name of a role."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from certificates import Authority, Certificate
from local_services import LOCAL, ROOT

from inspector.adapters.kafka.connection import KafkaConnection, check
from inspector.apps import wiring
from inspector.domain.errors import ServiceUnavailableError
from inspector.settings import Settings, load

ACCESS = ROOT / "deploy" / "security" / "access.py"
ROLES: Mapping[str, Any] = yaml.safe_load((ROOT / "deploy" / "security" / "roles.yaml").read_text())
# Passwords that no log, error or command line may show: none of their parts is a word that could be there by chance.
SECRET = "s3cr3t-Qq7"
ADMIN = "admin"
START_LIMIT_S = 240.0


@dataclass
class Secured:
    """Addresses, certificates, and one folder with settings and passwords."""

    dir: Path
    authority: Authority
    kafka: str
    redis_port: int
    more_listeners: Mapping[str, int]
    certificates: Mapping[str, Certificate]

    def settings_file(self, role: str, name: str | None = None, **sections: Any) -> Path:
        """Write the settings of a role; its password is named by the file that holds it."""
        password = {"username": role, "password_file": str(self.dir / "passwords" / role)}
        ca_file = str(self.authority.file)
        content: dict[str, Any] = {
            "kafka": {
                "bootstrap_servers": self.kafka,
                "partitions": 3,
                "security": {"protocol": "SASL_SSL", "ca_file": ca_file, **password},
            },
            "redis": {"url": f"rediss://127.0.0.1:{self.redis_port}/0", "ca_file": ca_file, **password},
        }
        path = self.dir / f"{name or role}.yaml"
        path.write_text(json.dumps(_merged(content, sections)))
        return path

    def settings(self, role: str) -> Settings:
        return load(self.settings_file(role, f"{role}-own"))

    def connection(self, role: str) -> KafkaConnection:
        return wiring.kafka_connection(self.settings(role))

    def redis(self, role: str) -> Any:
        return wiring.redis_client(self.settings(role))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def run(config: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; the caller looks at its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "inspector", *arguments, "-c", str(config)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, **environment},
    )


@contextmanager
def running_secured(folder: Path) -> Iterator[Secured]:
    """Start both servers, give the roles their rights with deploy/security/access.py, and create the topics."""
    authority = Authority(folder / "authority")
    certificates = {
        "kafka": authority.sign("kafka"),
        "redis": authority.sign("redis"),
        "expired": authority.sign("expired", days=-1),
        "elsewhere": authority.sign("elsewhere", "DNS:kafka.elsewhere.example"),
    }
    passwords = folder / "passwords"
    passwords.mkdir()
    for user in (ADMIN, *ROLES):
        (passwords / user).write_text(f"{SECRET}-{user}\n")
    acl_file, spec = folder / "users.acl", folder / "spec.json"
    acl_file.write_text(f"user default off\nuser {ADMIN} on >{SECRET}-{ADMIN} ~* &* +@all\n")
    spec.write_text(
        json.dumps(
            {
                "password": f"{SECRET}-{ADMIN}",
                "ca_file": str(authority.file),
                "redis_acl_file": str(acl_file),
                "redis_key": str(certificates["redis"].key),
                "redis_certificate": str(certificates["redis"].certificate),
                **{f"{name}_certificate": str(certificates[name].both) for name in ("kafka", "expired", "elsewhere")},
            }
        )
    )
    up = [sys.executable, str(Path(__file__).with_name("secured_up.py")), str(folder / "services"), str(spec)]
    try:
        done = subprocess.run(up, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        printed = json.loads(done.stdout)
        more = {name: printed[name] for name in ("expired", "elsewhere", "mutual")}
        servers = Secured(folder, authority, printed["kafka"], printed["redis_port"], more, certificates)
        _await(servers)
        _give_rights(servers)
        yield servers
    finally:
        subprocess.run([sys.executable, str(LOCAL / "down"), str(folder / "services")], check=True)


def _await(servers: Secured) -> None:
    host, port = servers.kafka.split(":")
    deadline_s = time.monotonic() + START_LIMIT_S
    while not _listens(host, int(port)):
        assert time.monotonic() < deadline_s, "Kafka did not start"
        time.sleep(0.2)
    while True:
        try:
            check(servers.connection(ADMIN), 10.0)
            servers.redis(ADMIN).close()
            return
        except ServiceUnavailableError:
            if time.monotonic() > deadline_s:
                raise


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1.0):
        return True
    return False


def _give_rights(servers: Secured) -> None:
    config = servers.settings_file(ADMIN)
    for server in ("kafka", "redis"):
        command = [sys.executable, str(ACCESS), server, "-c", str(config), "--apply"]
        done = subprocess.run(
            [*command, "--passwords", str(servers.dir / "passwords")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    created = run(servers.settings_file("administrator"), "topics", "create")
    assert created.returncode == 0, created.stderr

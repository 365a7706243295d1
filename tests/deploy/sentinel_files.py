"""The secrets of `secure-sentinel` as files: what README has one make for Redis and its sentinels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_services import ROOT
from sentinel_pods import HOSTS

SECURITY = ROOT / "deploy" / "security"


def secrets(folder: Path, passwords: Mapping[str, str]) -> Path:
    """Write what README has one make: `redis-tls` and `redis-users`."""
    given = folder / "given"
    given.mkdir(parents=True, exist_ok=True)
    for name, password in passwords.items():
        (given / name).write_text(f"{password}\n")
        (folder / name).write_text(f"{password}\n")
    made = {
        "users.acl": (("access.py", "redis"), ("sentinel.py", "servers")),
        "sentinels.acl": (("sentinel.py", "sentinels"),),
    }
    for file, commands in made.items():
        printed = [
            subprocess.run(
                [sys.executable, str(SECURITY / script), of, "--passwords", str(given)],
                check=True, capture_output=True, text=True,
            ).stdout
            for script, of in commands
        ]  # fmt: skip
        (folder / file).write_text("".join(printed))
    return folder


def certificate(folder: Path) -> None:
    names = ",".join(f"IP:{host}" for host in HOSTS)
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=redis", "-addext", f"subjectAltName={names}",
            "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())


def as_sentinel(own: Path) -> dict[str, Any]:
    """How servers are asked that were started with the secrets of ``own``, whatever becomes of these."""
    return {
        "ssl": True, "ssl_ca_data": (own / "ca.crt").read_text(), "username": "sentinel",
        "password": (own / "sentinel").read_text().rstrip("\n"),
    }  # fmt: skip

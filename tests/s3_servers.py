"""S3 servers for tests, each a process of its own on a free port."""

from __future__ import annotations

import contextlib
import importlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from local_services import LOCAL, ROOT

_START_LIMIT_S = 120.0
_KEY, _SECRET = "inspector-test", "a secret of the tests"


@dataclass(frozen=True)
class S3Server:
    """Where it is and who may use it."""

    endpoint: str
    access_key_id: str = _KEY
    secret_access_key: str = _SECRET

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def client(self):
        """Another client than the one under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
        )


@contextlib.contextmanager
def moto(log: Path) -> Iterator[S3Server]:
    """Moto's server: quick to start; it keeps objects in memory and checks no signature."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, S3Server(f"http://127.0.0.1:{port}"), log) as server:
        yield server


@contextlib.contextmanager
def s3proxy(folder: Path) -> Iterator[S3Server]:
    """S3Proxy over memory: another implementation, which checks signatures; its jars are fetched once by Maven.

    Over a folder it lists the file system's directories too, which no store of objects has.
    """
    sys.path.insert(0, str(LOCAL))
    try:
        jars = importlib.import_module("jars")
    finally:
        sys.path.remove(str(LOCAL))
    pinned = ROOT / "tests" / "s3proxy"
    library = jars.verified(pinned, ROOT / ".cache" / "s3proxy-2.6.0" / "lib", "S3Proxy 2.6.0", "43 MB")
    endpoint = f"http://127.0.0.1:{free_port()}"
    settings = {
        "s3proxy.endpoint": endpoint,
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": _KEY,
        "s3proxy.credential": _SECRET,
        "jclouds.provider": "transient-nio2",
        "jclouds.identity": "none",
        "jclouds.credential": "none",
    }
    properties = folder / "s3proxy.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    command = ["java", "-Xmx256m", "-XX:+UseSerialGC", f"-Dlogback.configurationFile={pinned / 'logback.xml'}"]
    command += ["-cp", f"{library}/*", "org.gaul.s3proxy.Main", "--properties", str(properties)]
    with _running(command, S3Server(endpoint), folder / "log") as server:
        yield server


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], server: S3Server, log: Path) -> Iterator[S3Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            _wait_until_it_answers(process, server, log)
            yield server
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    client = server.client()
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.list_buckets()
            return
        time.sleep(0.1)
    raise RuntimeError(f"expected an S3 server at {server.endpoint}, it said:\n{log.read_text()[-2000:]}")

"""A primary, its replicas and three sentinels of a test's own, which it may kill and stop."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SERVICE = "line"
SENTINELS = 3
DOWN_AFTER_MS = 2000


@dataclass(frozen=True)
class Extra:
    """What secured servers are told, and who asks them: options and files of Redis, lines of a sentinel's file."""

    redis: Sequence[str] = ()
    sentinel: str = ""
    files: Sequence[Path] = ()
    client: Mapping[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> Sequence[str]:
        """Options that a server's port is told with."""
        return ("--port", "0", "--tls-port") if self.client.get("ssl") else ("--port",)


@dataclass
class Server:
    """One process; ``arguments`` end where its port belongs, which it keeps when it is started again."""

    folder: Path
    port: int
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *more: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["redis-server", *self.arguments, str(self.port), "--bind", "127.0.0.1", *more],
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def send(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def end(self) -> None:
        """SIGKILL, also one that is stopped."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None


class SentinelServers:
    """``redis`` are the servers, the first of which begins as the primary; ``password`` is the sentinels' own."""

    def __init__(self, folder: Path, replicas: int, password: str, extra: Extra) -> None:
        self.password = password
        self._extra = extra
        ports = _free_ports(1 + replicas + SENTINELS)
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0"]
        options += [*extra.redis, *extra.port]
        self.redis = [Server(folder / f"redis-{port}", port, options) for port in ports[:-SENTINELS]]
        for server in self.redis:
            server.folder.mkdir(parents=True)
            for file in extra.files:
                shutil.copy(file, server.folder)
        self.sentinels = [self._sentinel(folder / f"sentinel-{port}", port) for port in ports[-SENTINELS:]]

    def _sentinel(self, folder: Path, port: int) -> Server:
        folder.mkdir(parents=True)
        (folder / "sentinel.conf").write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.redis[0].port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
            f'requirepass "{self.password}"\n'
            f"{self._extra.sentinel}"
        )
        return Server(folder, port, ["sentinel.conf", "--sentinel", *self._extra.port])

    @property
    def url(self) -> str:
        scheme = "rediss" if self._extra.client.get("ssl") else "redis"
        return f"{scheme}+sentinel://{','.join(each.address for each in self.sentinels)}/{SERVICE}/0"

    def start(self) -> None:
        """Start what does not run, as a replica where another is the primary, and wait until all know one another."""
        primary = self.primary() or self.redis[0]
        for server in self.redis:
            if server.process is None:
                server.start(*([] if server is primary else ["--replicaof", "127.0.0.1", str(primary.port)]))
        # Sentinels look for replicas once in ten seconds: those that are there from the first look are known at once.
        self.wait_for(lambda: all(self._is_up(server, "slave") for server in self.redis if server is not primary))
        for sentinel in self.sentinels:
            if sentinel.process is None:
                sentinel.start()
        self.wait_for(self.is_whole)

    def is_whole(self) -> bool:
        """Whether every sentinel sees the primary up, all replicas in step with it, and the other sentinels."""
        with contextlib.suppress(redis.RedisError):
            for sentinel in self.sentinels:
                with self._sentinel_client(sentinel) as client:
                    client.sentinel_ckquorum(SERVICE)
                    state = client.sentinel_master(SERVICE)
                    replicas = client.sentinel_slaves(SERVICE)
                in_step = [r for r in replicas if r["master-link-status"] == "ok" and not r["is_sdown"]]
                seen = (state["flags"], len(in_step), state["num-other-sentinels"])
                if seen != ("master", len(self.redis) - 1, SENTINELS - 1):
                    return False
            return True
        return False

    def _is_up(self, server: Server, role: str) -> bool:
        with contextlib.suppress(redis.RedisError), self._client(server) as client:
            info = client.info("replication")
            return bool(info["role"] == role and info.get("master_link_status", "up") == "up")
        return False

    def primary(self) -> Server | None:
        """Return the server that most sentinels name, if they run."""
        named = []
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.RedisError), self._sentinel_client(sentinel) as client:
                named.append(client.sentinel_get_master_addr_by_name(SERVICE)[1])
        return next((server for server in self.redis if named.count(server.port) > SENTINELS / 2), None)

    def kill_primary(self, unheard_s: float = 0.0) -> Server:
        """SIGKILL the primary and return it; for ``unheard_s`` before, no replica hears of what it acknowledges."""
        primary = self.primary()
        assert primary is not None, self.logs()
        replicas = [server for server in self.redis if server is not primary]
        if unheard_s:
            for replica in replicas:
                replica.send(signal.SIGSTOP)
            with self._client(primary) as client:
                client.client_kill_filter(_type="replica")
            time.sleep(unheard_s)
        primary.end()
        if unheard_s:
            for replica in replicas:
                replica.send(signal.SIGCONT)
        return primary

    def wait_for(self, done: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join((each.folder / "log").read_text()[-2000:] for each in [*self.redis, *self.sentinels])

    def end(self) -> None:
        for each in [*self.sentinels, *self.redis]:
            each.end()

    def _sentinel_client(self, sentinel: Server) -> redis.Redis:
        return self._client(sentinel, username=None, password=self.password)

    def _client(self, server: Server, **who: str | None) -> redis.Redis:
        # redis-py's own patience is seconds for each server that does not run.
        options = {**self._extra.client, **who, "retry": Retry(NoBackoff(), 0)}
        return redis.Redis("127.0.0.1", server.port, socket_timeout=2, decode_responses=True, **options)


@contextmanager
def sentinel_servers(
    folder: Path, replicas: int = 1, password: str = "for-sentinels-only", extra: Extra | None = None
) -> Iterator[SentinelServers]:
    """Servers with their data in ``folder`` for the length of a ``with`` block."""
    folder.mkdir(parents=True, exist_ok=True)
    made = SentinelServers(folder, replicas, password, extra or Extra())
    try:
        made.start()
        yield made
    finally:
        made.end()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]

"""A TCP proxy before Kafka brokers that makes their link slow, or stalls one kind of request.

It runs in a thread of the test, on the loopback. Brokers advertise its ports on a listener of their own, so that a
client that was sent here stays here; who uses the usual listener has a healthy link.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
END_TXN = 26  # https://kafka.apache.org/protocol#protocol_api_keys

_CHUNK_BYTES = 16 * 1024
_WAITING_CHUNKS = 64  # on their way in one direction; beyond that the sender feels it
_HEAD_BYTES = 4


@dataclass
class Link:
    """What the link does to each connection, in each direction; may be changed while it runs.

    ``delay_s`` is added one way; ``bytes_per_s`` None: as fast as the machine. Every request of kind ``stalled_api``
    (a Kafka api key) waits ``stall_s``, and what comes behind it on its connection too.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    stalled_api: int | None = None
    stall_s: float = 0.0
    stalls: int = 0  # how many requests were stalled so far
    carried_bytes: int = 0  # so far, in both directions of all connections

    def be_healthy(self) -> None:
        """Pass everything on at once; what was counted stays."""
        self.delay_s, self.bytes_per_s, self.stalled_api, self.stall_s = 0.0, None, None, 0.0


class Proxy:
    """One listening port for each broker's port in ``targets``; ``ports`` are in their order."""

    def __init__(self, targets: Sequence[int]) -> None:
        self.link = Link()
        self._targets = list(targets)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self.ports: list[int] = self._do(self._listen())

    def cut(self) -> None:
        """Cut every connection; new ones are closed at once, until ``mend``."""
        self._is_cut = True
        self._do(self._cut())

    def mend(self) -> None:
        """Take connections again."""
        self._is_cut = False

    def close(self) -> None:
        """Cut every connection and stop listening."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> list[int]:
        ports = []
        for target in self._targets:

            async def accept(reader: Any, writer: Any, target: int = target) -> None:
                await self._carry(reader, writer, target)

            server = await asyncio.start_server(accept, HOST, 0)
            self._servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        return ports

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        await self._cut()

    async def _cut(self) -> None:
        for task in tuple(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            # A broker that is down is a refused connection here, and one that is cut there.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                if self._is_cut:
                    return
                up_reader, up_writer = await asyncio.open_connection(HOST, target)
                try:
                    await self._both_ways((reader, up_writer), (up_reader, writer))
                finally:
                    up_writer.close()
        finally:
            writer.close()
            self._busy.discard(task)

    async def _both_ways(
        self,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        back: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Carry bytes until either side closes."""
        requests, answers = _Pipe(self.link, there[1]), _Pipe(self.link, back[1])
        tasks = [
            asyncio.ensure_future(work)
            for work in (
                self._read_requests(there[0], requests),
                self._read_answers(back[0], answers),
                requests.deliver(),
                answers.deliver(),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0] in done:
                # What a client sent before it gave up is on its way all the same, and arrives when nobody expects it.
                tasks.append(asyncio.ensure_future(requests.delivered()))
                await asyncio.wait({tasks[-1], tasks[2]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_requests(self, reader: asyncio.StreamReader, pipe: _Pipe) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(_HEAD_BYTES)
                body = await reader.readexactly(struct.unpack(">i", head)[0])
                (api_key,) = struct.unpack_from(">h", body)
                await pipe.put(head + body, stall_s=self._stall_s(api_key))

    def _stall_s(self, api_key: int) -> float:
        if api_key != self.link.stalled_api:
            return 0.0
        self.link.stalls += 1
        return self.link.stall_s

    async def _read_answers(self, reader: asyncio.StreamReader, pipe: _Pipe) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await pipe.put(data, stall_s=0.0)


class _Pipe:
    """One direction of one connection: in order, each chunk after its delay, no faster than the link."""

    def __init__(self, link: Link, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._writer = writer
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING_CHUNKS)

    async def put(self, data: bytes, stall_s: float) -> None:
        await self._waiting.put((time.monotonic() + self._link.delay_s + stall_s, data))

    async def delivered(self) -> None:
        """Return when everything that was put has been passed on."""
        await self._waiting.join()

    async def deliver(self) -> None:
        while True:
            due_s, data = await self._waiting.get()
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            for start in range(0, len(data), _CHUNK_BYTES):
                piece = data[start : start + _CHUNK_BYTES]
                if self._link.bytes_per_s is not None:
                    await asyncio.sleep(len(piece) / self._link.bytes_per_s)
                self._writer.write(piece)
                await self._writer.drain()
                self._link.carried_bytes += len(piece)
            self._waiting.task_done()

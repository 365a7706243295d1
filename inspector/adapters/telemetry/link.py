"""The line between a supervisor and its worker: one socket, which is the worker's standard input.

The supervisor asks ("7 metrics"), the worker answers ("7 LENGTH" and so many bytes). The socket ends with either of
them, however they end. A worker that does not answer in time is asked anew, and its late answer is thrown away.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

Answer = Callable[[str], bytes]
"""What a worker says to a question; it must not wait for anything."""

_CHUNK_BYTES = 2**20
_STDIN = 0


def nothing_to_say(_question: str) -> bytes:
    """Answer nothing."""
    return b""


def answer_until_gone(answer: Answer) -> None:
    """In the worker: answer until the supervisor is gone. One that never asks may hold a mere pipe."""
    # The descriptor, not sys.stdin: a thread inside the buffered reader is fatal when the interpreter shuts down.
    waiting = b""
    while data := os.read(_STDIN, 1024):
        waiting += data
        while b"\n" in waiting:
            line, waiting = waiting.split(b"\n", 1)
            number, _, question = line.decode("ascii", "replace").partition(" ")
            body = _answered(answer, question)
            _write(f"{number} {len(body)}\n".encode() + body)


def _answered(answer: Answer, question: str) -> bytes:
    try:
        return answer(question)
    except Exception:  # a bug here must not end the line
        _log.exception("no answer to the supervisor's %s", question)
        return b""


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(_STDIN, left) :]


class WorkerLink:
    """The supervisor's end, of one worker after the other. Any thread may ask; one is asked at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._received = b""  # also of an answer that came too late, or in part
        self._number = 0

    def new_end(self) -> socket.socket:
        """Return the standard input for a new worker; the caller closes it once the worker has it."""
        ours, theirs = socket.socketpair()
        self.end()
        with self._lock:
            self._socket = ours
        return theirs

    def end(self) -> None:
        """Let go of the worker that there was."""
        with self._lock:
            old, self._socket = self._socket, None
            self._received = b""
        if old is not None:
            old.close()

    def ask(self, question: str, timeout_s: float) -> bytes | None:
        """Return the worker's answer; None if there is no worker or it does not answer in time."""
        ends_s = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            return None
        try:
            if self._socket is None:
                return None
            self._number += 1
            try:
                return self._asked(self._socket, f"{self._number} {question}\n".encode(), ends_s)
            except OSError:  # in time it did not answer, or it ended
                return None
        finally:
            self._lock.release()

    def _asked(self, link: socket.socket, request: bytes, ends_s: float) -> bytes | None:
        link.settimeout(max(0.001, ends_s - time.monotonic()))
        link.sendall(request)
        while (found := self._next_answer()) is None or found[0] != self._number:
            if found is None and not self._received_more(link, ends_s):
                return None
        return found[1]

    def _next_answer(self) -> tuple[int, bytes] | None:
        """Take the next whole answer out of what was received: whose number, and what it says."""
        line, found, rest = self._received.partition(b"\n")
        if not found:
            return None
        number, length = line.split()
        if len(rest) < int(length):
            return None
        self._received = rest[int(length) :]
        return int(number), rest[: int(length)]

    def _received_more(self, link: socket.socket, ends_s: float) -> bool:
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            return False
        link.settimeout(left_s)
        part = link.recv(_CHUNK_BYTES)
        self._received += part
        return bool(part)

"""Ends the process when a step that may hang for ever takes too long."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)

# EX_TEMPFAIL of sysexits.h: try again, which is what the parent process does.
EXIT_CODE = 75


def exit_process() -> None:
    """End the process at once, without clean-up: whatever hangs would hang the clean-up too."""
    os._exit(EXIT_CODE)


class Watchdog:
    """One thread that calls ``on_expired`` when a ``guard`` block outlasts its limit.

    kafka-python's commit and send-offsets wait without a limit for a broker that never answers, and a poll may go round
    for ever after an error.
    """

    def __init__(self, on_expired: Callable[[], None] = exit_process) -> None:
        self._on_expired = on_expired
        self._what = ""
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def guard(self, what: str, limit_s: float) -> Iterator[None]:
        """Watch the block, for ``limit_s``; ``what`` it does is told if it takes longer. Blocks must not nest."""
        self._what = f"{what} took longer than {limit_s:.0f} s"
        self._set(time.monotonic() + limit_s)
        try:
            yield
        finally:
            self._set(None)

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _set(self, deadline: float | None) -> None:
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                left_s = None if self._deadline is None else self._deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    _log.critical("%s: leaving the process", self._what)
                    self._deadline = None
                    self._on_expired()
                else:
                    self._changed.wait(left_s)

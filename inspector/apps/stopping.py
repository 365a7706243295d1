"""Being told to stop: the first signal asks, the second insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

STOPPED = 130
"""What a shell says of a command that Ctrl-C ended."""


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM or Ctrl-C sets; a second signal acts as it would without us."""
    stop = threading.Event()
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler)

    def told(_signum: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for signum in _SIGNALS:
        signal.signal(signum, told)
    try:
        yield stop
    finally:
        restore()

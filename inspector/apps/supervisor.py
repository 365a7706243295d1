"""The small parent of a worker: crash-only means that somebody restarts it.

The worker exits whenever its state is in doubt (fenced, watchdog, a bug); the parent starts it again with capped
back-off. It holds no connection and no model, so there is little in it that could fail.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType

from inspector.adapters.telemetry.link import Answer, WorkerLink, answer_until_gone, nothing_to_say

EXIT_OK = 0
EXIT_PROBLEM = 1  # described to the person; a restart would meet it again
EXIT_USAGE = 2
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a service is away, or we were fenced

_FINAL = (EXIT_OK, EXIT_PROBLEM, EXIT_USAGE)
_LONG_ENOUGH_S = 60.0
# Longer than a worker takes to finish the batch in hand; shorter than the 30 s Kubernetes grants a pod by default.
_GRACE_S = 25.0

OnRestart = Callable[[int, float], None]


def backoff_s(first_s: float = 1.0, limit_s: float = 30.0) -> Iterator[float]:
    """Yield 1, 2, 4 ... 30, 30 seconds."""
    delay_s = first_s
    while True:
        yield delay_s
        delay_s = min(limit_s, 2 * delay_s)


class Supervisor:
    """Runs one worker command until it ends for good or we are told to stop.

    The worker's standard input is a socket held by us: when we die, even by SIGKILL, it reads end-of-file and stops.
    Over the same socket ``link`` asks the worker how it is. ``on_start`` hears of every worker that was started, and
    ``on_restart`` of each that ended and is started again: its exit code, and after how many seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_restart: OnRestart,
        grace_s: float = _GRACE_S,
        *,
        link: WorkerLink | None = None,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        """A worker told to stop is killed after ``grace_s``."""
        self._link = link or WorkerLink()
        self._on_start = on_start
        self._command = list(command)
        self._on_restart = on_restart
        self._grace_s = grace_s
        self._stopping = threading.Event()
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Return the worker's last exit code; SIGTERM and SIGINT are passed on as SIGTERM and end the run."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        delays = backoff_s()
        while True:
            started_s = time.monotonic()
            code = self._run_worker()
            if self._stopping.is_set():
                return EXIT_OK if code in (EXIT_OK, -signal.SIGTERM) else EXIT_PROBLEM
            if code in _FINAL:
                return code
            if time.monotonic() - started_s >= _LONG_ENOUGH_S:
                delays = backoff_s()
            delay_s = next(delays)
            self._on_restart(code, delay_s)
            if self._stopping.wait(delay_s):
                return EXIT_OK

    def _run_worker(self) -> int:
        # A session of its own: Ctrl-C on the terminal reaches the parent alone, which then asks the worker to finish.
        stdin = self._link.new_end()
        try:
            with stdin:
                worker = subprocess.Popen(self._command, stdin=stdin.fileno(), start_new_session=True)
            self._worker = worker
            self._on_start()
            if self._stopping.is_set():
                worker.terminate()
            code = worker.wait()
        finally:
            self._link.end()
        self._worker = None
        return code

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        worker = self._worker
        if worker is not None and worker.poll() is None:
            worker.terminate()
            self._kill_later(worker)

    def _kill_later(self, worker: subprocess.Popen[bytes]) -> None:
        timer = threading.Timer(self._grace_s, worker.kill)
        timer.daemon = True
        timer.start()


def stop_when_told(answer: Answer = nothing_to_say) -> threading.Event:
    """In the worker: return an event set by SIGTERM, SIGINT or the parent's death; ``answer`` what the parent asks."""
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _signum, _frame: stop.set())

    def watch_parent() -> None:
        with suppress(OSError):  # the parent may be gone before it has its answer
            answer_until_gone(answer)
        stop.set()

    threading.Thread(target=watch_parent, name="parent-watch", daemon=True).start()
    return stop

"""The inspectors of a scenario: started again whenever they die, woken again when they were stopped.

The service's own supervisor waits longer with every death, which is right for a line and would make three hundred kills
last a day. So this one stands in its place, with the same rule: codes 0, 1 and 2 are final, anything else is not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scenario_line import ChaosLine, end, environment, wait_or_kill

from inspector.apps.supervisor import EXIT_OK, EXIT_PROBLEM, EXIT_TRY_AGAIN, EXIT_USAGE

_LOOK_EVERY_S = 0.1
_RESTART_S = 0.5
_BEGIN_TIMEOUT_S = 60.0
_FINAL_CODES = (EXIT_OK, EXIT_PROBLEM, EXIT_USAGE)

# Which acts (``stub_worker.py --act``) the next life of a replica gets.
Arming = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Death:
    """The unwanted end of a worker; ``code`` is negative for a signal. ``at_s`` is seconds since 1970."""

    replica: str
    code: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """How long a worker was stopped, in seconds since 1970."""

    replica: str
    pid: int
    from_s: float
    to_s: float


@dataclass
class _Replica:
    name: str
    process: subprocess.Popen[bytes]
    lives: int = 1
    leaving: bool = False
    dead_since_s: float | None = None
    stopped_since_s: float | None = None


@dataclass
class Fleet:
    """``options`` go to every worker; ``stop_s`` is how long a stopped one sleeps.

    ``foreseen`` are the exit codes of deaths that belong to the fault: SIGKILL, and 75, with which a worker in doubt
    leaves (its broker or store is away, it was fenced, its watchdog barked).
    """

    line: ChaosLine
    config: Path
    options: Sequence[str]
    stop_s: float = 15.0
    arming: Arming = lambda _replica, _life: ()
    foreseen: frozenset[int] = frozenset({-signal.SIGKILL, EXIT_TRY_AGAIN})
    deaths: list[Death] = field(default_factory=list)
    sleeps: list[Sleep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._replicas: dict[str, _Replica] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="fleet", daemon=True)
        self._keeper.start()

    @property
    def kills(self) -> int:
        """How many workers ended by SIGKILL."""
        with self._lock:
            return sum(death.code == -signal.SIGKILL for death in self.deaths)

    @property
    def unforeseen(self) -> list[Death]:
        """Workers that ended otherwise: for good though nobody told them to, or with a bug."""
        with self._lock:
            return [death for death in self.deaths if death.code not in self.foreseen]

    def start(self, replica: str) -> None:
        """Let an inspector join; told apart by its name, which is its identity on the line."""
        with self._lock:
            self._replicas[replica] = _Replica(replica, self._launch(replica, 1))

    def leave(self, replica: str) -> int:
        """Tell an inspector to finish; return its exit code."""
        with self._lock:
            leaving = self._replicas.pop(replica)
        return end(leaving.process)

    def kill(self, replica: str) -> None:
        """SIGKILL a worker, wherever it is; it is started again."""
        with self._lock:
            self._replicas[replica].process.kill()

    def kill_life(self, replica: str, pid: int) -> None:
        """SIGKILL a worker as above, if it still is this process; a later life of the replica is left alone."""
        with self._lock:
            if self._replicas[replica].process.pid == pid:
                self._replicas[replica].process.kill()

    def pids(self) -> dict[str, int]:
        """Return the process of each replica that lives."""
        with self._lock:
            return {name: each.process.pid for name, each in self._replicas.items() if each.process.poll() is None}

    def finish(self) -> list[int]:
        """Tell all to finish; return their exit codes. Nobody is started again."""
        self._ended.set()
        self._keeper.join()
        for each in self._replicas.values():
            if each.stopped_since_s is not None:
                each.process.send_signal(signal.SIGCONT)
            self._wait_begun(each)
            each.process.terminate()
        # Told once: a second signal may meet an interpreter that is on its way out and no longer listens.
        return [wait_or_kill(each.process) for each in self._replicas.values()]

    def _wait_begun(self, each: _Replica) -> None:
        """Wait until a life that was just started listens to signals: before, SIGTERM ends the interpreter itself."""
        log, begun = self.line.dir / f"{each.name}.log", f'"pid": {each.process.pid}'
        given_up_s = time.monotonic() + _BEGIN_TIMEOUT_S
        while each.process.poll() is None and time.monotonic() < given_up_s:
            if begun in log.read_text(errors="replace"):
                return
            time.sleep(_LOOK_EVERY_S)

    def _launch(self, replica: str, life: int) -> subprocess.Popen[bytes]:
        acts = [f"--act={act}" for act in self.arming(replica, life)]
        return self.line.start(
            "stub_worker.py",
            *("-c", str(self.config), "--dir", str(self.line.dir), "--alone", *acts, *self.options),
            log=f"{replica}.log",
            env=environment(INSPECTOR_REPLICA=replica, CHAOS_DIR=str(self.line.dir)),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _keep(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            with self._lock:
                for each in self._replicas.values():
                    self._look_at(each)

    def _look_at(self, each: _Replica) -> None:
        now_s = time.time()
        code = each.process.poll()
        if code is None:
            self._wake(each, now_s)
        elif each.dead_since_s is None:
            each.dead_since_s = now_s
            self.deaths.append(Death(each.name, code, now_s))
        elif code not in _FINAL_CODES and now_s - each.dead_since_s >= _RESTART_S:
            each.lives += 1
            each.process = self._launch(each.name, each.lives)
            each.dead_since_s = None

    def _wake(self, each: _Replica, now_s: float) -> None:
        if not is_stopped(each.process.pid):
            each.stopped_since_s = None
        elif each.stopped_since_s is None:
            each.stopped_since_s = now_s
        elif now_s - each.stopped_since_s >= self.stop_s:
            os.kill(each.process.pid, signal.SIGCONT)
            self.sleeps.append(Sleep(each.name, each.process.pid, each.stopped_since_s, now_s))


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped (SIGSTOP)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"

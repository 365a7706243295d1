"""Background processes that can be found again: started, recognised and stopped through a file that names them.

A process id alone is no name, because the kernel reuses it. The record therefore holds the boot and the start time
too; a record that does not match all three is treated as a process that has ended and is never signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

POLL_S = 0.05


class ServiceError(Exception):
    """Something a person has to know: what was expected, what came, what to do."""


def start(record: Path, command: list[str], log: Path) -> None:
    """Starts `command` in a session of its own, its output appended to `log`, and remembers it in `record`."""
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    started = _start_ticks(child.pid)
    unfinished = record.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"pid": child.pid, "start_ticks": started, "boot_id": _boot_id()}))
    unfinished.replace(record)


def living_pid(record: Path) -> int | None:
    """The process id named by `record`, or None when that very process has ended."""
    try:
        named = json.loads(record.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    same = named["boot_id"] == _boot_id() and named["start_ticks"] == _start_ticks(named["pid"])
    return int(named["pid"]) if same else None


def send(record: Path, number: signal.Signals) -> bool:
    """Signals the process named by `record`; False when it has ended already."""
    pid = living_pid(record)
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def stop(records: list[Path], grace_s: float) -> None:
    """Ends all processes together: asks, waits up to `grace_s`, then kills. Returns when none is left."""
    for record in records:
        # A process that a test has paused (SIGSTOP) would not see the request before it is continued.
        if send(record, signal.SIGTERM):
            send(record, signal.SIGCONT)
    if not _gone(records, grace_s):
        for record in records:
            send(record, signal.SIGKILL)
        _gone(records, 10.0)
    for record in records:
        record.unlink(missing_ok=True)


def kill(record: Path) -> None:
    """Ends a process at once, as a crash would, and returns when it is gone."""
    send(record, signal.SIGKILL)
    _gone([record], 10.0)
    record.unlink(missing_ok=True)


def _gone(records: list[Path], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while any(living_pid(record) for record in records):
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def _start_ticks(pid: int) -> int | None:
    """Start time in clock ticks since boot (proc_pid_stat(5), field 22); None for no such process or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    after_name = stat.rpartition(")")[2].split()  # the name, field 2, may itself hold spaces and brackets
    state, start_ticks = after_name[0], after_name[19]
    return None if state in "ZX" else int(start_ticks)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

"""What this machine is, and what its processes use, from /proc (Linux)."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the figures come from. ``load_average_1min`` is that before the bench began: above 0.2 it was not idle."""

    cpu: str
    cores: int
    python: str
    torch: str
    torch_threads: int
    load_average_1min: float


def describe(torch_version: str, torch_threads: int, load_average_1min: float) -> Machine:
    """Return the facts of this machine; ``cores`` are those this process may use."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.machine()
    return Machine(cpu, cores(), platform.python_version(), torch_version, torch_threads, load_average_1min)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def require_linux() -> bool:
    """Tell whether /proc is there to read."""
    return sys.platform == "linux"


def cpu_s(pid: int) -> float:
    """Return the CPU seconds (user and system, all threads) that a process has used."""
    # The name, in brackets, may hold spaces; utime and stime are fields 14 and 15 of the whole line.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def busy_s() -> float:
    """Return the CPU seconds that all processes of the machine have used since it started."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (
        int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0  # a zombie has none


def only_child(pid: int) -> int | None:
    """Return the process that ``pid`` has started, if it is exactly one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if len(children) == 1 else None


def local_server(address: str) -> int | None:
    """Return the process that listens at ``address`` (``host:port`` or a URL), if it is one of ours on this machine."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        port = parts.port
    except ValueError:  # several hosts, as of sentinels
        return None
    if parts.hostname not in _LOOPBACK or port is None:
        return None
    inode = _listening_inode(port)
    return None if inode is None else _owner(f"socket:[{inode}]")


def _listening_inode(port: int) -> str | None:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None


def _owner(link: str) -> int | None:
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process / "fd", link):
            return int(process.name)
    return None


def _holds(descriptors: Path, link: str) -> bool:
    try:
        return any(os.readlink(descriptor) == link for descriptor in descriptors.iterdir())
    except OSError:  # another user's process, or one that has just ended
        return False

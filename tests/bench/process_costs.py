"""What each process of a line costs: ``python tests/bench/process_costs.py [--frames N] [--rate R]``.

Plays ``deploy/demo.sh --observe`` (three virtual cameras, two inspectors, the bundled model) and prints for each kind
of process its CPU time, the cores it keeps busy once it has started, and its largest resident memory. From it come the
requests and limits in ``k8s/``. CPU time hangs on the machine, and little on what else runs there.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Each kind by what its command line holds; the first that fits.
KINDS = {
    "inspector (worker)": r"inspector inspect --worker",
    "inspector (parent)": r"inspector inspect\b",
    "camera": r"inspector produce\b",
    "watch": r"inspector watch\b",
    "serve": r"inspector serve\b",
    "trainer, idle": r"inspector trainer\b",
    "Redis": r"redis-server",
    "Kafka": r"\bjava\b.*kafka",
}
_STARTED_S = 20.0  # by then a process has loaded what it needs


@dataclass
class Process:
    """CPU seconds and bytes of one process: CPU when it was new, when it had started, and last."""

    first_seen_s: float
    started_cpu_s: float | None = None
    started_at_s: float = 0.0
    cpu_s: float = 0.0
    last_seen_s: float = 0.0
    peak_bytes: int = 0


@dataclass
class Kind:
    """All processes of a kind, by their number."""

    processes: dict[int, Process] = field(default_factory=dict)


def look(kinds: dict[str, Kind], here: str) -> None:
    """Note what every process of the line has used by now."""
    now = time.monotonic()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, command)), None)
            if kind is None or not os.readlink(folder / "cwd").startswith(here):
                continue
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        one = kinds[kind].processes.setdefault(int(folder.name), Process(now))
        one.cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        one.peak_bytes = max(one.peak_bytes, int(fields[21]) * PAGE_BYTES)
        one.last_seen_s = now
        if one.started_cpu_s is None and now - one.first_seen_s >= _STARTED_S:
            one.started_cpu_s, one.started_at_s = one.cpu_s, now


def report(kinds: dict[str, Kind]) -> Table:
    """Return the table: a row a kind, CPU summed over its processes, memory of the largest one."""
    table = Table("process", "how many", "CPU s", "cores once started", "peak MB")
    for kind in KINDS:
        processes = [one for one in kinds[kind].processes.values() if one.started_cpu_s is not None]
        if not processes:
            continue
        busy = [
            (one.cpu_s - (one.started_cpu_s or 0)) / max(1.0, one.last_seen_s - one.started_at_s) for one in processes
        ]
        table.add_row(
            kind,
            str(len(processes)),
            f"{sum(one.cpu_s for one in processes):.1f}",
            f"{max(busy):.3f}",
            f"{max(one.peak_bytes for one in processes) / 1e6:,.0f}",
        )
    return table


def main() -> None:
    """Play the demo and look every half second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rate", type=float, default=1.0, help="frames a second of each camera")
    chosen = parser.parse_args()
    kinds: dict[str, Kind] = defaultdict(Kind)
    demo = ["deploy/demo.sh", "--observe", "--frames", str(chosen.frames), "--rate", str(chosen.rate)]
    running = subprocess.Popen(demo, cwd=ROOT)
    try:
        while running.poll() is None:
            look(kinds, str(ROOT))
            time.sleep(0.5)
    except KeyboardInterrupt:
        running.wait()
    Console().print(f"{chosen.frames} frames of three cameras, {chosen.rate:g} a second each")
    Console().print(report(kinds))
    raise SystemExit(running.returncode)


if __name__ == "__main__":
    main()

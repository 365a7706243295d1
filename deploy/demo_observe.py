"""``--observe``: every process of the demo tells what it does, and a Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from observability.prometheus import Prometheus, free_ports, prometheus
from rich.console import Console
from rich.table import Table

from inspector.simulator.catalogue import NAMES

FIRST_PORT = 9464  # as in pods; what is taken is passed over
SERVE_PORT = 8750
_TWO_SCRAPES_S = 4.0
JOBS = {
    "inspector-1": "inspector",
    "inspector-2": "inspector",
    **{f"camera-{name}": "camera" for name in NAMES},
    "watch": "watch",
    "serve": "serve",
    "trainer": "trainer",
}
"""Which part each process is; Prometheus calls its jobs so."""

# It looks at everything as often as a short demo needs.
WATCH_OFTEN = {
    "INSPECTOR_WATCH__LOOK_EVERY_S": "2",
    "INSPECTOR_WATCH__RECONCILE_EVERY_S": "10",
    "INSPECTOR_WATCH__DRIFT_EVERY_S": "10",
}

_FIGURES = {
    "processes that Prometheus reads": ("max_over_time(sum(up)[1h:])", "{:.0f}"),
    "frames committed": ("sum(inspector_frames_total)", "{:.0f}"),
    "capture to commit, 99 %": (
        "histogram_quantile(0.99, sum by (le) (inspector_frame_latency_seconds_bucket))",
        "{:.1f} s",
    ),
    "largest lag": ("max_over_time(inspection:lag_frames:sum[1h])", "{:.0f} frames"),
    "alerts that fire": ('count(ALERTS{alertstate="firing"}) or vector(0)', "{:.0f}"),
}


@contextmanager
def observing(folder: Path, *, with_trainer: bool) -> Iterator[tuple[Prometheus, Mapping[str, int]]]:
    """Run a Prometheus for the demo; yields it, and the port on which each process has to answer, by its name."""
    names = [name for name in JOBS if with_trainer or name != "trainer"]
    ports = dict(zip(names, free_ports(len(names), FIRST_PORT), strict=True))
    targets: dict[str, list[int]] = {}
    for name, port in ports.items():
        targets.setdefault(JOBS[name], []).append(port)
    with prometheus(folder, targets) as server:
        yield server, ports


def beside_the_line(observed: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    """Return which commands to start beside inspectors and cameras because they are observed, and their settings."""
    serve = {"INSPECTOR_SERVE__PORT": str(free_ports(1, SERVE_PORT)[0])} if "serve" in observed else {}
    every = {"watch": WATCH_OFTEN, "serve": serve, "trainer": {}}
    return {name: settings for name, settings in every.items() if name in observed}


def tell(console: Console, server: Prometheus) -> None:
    """Print what Prometheus has seen of the demo; where a person looks on, leave everything up until they are done."""
    time.sleep(_TWO_SCRAPES_S)
    table = Table(title="\nWhat Prometheus saw", title_justify="left", title_style="bold", box=None, show_header=False)
    for words, (expr, shown) in _FIGURES.items():
        samples = server.query(expr)
        table.add_row(words, shown.format(samples[0].value) if samples else "no data")
    console.print(table)
    if console.is_terminal:
        with suppress(KeyboardInterrupt, EOFError):
            console.input(f"Inspectors and Prometheus are still up: {server.url}. Enter ends them. ")

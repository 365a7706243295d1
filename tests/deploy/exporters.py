"""Processes that export all that is declared, with invented figures: a line in which everything has happened."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from inspector.domain.metrics import LABELS, Metric, MetricKind, Part, metrics_of

_FROM_OUTSIDE = ("a", "b")  # two values of each label that is no closed set


def text(part: Part, age_s: float) -> str:
    """What such a process says ``age_s`` seconds after its start: every counter has grown by 10 a second."""
    lines = [f"process_cpu_seconds_total {age_s / 2}", "process_resident_memory_bytes 1e8"]
    for metric in metrics_of(part):
        for labels in _label_sets(metric):
            lines += _lines(metric, labels, age_s)
    return "\n".join(lines) + "\n"


def _label_sets(metric: Metric) -> Iterator[dict[str, str]]:
    values = [LABELS[name].values or _FROM_OUTSIDE for name in metric.labels]
    for chosen in itertools.product(*values):
        yield dict(zip(metric.labels, chosen, strict=True))


def _lines(metric: Metric, labels: dict[str, str], age_s: float) -> list[str]:
    count = 10 * age_s
    if metric.kind is MetricKind.HISTOGRAM:
        bounds = [str(bound) for bound in metric.buckets] + ["+Inf"]
        shares = [(place + 1) / len(bounds) for place in range(len(bounds))]
        buckets = [
            _line(f"{metric.name}_bucket", {**labels, "le": bound}, count * share)
            for bound, share in zip(bounds, shares, strict=True)
        ]
        return [*buckets, _line(f"{metric.name}_sum", labels, count), _line(f"{metric.name}_count", labels, count)]
    if metric.kind is MetricKind.COUNTER:
        return [_line(metric.name, labels, count)]
    return [_line(metric.name, labels, time.time() - 5 if metric.unit == "unix seconds" else 1)]


def _line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


@contextmanager
def exporting() -> Iterator[dict[str, list[int]]]:
    """One such process of every part; yields their ports, by job."""
    began_s = time.monotonic()
    servers = {part: _server(part, began_s) for part in Part}
    threads = [threading.Thread(target=server.serve_forever) for server in servers.values()]
    for thread in threads:
        thread.start()
    try:
        yield {part.value: [server.server_port] for part, server in servers.items()}
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def _server(part: Part, began_s: float) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text(part, time.monotonic() - began_s).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

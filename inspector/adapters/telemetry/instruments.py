"""The metrics of one process, made from their declarations in ``domain.metrics``, and their text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from inspector import __version__
from inspector.domain.metrics import OTHER, Metric, MetricKind

# A second series a counter and histogram, that nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Instruments:
    """Counters, gauges and histograms by name. ``with_process``: CPU and memory of this process, too."""

    def __init__(self, metrics: Iterable[Metric], *, with_process: bool = True) -> None:
        self._registry = CollectorRegistry()
        self._made = {metric.name: _made(metric, self._registry) for metric in metrics}
        if with_process:
            ProcessCollector(registry=self._registry)
        if "inspector_build_info" in self._made:
            self.gauge("inspector_build_info").labels(__version__).set(1)

    def counter(self, name: str) -> Counter:
        """Return a declared counter. Raises ``KeyError``: it is not declared for this process."""
        return cast(Counter, self._made[name])

    def gauge(self, name: str) -> Gauge:
        """Return a declared gauge. Raises as ``counter``."""
        return cast(Gauge, self._made[name])

    def histogram(self, name: str) -> Histogram:
        """Return a declared histogram. Raises as ``counter``."""
        return cast(Histogram, self._made[name])

    def set_now(self, name: str, *labels: str) -> None:
        """Set a gauge of unix seconds to this moment."""
        gauge = self.gauge(name)
        (gauge.labels(*labels) if labels else gauge).set(time())

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)


class BoundedNames:
    """Label values that come from outside: the first ``most`` have their own, all later ones are ``other``.

    ``first`` are there from the beginning and count, so that names that are configured are never among the others.
    """

    def __init__(self, most: int, first: Iterable[str] = ()) -> None:
        self._most = most
        self._known = set(first)

    def __call__(self, name: str) -> str:
        """Return the label value for a name."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind is MetricKind.COUNTER:
        return Counter(metric.name, metric.meaning, metric.labels, registry=registry)
    if metric.kind is MetricKind.GAUGE:
        return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
    return Histogram(metric.name, metric.meaning, metric.labels, buckets=metric.buckets, registry=registry)

"""What an inspector tells of itself: its worker counts, its supervisor answers scrapes and probes.

The port is the supervisor's, so that it stays through a worker's restarts: while there is no worker, the probes say so
and the worker's metrics are absent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from inspector.adapters.telemetry.link import WorkerLink
from inspector.apps import wiring
from inspector.apps.rollout_wiring import RolloutListener
from inspector.apps.supervisor import EXIT_BUG, EXIT_TRY_AGAIN
from inspector.domain.metrics import OTHER, RESTARTS, SUPERVISOR_METRICS, Part, metrics_of
from inspector.domain.release import RolloutStage
from inspector.pipeline.engine_versions import Serving
from inspector.pipeline.health import Health, LineHealth, SupervisedHealth
from inspector.pipeline.loop_parts import CommitReport, LoopState
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.telemetry.frame_traces import LineTraces
    from inspector.adapters.telemetry.line_metrics import LineMetrics
    from inspector.adapters.telemetry.spans import SpanSink

_HEALTH, _METRICS = "health", "metrics"
_ASK_EVERY_S = 1.0
_HEALTH_TIMEOUT_S = 1.0
_METRICS_TIMEOUT_S = 5.0


class WorkerTelemetry:
    """The worker's part; counts only where ``metrics.port`` is set, and traces where ``tracing.endpoint`` is."""

    def __init__(self, settings: Settings) -> None:
        self._health = LineHealth(settings.metrics.stuck_after_s)
        self._metrics = None if settings.metrics.port is None else _line_metrics(settings)
        self._sink = wiring.span_sink(settings, Part.INSPECTOR)
        self._traces = None if self._sink is None else _line_traces(self._sink)

    @property
    def rollout(self) -> RolloutListener:
        """What listens to the keeper of weights."""
        metrics = self._metrics
        if metrics is None:
            return RolloutListener()
        return RolloutListener(self._serving, metrics.refused, metrics.vetoed)

    def answer(self, question: str) -> bytes:
        """Answer the supervisor."""
        if question == _HEALTH:
            return json.dumps(asdict(self._health.health(time.monotonic()))).encode()
        return b"" if self._metrics is None or question != _METRICS else self._metrics.text()

    def warmed(self) -> None:
        """Learn that the model is verified and warm."""
        self._health.warmed()

    def committed(self, report: CommitReport) -> None:
        """See ``LoopEvents``."""
        self._health.committed(time.monotonic())
        if self._metrics is not None:
            self._metrics.committed(report)
        if self._traces is not None:
            self._traces.committed(report)

    def trouble(self, what: str) -> None:
        """See ``LoopEvents``."""
        self._health.trouble(what, time.monotonic())
        if self._metrics is not None:
            self._metrics.trouble(what)

    def state(self, state: LoopState) -> None:
        """See ``LoopEvents``."""
        self._health.state(state, time.monotonic())
        if self._metrics is not None:
            self._metrics.state(state)

    def close(self) -> None:
        """Send the spans that wait, as far as that takes a moment."""
        if self._sink is not None:
            self._sink.close()

    def _serving(self, serving: Serving) -> None:
        if self._metrics is not None:
            stage = RolloutStage.FULL if serving.rollout is None else serving.rollout.stage
            beside = None if serving.second is None else serving.second.weights_version
            self._metrics.serving(serving.main.weights_version, beside, stage)


class SupervisorTelemetry:
    """The supervisor's part: keeps asking the worker how it is, so that a probe is answered at once."""

    def __init__(self, link: WorkerLink, stuck_after_s: float) -> None:
        from inspector.adapters.telemetry.instruments import Instruments

        own = [metric for metric in metrics_of(Part.INSPECTOR) if metric.name in SUPERVISOR_METRICS]
        self._made = Instruments(own, with_process=False)
        for why in RESTARTS:
            self._made.counter("inspector_worker_restarts_total").labels(why)
        self._link = link
        self._health = SupervisedHealth(stuck_after_s)
        self._lock = threading.Lock()  # the worker ends and starts on another thread than the one that asks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking, name="ask-worker", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join()

    def worker_started(self) -> None:
        """Learn that a worker was started."""
        with self._lock:
            self._health.worker_runs(time.monotonic())

    def worker_restarts(self, code: int) -> None:
        """Learn that it ended and is started again."""
        self._made.counter("inspector_worker_restarts_total").labels(_why(code)).inc()
        with self._lock:
            self._health.worker_ended()

    def health(self) -> Health:
        """Return how the worker is, as last heard."""
        with self._lock:
            return self._health.health(time.monotonic())

    def metrics(self) -> bytes:
        """Return the text of all metrics; the worker's are absent while it does not answer."""
        theirs = self._link.ask(_METRICS, _METRICS_TIMEOUT_S)
        self._made.gauge("inspector_worker_up").set(theirs is not None)
        return self._made.text() + (theirs or b"")

    def _keep_asking(self) -> None:
        while not self._stopping.wait(_ASK_EVERY_S):
            said = self._link.ask(_HEALTH, _HEALTH_TIMEOUT_S)
            if said:
                with self._lock:
                    self._health.heard(Health(**json.loads(said)), time.monotonic())


@contextmanager
def answering(settings: Settings, link: WorkerLink) -> Iterator[SupervisorTelemetry | None]:
    """Answer scrapes and probes for as long as the block lasts; None where ``metrics.port`` is not set.

    Raises:
        BadInputError: the address cannot be taken.
    """
    metrics = settings.metrics
    if metrics.port is None:
        yield None
        return
    from inspector.adapters.telemetry.http import TelemetryServer

    made = SupervisorTelemetry(link, metrics.stuck_after_s)
    server = TelemetryServer(metrics.host, metrics.port, made.metrics, made.health)
    made.start()
    try:
        yield made
    finally:
        server.close()
        made.close()


def _line_metrics(settings: Settings) -> LineMetrics:
    from inspector.adapters.telemetry.gpu import TorchGpu
    from inspector.adapters.telemetry.line_metrics import LineMetrics

    device = settings.model.device
    gpu = TorchGpu(device) if device.startswith("cuda") else None
    return LineMetrics(settings.metrics.max_cameras, settings.cameras.by_id().keys(), gpu)


def _line_traces(sink: SpanSink) -> LineTraces:
    from inspector.adapters.telemetry.frame_traces import LineTraces

    return LineTraces(sink)


def _why(code: int) -> str:
    if code < 0:
        return "killed"
    return {EXIT_TRY_AGAIN: "service_away", EXIT_BUG: "bug"}.get(code, OTHER)

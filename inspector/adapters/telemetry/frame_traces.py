"""Traces of frames: a producer begins them, an inspector goes on with them, and an alert carries them further."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from inspector.adapters.telemetry.spans import CONSUMER, PRODUCER, Attributes, Span, SpanSink
from inspector.domain.outcome import Dropped, Inspected, Outcome, Rejected
from inspector.pipeline.loop_parts import CommitReport
from inspector.pipeline.trace_context import TraceContext, parse, span_id_of

# Frames on disk may wait for long; of more than these the producer's own span is not told.
_MAX_OPEN = 10_000


class CameraTraces:
    """Begins a trace for a share of a camera's frames. ``begin`` and ``acknowledged`` may be of different threads."""

    def __init__(self, sink: SpanSink, sample_ratio: float, topic: str) -> None:
        self._sink = sink
        self._sample_ratio = sample_ratio
        self._topic = topic
        self._random = random.SystemRandom()
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[TraceContext, float, str]] = OrderedDict()

    def begin(self, frame_id: str, camera_id: str) -> str | None:
        """Return the ``traceparent`` of a frame that is about to be published; None: it is not traced."""
        if self._random.random() >= self._sample_ratio:
            return None
        context = TraceContext(self._random.getrandbits(128) or 1, self._random.getrandbits(64) or 1)
        with self._lock:
            self._open[frame_id] = context, time.time(), camera_id
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        return context.traceparent

    def acknowledged(self, frame_id: str, partition: int, offset: int) -> None:
        """Tell of a frame's publication once Kafka has it."""
        with self._lock:
            found = self._open.pop(frame_id, None)
        if found is None:
            return
        context, start_s, camera_id = found
        attributes = {
            **_message(self._topic, partition, offset, "send"),
            "inspector.frame_id": frame_id,
            "inspector.camera_id": camera_id,
        }
        self._sink.emit(Span("publish frame", context, None, start_s, time.time(), PRODUCER, attributes))


class LineTraces:
    """Tells of committed frames that are traced: how long each stage took, and which alert came of it.

    Stages are told after the fact. How long they took is measured; where scoring and decoding lie within a frame's
    way is put together from it.
    """

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def committed(self, report: CommitReport) -> None:
        """Tell of a committed batch."""
        end_s = time.time()
        for outcome in report.outcomes:
            parent = parse(_traceparent(outcome))
            if parent is not None and parent.sampled:
                self._tell(outcome, parent, report, end_s)

    def _tell(self, outcome: Outcome, parent: TraceContext, report: CommitReport, end_s: float) -> None:
        own = parent.child(span_id_of(outcome.source, "inspect"))
        stored_s = end_s - report.commit_ms / 1000
        scored_s = stored_s - report.store_ms / 1000
        stages = [("store", scored_s, stored_s), ("commit", stored_s, end_s)]
        start_s = scored_s
        if isinstance(outcome, Inspected):
            before, start_s = _before_store(outcome)
            stages = [*before, *stages]
        for name, begin_s, finish_s in stages:
            self._sink.emit(Span(name, own.child(span_id_of(outcome.source, name)), own, begin_s, finish_s))
        if isinstance(outcome, Inspected) and outcome.alert is not None:
            alert = own.child(span_id_of(outcome.source, "alert"))
            told = {"inspector.alert_id": outcome.alert.alert_id, "inspector.defect_type": outcome.alert.defect_type}
            self._sink.emit(Span("publish alert", alert, own, stored_s, end_s, PRODUCER, told))
        source = outcome.source
        attributes = {**_message(source.topic, source.partition, source.offset, "process"), **_said(outcome)}
        failure = outcome.reason.value if isinstance(outcome, Rejected) else ""
        self._sink.emit(Span("inspect frame", own, parent, start_s, end_s, CONSUMER, attributes, failure))


def _before_store(outcome: Inspected) -> tuple[Sequence[tuple[str, float, float]], float]:
    timings, inspected_s = outcome.result.timings_ms, outcome.result.inspected_at.timestamp()
    score_s = sum(timings.get(name, 0.0) for name in ("score", "regions", "overlay")) / 1000
    scoring_from_s = inspected_s - score_s
    taken_s = scoring_from_s - timings.get("queue", 0.0) / 1000
    decoded_s = taken_s + timings.get("decode", 0.0) / 1000
    return (("decode", taken_s, decoded_s), ("score", scoring_from_s, inspected_s)), taken_s


def _traceparent(outcome: Outcome) -> str | None:
    if isinstance(outcome, Inspected):
        return outcome.result.traceparent
    if isinstance(outcome, Rejected):
        found = next((value for name, value in outcome.headers if name == "traceparent"), b"")
        return found.decode("ascii", "replace")
    return None


def _said(outcome: Outcome) -> Attributes:
    if isinstance(outcome, Inspected):
        result = outcome.result
        return {
            "inspector.outcome": "inspected",
            "inspector.frame_id": result.frame_id,
            "inspector.camera_id": result.camera_id,
            "inspector.pred_label": result.pred_label.value,
            "inspector.anomaly_score": result.anomaly_score,
            "inspector.weights_version": result.weights_version[:12],
        }
    name = "dropped" if isinstance(outcome, Dropped) else "rejected"
    return {"inspector.outcome": name, "inspector.reason": outcome.reason.value}


def _message(topic: str, partition: int, offset: int, operation: str) -> Attributes:
    # OpenTelemetry's names for what a message is.
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
        "messaging.operation.type": operation,
    }

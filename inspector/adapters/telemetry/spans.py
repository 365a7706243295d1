"""Finished spans on their way to an OTLP collector: from a thread of their own, and thrown away where it is away."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from inspector import __version__
from inspector.pipeline.trace_context import TraceContext

_SCOPE = InstrumentationScope("inspector", __version__)
_QUEUED_SPANS = 8192
_SENT_AT_ONCE = 512
_SEND_EVERY_MS = 2_000
_SEND_TIMEOUT_S = 5.0
# A collector that is away must not hold up a pod that was told to stop.
_CLOSE_TIMEOUT_S = 3.0

Attributes = Mapping[str, str | int | float]
CONSUMER, INTERNAL, PRODUCER = SpanKind.CONSUMER, SpanKind.INTERNAL, SpanKind.PRODUCER


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a frame's way, from ``start_s`` to ``end_s`` (unix seconds). ``failure``: why it failed."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    start_s: float
    end_s: float
    kind: SpanKind = INTERNAL
    attributes: Attributes = field(default_factory=dict)
    failure: str = ""


class SpanSink:
    """Takes finished spans and sends them. ``service`` names the process, as ``inspector`` or ``camera``.

    It waits for nobody: more than 8192 spans that wait are thrown away.
    """

    def __init__(self, processor: SpanProcessor, service: str, instance: str) -> None:
        self._processor = processor
        self._resource = Resource(
            {
                "service.name": service,
                "service.namespace": "inspection",
                "service.instance.id": instance,
                "service.version": __version__,
            }
        )

    def emit(self, span: Span) -> None:
        """Take a finished span; only sampled ones are sent."""
        self._processor.on_end(
            ReadableSpan(
                span.name,
                _context(span.context),
                None if span.parent is None else _context(span.parent, is_remote=span.kind is CONSUMER),
                self._resource,
                dict(span.attributes),
                kind=span.kind,
                status=Status(StatusCode.ERROR, span.failure) if span.failure else Status(),
                start_time=int(span.start_s * 1e9),
                end_time=int(max(span.start_s, span.end_s) * 1e9),
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Send what waits, as far as that takes a moment."""
        closing = threading.Thread(target=self._processor.shutdown, name="close-traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)


def otlp_sink(endpoint: str, ca_file: Path | None, service: str, instance: str) -> SpanSink:
    """Return a sink to an OTLP collector's address for traces (HTTP, protobuf); nothing is connected yet."""
    exporter = OTLPSpanExporter(
        endpoint=endpoint, certificate_file=None if ca_file is None else str(ca_file), timeout=_SEND_TIMEOUT_S
    )
    processor = BatchSpanProcessor(
        exporter,
        max_queue_size=_QUEUED_SPANS,
        schedule_delay_millis=_SEND_EVERY_MS,
        max_export_batch_size=_SENT_AT_ONCE,
    )
    return SpanSink(processor, service, instance)


def _context(context: TraceContext, *, is_remote: bool = False) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, is_remote, flags)

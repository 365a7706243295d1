"""Traces: W3C's header, a sampled share, and a collector that is away holds up nobody."""

from __future__ import annotations

import socket
import time

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inspector.adapters.telemetry.frame_traces import CameraTraces
from inspector.adapters.telemetry.spans import Span, SpanSink, otlp_sink
from inspector.domain.frame import FrameSource
from inspector.pipeline.trace_context import TraceContext, alert_traceparent, parse, span_id_of

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SOURCE = FrameSource("frames", 3, 42)


def test_a_header_is_read_and_written_as_w3c_says() -> None:
    context = parse(SAMPLED)
    assert context == TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True)
    assert context.traceparent == SAMPLED
    unsampled = parse(SAMPLED[:-2] + "00")
    assert unsampled is not None
    assert not unsampled.sampled


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        SAMPLED + "-extra",
    ],
)
def test_what_cannot_be_a_trace_is_none(text: str | None) -> None:
    assert parse(text) is None
    assert alert_traceparent(text, SOURCE) == text


def test_an_alert_names_its_own_span_in_its_frames_trace_each_time_the_same() -> None:
    said = parse(alert_traceparent(SAMPLED, SOURCE))
    assert said is not None
    assert said.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert said.span_id == span_id_of(SOURCE, "alert") != span_id_of(SOURCE, "inspect")
    assert span_id_of(SOURCE, "alert") != span_id_of(FrameSource("frames", 3, 43), "alert")
    not_sampled = SAMPLED[:-2] + "00"
    assert alert_traceparent(not_sampled, SOURCE) == not_sampled


def test_about_the_share_that_was_asked_for_is_sampled_and_told_once_it_is_acknowledged() -> None:
    exporter = InMemorySpanExporter()
    traces = CameraTraces(SpanSink(SimpleSpanProcessor(exporter), "camera", "c"), 0.1, "frames")
    begun = [f"f{n}" for n in range(2000) if traces.begin(f"f{n}", "cam1")]
    assert 120 <= len(begun) <= 280
    assert not exporter.get_finished_spans()
    for number in range(2000):
        traces.acknowledged(f"f{number}", 0, number)
    told = exporter.get_finished_spans()
    assert [(span.attributes or {})["inspector.frame_id"] for span in told] == begun
    assert not [n for n in range(2000) if CameraTraces(traces._sink, 0.0, "frames").begin(f"g{n}", "cam1")]


def test_a_collector_that_is_away_costs_no_time_and_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and never answers
        sink = otlp_sink(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces", None, "camera", "c")
        context = TraceContext(1, 2)
        started_s = time.perf_counter()
        for _ in range(2_000):
            sink.emit(Span("publish frame", context, None, time.time(), time.time()))
        took_s = time.perf_counter() - started_s
        began_s = time.monotonic()
        sink.close()
        assert time.monotonic() - began_s < 10
    print(f"{500 * took_s:.0f} us a span")
    assert took_s < 10

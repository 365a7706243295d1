"""What counting and tracing cost a frame: ``python tests/bench/metrics_cost.py [--frames 200000]``.

Batches of eight frames of 100 cameras, every twentieth anomalous, as a loop tells of them; microseconds of CPU a frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from inspector.adapters.telemetry.frame_traces import LineTraces
from inspector.adapters.telemetry.line_metrics import LineMetrics
from inspector.adapters.telemetry.spans import SpanSink
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.ledger import Counts
from inspector.pipeline.loop_parts import CommitReport

BATCH = 8
SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TIMINGS_MS = {"queue": 12.0, "decode": 2.0, "score": 30.0, "regions": 1.0}


class Nowhere(SpanProcessor):
    """Takes spans as the real one does, and sends none."""

    def on_end(self, span: ReadableSpan) -> None:
        pass


def frame(number: int) -> Inspected:
    result = InspectionResult(
        frame_id=f"f{number}",
        camera_id=f"cam{number % 100}",
        line_id="l",
        product="p",
        captured_at=datetime.now(UTC),
        inspected_at=datetime.now(UTC),
        anomaly_score=0.2,
        pred_label=PredLabel.NORMAL if number % 20 else PredLabel.ANOMALOUS,
        image_threshold=0.5,
        mode=ScoreMode.ZERO_SHOT,
        weights_version="w" * 64,
        model="m",
        source=FrameSource("frames", number % 12, number),
        timings_ms=TIMINGS_MS,
        width_px=1280,
        height_px=960,
    )
    return Inspected(result.source, result, make_alert(result))


def reports(frames: list[Inspected]) -> list[CommitReport]:
    batches = [frames[first : first + BATCH] for first in range(0, len(frames), BATCH)]
    return [CommitReport(Counts(taken=len(batch), inspected=len(batch)), batch, 4.0, 20.0) for batch in batches]


def cpu_us(told: list[CommitReport], tell: Callable[[CommitReport], None], rounds: int) -> float:
    for report in told:
        tell(report)
    started_s = time.process_time()
    for _ in range(rounds):
        for report in told:
            tell(report)
    return 1e6 * (time.process_time() - started_s) / (rounds * BATCH * len(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200_000)
    rounds = max(1, parser.parse_args().frames // 2000)
    frames = [frame(number) for number in range(2000)]
    metrics, traces = LineMetrics(1000), LineTraces(SpanSink(Nowhere(), "inspector", "bench"))
    traced = [replace(each, result=replace(each.result, traceparent=SAMPLED)) for each in frames]
    print(f"metrics: {cpu_us(reports(frames), metrics.committed, rounds):.1f} us a frame")
    print(f"traces, frame not sampled: {cpu_us(reports(frames), traces.committed, rounds):.1f} us")
    print(f"traces, frame sampled: {cpu_us(reports(traced), traces.committed, max(1, rounds // 20)):.1f} us")
    started_s = time.process_time()
    text = metrics.text()
    print(f"a scrape: {1000 * (time.process_time() - started_s):.1f} ms, {len(text) / 1000:.0f} kB")


if __name__ == "__main__":
    main()

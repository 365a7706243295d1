"""One trace from a camera's frame to its alert, on real Kafka and Redis, by the real commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from line import running_line, wait_for
from local_services import Services
from otlp_collector import collecting
from stub_line_worker import BROKEN, DEFECT

from inspector.pipeline import trace_context

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

WORKER = Path(__file__).with_name("stub_line_worker.py")
JPEG = b"\xff\xd8\xff "


def test_a_trace_goes_from_the_producers_span_to_the_alerts_traceparent(
    services: Services, tmp_path: Path, topic_prefix: str
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, content in (("1-good", JPEG), ("2-bad", JPEG + DEFECT), ("3-broken", JPEG + BROKEN)):
        (images / f"{name}.jpg").write_bytes(content)
    spool = {"dir": str(tmp_path / "spool")}
    with (
        collecting() as collector,
        running_line(
            services,
            tmp_path,
            topic_prefix,
            tracing={"endpoint": collector.endpoint, "sample_ratio": 1},
            spool=spool,
        ) as line,
    ):
        with (tmp_path / "a.log").open("wb") as log:
            command = [sys.executable, str(WORKER), "-c", str(line.config), "--supervised"]
            line.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        line.run("produce", str(images), "--camera", "cam1")
        line.run("produce", str(images), "--camera", "cam2", INSPECTOR_TRACING__SAMPLE_RATIO="0")
        line.wait_drained()
        wait_for(lambda: len(collector.named("inspect frame")) >= 3, 60, line.logs)
        alerts = {alert.camera_id: alert for alert in line.alerts()}
        line.stop()

    assert alerts.keys() == {"cam1", "cam2"}
    assert alerts["cam2"].traceparent is None, "a frame that is not sampled is not traced"
    context = trace_context.parse(alerts["cam1"].traceparent)
    assert context is not None
    spans = {span.name: span for span in collector.trace(f"{context.trace_id:032x}")}
    assert spans.keys() == {"publish frame", "inspect frame", "decode", "score", "store", "commit", "publish alert"}
    published, inspected, alert = spans["publish frame"], spans["inspect frame"], spans["publish alert"]
    assert alert.span_id == f"{context.span_id:016x}", "what a subscriber does goes on from the alert's own span"
    assert alert.parent_id == inspected.span_id
    assert inspected.parent_id == published.span_id
    assert published.parent_id == ""
    for name in ("decode", "score", "store", "commit"):
        assert spans[name].parent_id == inspected.span_id
        assert inspected.start_s <= spans[name].start_s <= spans[name].end_s <= inspected.end_s
    assert (published.service, inspected.service) == ("camera", "inspector")
    assert published.start_s < inspected.end_s
    assert inspected.attributes["inspector.pred_label"] == "anomalous"

    assert len(collector.named("publish frame")) == 3, "cam2 sampled none of its frames"
    (broken,) = [span for span in collector.named("inspect frame") if span.failed]
    assert broken.attributes["inspector.reason"] == "undecodable"

"""What is exported is what is declared, counts are those of the outcomes, and no flood of names makes it large."""

from __future__ import annotations

import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from inspector.adapters.telemetry.instruments import BoundedNames, Instruments
from inspector.adapters.telemetry.line_metrics import MAX_DEFECT_TYPES, LineMetrics
from inspector.domain.alert import Alert, alert_id
from inspector.domain.frame import FrameSource
from inspector.domain.metrics import LABELS, METRICS, STAGES, SUPERVISOR_METRICS, MetricKind, Part, metrics_of
from inspector.domain.outcome import Dropped, DropReason, Inspected, Outcome, Rejected, RejectReason
from inspector.domain.release import RolloutStage
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ledger import Counts
from inspector.pipeline.loop_parts import CommitReport, LoopState

PROCESS = {"process_cpu_seconds", "process_resident_memory_bytes", "process_virtual_memory_bytes"}
NOON = datetime(2026, 1, 29, 12, tzinfo=UTC)


def inspected(
    camera_id: str, offset: int, defect_type: str | None = None, captured_at: datetime | None = None
) -> Inspected:
    source = FrameSource("frames", offset % 12, offset)
    label = PredLabel.NORMAL if defect_type is None else PredLabel.ANOMALOUS
    when = captured_at or datetime.now(UTC) - timedelta(seconds=0.2)
    result = InspectionResult(
        frame_id=f"f{offset}",
        camera_id=camera_id,
        line_id="l1",
        product="p",
        captured_at=when,
        inspected_at=when,
        anomaly_score=0.1 if defect_type is None else 0.9,
        pred_label=label,
        image_threshold=0.5,
        mode=ScoreMode.ZERO_SHOT,
        weights_version="w1",
        model="m",
        source=source,
        timings_ms={"queue": 3.0, "decode": 4.0, "score": 20.0, "regions": 1.0, "made_up": 1.0},
        width_px=4,
        height_px=3,
    )
    alert = None
    if defect_type is not None:
        alert = Alert(
            alert_id=alert_id(source),
            camera_id=camera_id,
            line_id="l1",
            frame_id=f"f{offset}",
            defect_type=defect_type,
            severity=500,
            anomaly_score=0.9,
            captured_at=when,
            result_key="k",
            weights_version="w1",
            description="",
            defect_types=(defect_type,),
            product="p",
            source=source,
        )
    return Inspected(source, result, alert)


def report(*outcomes: Outcome) -> CommitReport:
    return CommitReport(Counts(taken=len(outcomes)), outcomes, store_ms=5.0, commit_ms=40.0)


def families(metrics: LineMetrics | Instruments) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}


def value(metrics: LineMetrics, sample: str, **labels: str) -> float:
    found = [
        each.value
        for family in families(metrics).values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    ]
    return sum(found)


@pytest.fixture
def metrics() -> LineMetrics:
    return LineMetrics(max_cameras=1000)


def test_all_that_is_declared_for_a_worker_is_exported_and_nothing_else(metrics: LineMetrics) -> None:
    exported = families(metrics)
    declared = {
        m.name.removesuffix("_total"): m for m in metrics_of(Part.INSPECTOR) if m.name not in SUPERVISOR_METRICS
    }
    assert declared.keys() <= exported.keys()
    undeclared = exported.keys() - declared.keys()
    assert undeclared >= PROCESS
    assert all(name.startswith("process_") for name in undeclared)
    for name, metric in declared.items():
        assert exported[name].type == metric.kind.value
        assert exported[name].documentation == metric.meaning


@pytest.mark.parametrize("part", list(Part))
def test_every_process_exports_its_part_of_the_list(part: Part) -> None:
    exported = families(Instruments(metrics_of(part), with_process=False))
    assert exported.keys() == {metric.name.removesuffix("_total") for metric in metrics_of(part)}


def test_names_follow_the_rules_of_prometheus() -> None:
    for metric in METRICS:
        assert metric.name.startswith("inspector_")
        assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER), metric.name
        assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM), metric.name
        assert metric.labels == () or LABELS.keys() >= set(metric.labels)
        if metric.unit in ("seconds", "bytes") and metric.kind is not MetricKind.COUNTER:
            assert metric.name.endswith(f"_{metric.unit}"), metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert LABELS.keys() == {label for metric in METRICS for label in metric.labels}, "a label that nothing uses"


def test_frames_are_counted_by_outcome(metrics: LineMetrics) -> None:
    rejected = Rejected(FrameSource("frames", 0, 4), RejectReason.TRUNCATED, "cut", b"", camera_id="cam1")
    nameless = Rejected(FrameSource("frames", 0, 5), RejectReason.NO_CAMERA_ID, "none", b"")
    dropped = Dropped(FrameSource("frames", 0, 6), DropReason.LAG, camera_id="cam2")
    metrics.committed(report(inspected("cam1", 1), inspected("cam1", 2), inspected("cam1", 3, "scratch")))
    metrics.committed(report(rejected, nameless, dropped))
    count = "inspector_frames_total"
    assert value(metrics, count, camera_id="cam1", outcome="inspected", reason="normal") == 2
    assert value(metrics, count, camera_id="cam1", outcome="inspected", reason="anomalous") == 1
    assert value(metrics, count, camera_id="cam1", outcome="rejected", reason="truncated") == 1
    assert value(metrics, count, camera_id="unknown", outcome="rejected", reason="no_camera_id") == 1
    assert value(metrics, count, camera_id="cam2", outcome="dropped", reason="lag") == 1
    assert value(metrics, count) == 6
    assert value(metrics, "inspector_dead_letters_total") == 3
    assert value(metrics, "inspector_alerts_total", kind="defect", defect_type="scratch") == 1
    assert value(metrics, "inspector_frame_latency_seconds_count") == 3
    assert 0.6 <= value(metrics, "inspector_frame_latency_seconds_sum") < 60
    assert value(metrics, "inspector_batch_frames_sum") == 6
    assert value(metrics, "inspector_stage_seconds_sum", stage="score") == pytest.approx(0.06)
    assert value(metrics, "inspector_stage_seconds_sum", stage="commit") == pytest.approx(0.08)
    assert value(metrics, "inspector_stage_seconds_count", stage="made_up") == 0
    assert value(metrics, "inspector_commits_total") == 2


def test_a_cameras_newest_frame_is_never_in_the_future_and_never_goes_back(metrics: LineMetrics) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3)
    metrics.committed(
        report(inspected("cam1", 1, captured_at=NOON), inspected("cam1", 2, captured_at=NOON.replace(hour=9)))
    )
    metrics.committed(report(inspected("cam2", 3, captured_at=ahead)))
    newest = "inspector_camera_last_frame_timestamp_seconds"
    assert value(metrics, newest, camera_id="cam1") == NOON.timestamp()
    assert value(metrics, newest, camera_id="cam2") <= time.time()


def test_partitions_that_went_to_another_inspector_are_not_told_of(metrics: LineMetrics) -> None:
    metrics.state(LoopState(True, {("frames", 0): 7, ("frames", 1): 8}, 1, 2, 3, 4096, True))
    assert value(metrics, "inspector_consumer_lag_frames") == 15
    assert value(metrics, "inspector_queue_frames", queue="score") == 3
    assert value(metrics, "inspector_fetch_paused") == 1
    metrics.state(LoopState(True, {("frames", 1): 2}))
    assert value(metrics, "inspector_consumer_lag_frames") == 2


def test_weights_that_serve_no_more_are_not_told_of(metrics: LineMetrics) -> None:
    metrics.serving("a" * 64, None, RolloutStage.FULL)
    metrics.serving("a" * 64, "b" * 64, RolloutStage.CANARY)
    info = "inspector_weights_info"
    assert value(metrics, info, weights_version="b" * 12, role="candidate") == 1
    metrics.serving("b" * 64, "a" * 64, RolloutStage.FULL)
    assert value(metrics, info, weights_version="b" * 12, role="serving") == 1
    assert value(metrics, info, weights_version="a" * 12, role="previous") == 1
    assert value(metrics, info) == 2
    assert value(metrics, "inspector_rollout_stage", stage="full") == 1
    assert value(metrics, "inspector_rollout_stage") == 1


def test_what_never_happened_is_zero_and_not_absent(metrics: LineMetrics) -> None:
    told = {(s.name, *s.labels.values()): s.value for family in families(metrics).values() for s in family.samples}
    assert {told["inspector_dead_letters_total", reason.value] for reason in RejectReason} == {0}
    assert {told["inspector_stage_seconds_count", stage] for stage in STAGES} == {0}
    assert told["inspector_alerts_total", "", "rejects"] == told["inspector_alerts_total", "anomaly", "defect"] == 0
    assert told["inspector_weights_refused_total",] == 0


def test_troubles_are_of_a_closed_set(metrics: LineMetrics) -> None:
    for what in ("redis is away", "kafka is away", "commit failed", "something new"):
        metrics.trouble(what)
    assert value(metrics, "inspector_troubles_total", what="redis_away") == 1
    assert value(metrics, "inspector_troubles_total", what="other") == 1


def test_what_is_configured_has_its_label_whatever_comes_first() -> None:
    name = BoundedNames(3, ("cam1",))
    assert [name(each) for each in ("x", "y", "z", "cam1", "x")] == ["x", "y", "other", "cam1", "x"]


def test_a_thousand_cameras_have_labels_and_more_do_not_grow_it() -> None:
    metrics = LineMetrics(max_cameras=1000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def used_mb() -> float:
        return (tracemalloc.get_traced_memory()[0] - before) / 2**20

    def publish(cameras: range) -> list[str]:
        for camera in cameras:
            name = f"cam{camera:05}"
            metrics.committed(report(inspected(name, camera), inspected(name, camera, f"type{camera}")))
        return [line for line in metrics.text().decode().splitlines() if line.startswith("inspector_")]

    lines = publish(range(1000))
    first_mb = used_mb()
    more = publish(range(1000, 1500))
    more_mb = used_mb() - first_mb
    tracemalloc.stop()
    print(f"1000 cameras: {len(lines)} series, {first_mb:.1f} MB; 500 more: {len(more) - len(lines)}, {more_mb:.2f} MB")
    assert len([line for line in lines if line.startswith("inspector_frames_total")]) == 2 * 1000
    assert len(more) == len(lines) + 3, "of the others: frames normal and anomalous, and their newest"
    assert value(metrics, "inspector_frames_total", camera_id="other") == 2 * 500
    assert value(metrics, "inspector_frames_total") == 2 * 1500
    types = [line for line in more if line.startswith("inspector_alerts_total") and 'kind="defect"' in line]
    assert len(types) == MAX_DEFECT_TYPES + 1
    assert first_mb < 20
    assert more_mb < 1

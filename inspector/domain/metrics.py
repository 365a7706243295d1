"""Every metric that the service exports: name, kind, unit, labels, meaning. Declared here and nowhere else.

Names are Prometheus's: ``inspector_`` first, the unit last, ``_total`` on counters. What measures and exports them is
``adapters.telemetry``; a test holds its output against this list, and the README's table is printed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from inspector.domain.outcome import DropReason, RejectReason
from inspector.domain.release import RolloutStage
from inspector.domain.trainer_run import TrainerOutcome

OTHER = "other"
"""The label value of what came after a bounded label was full: cameras beyond ``metrics.max_cameras``, for one."""


class MetricKind(StrEnum):
    """As Prometheus knows them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Part(StrEnum):
    """Which process exports a metric; also the value of Kubernetes's ``app.kubernetes.io/component``."""

    INSPECTOR = "inspector"
    CAMERA = "camera"
    TRAINER = "trainer"
    SERVE = "serve"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Label:
    """``values``: all that there are; empty where they come from outside, and then ``bound`` says how many may be."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """``buckets`` are upper bounds of a histogram's, in ``unit``. ``parts``: which processes export it."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    parts: tuple[Part, ...] = (Part.INSPECTOR,)


_LATENCY_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_STAGE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_BATCH_FRAMES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SCORE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_REQUEST_S = (0.005, 0.025, 0.1, 0.5, 1, 5, 30)

STAGES = ("queue", "decode", "score", "regions", "overlay", "store", "commit")
QUEUES = ("decode", "batch", "score")
TROUBLES = ("kafka_away", "redis_away", "commit_failed", OTHER)
ROLES = ("serving", "candidate", "previous")
RESTARTS = ("service_away", "bug", "killed", OTHER)
_JUDGED = ("normal", "anomalous")
_REASONS = (*_JUDGED, *(each.value for each in RejectReason), *(each.value for each in DropReason))

LABELS: Mapping[str, Label] = MappingProxyType(
    {
        each.name: each
        for each in (
            Label("camera_id", "the camera; `unknown` where a record names none", bound="metrics.max_cameras"),
            Label("outcome", "what became of a frame", ("inspected", "rejected", "dropped", "acknowledged", "refused")),
            Label("reason", "how it was judged, or why it was not", _REASONS),
            Label("stage", "a step of a frame's way, or of a rollout", (*STAGES, *(s.value for s in RolloutStage))),
            Label("queue", "what the frames wait for", QUEUES),
            Label("partition", "of the frames topic", bound="the topic's partitions"),
            Label("kind", "of an alert: `defect`, or a camera's frames are rejected", ("defect", "rejects")),
            Label(
                "defect_type", "of the gravest defect; empty where the kind has none", bound="200 types, then `other`"
            ),
            Label("what", "what went wrong and was waited out", TROUBLES),
            Label("weights_version", "the first 12 characters, as in logs", bound="two at once"),
            Label("role", "what the weights do", ROLES),
            Label("version", "of this package", bound="one"),
            Label("why", "why a worker ended", RESTARTS),
            Label("device", "the GPU, as torch names it", bound="one"),
            Label("place", "the folder's use", ("spool", "trainer", "samples")),
            Label("run_outcome", "how a run of the trainer ended", tuple(each.value for each in TrainerOutcome)),
            Label("finding", "as `inspector reconcile` names it", bound="the kinds of findings"),
            Label("method", "of the request", ("GET", "POST", OTHER)),
            Label("route", "the API's path template; `other` where none matches", bound="the API's routes"),
            Label("code", "the status, as 2xx", ("2xx", "3xx", "4xx", "5xx")),
        )
    }
)

_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM
_ALL = tuple(Part)

METRICS: tuple[Metric, ...] = (
    # Frames, on their way through an inspector.
    Metric(
        "inspector_frames_total",
        _C,
        "frames",
        "Committed frames, each with one outcome: their sum is what was taken.",
        ("camera_id", "outcome", "reason"),
    ),
    Metric(
        "inspector_frame_latency_seconds",
        _H,
        "seconds",
        "From captured_at to the commit, of inspected frames. The camera's clock has a part in it.",
        buckets=_LATENCY_S,
    ),
    Metric(
        "inspector_stage_seconds",
        _H,
        "seconds",
        "Time in each stage, of a frame; store and commit, of a batch. Scoring is shared out over a batch's frames.",
        ("stage",),
        _STAGE_S,
    ),
    Metric("inspector_batch_frames", _H, "frames", "Frames in a committed batch.", buckets=_BATCH_FRAMES),
    Metric("inspector_anomaly_score", _H, "0..1", "Scores of inspected frames.", buckets=_SCORE),
    Metric("inspector_alerts_total", _C, "alerts", "Committed alerts.", ("kind", "defect_type")),
    Metric("inspector_dead_letters_total", _C, "records", "Committed dead letters.", ("reason",)),
    Metric(
        "inspector_camera_last_frame_timestamp_seconds",
        _G,
        "unix seconds",
        "When the camera's newest committed frame was captured, at most now.",
        ("camera_id",),
    ),
    # The state of an inspector.
    Metric(
        "inspector_consumer_lag_frames",
        _G,
        "frames",
        "Frames of an owned partition that are published and not yet taken, as of the last fetch.",
        ("partition",),
    ),
    Metric("inspector_queue_frames", _G, "frames", "Frames taken and not yet committed.", ("queue",)),
    Metric("inspector_queue_bytes", _G, "bytes", "What they take, encoded and decoded."),
    Metric("inspector_fetch_paused", _G, "0 or 1", "1 while nothing more is taken because the queues are full."),
    Metric("inspector_commits_total", _C, "batches", "Committed batches."),
    Metric("inspector_last_commit_timestamp_seconds", _G, "unix seconds", "When the last batch was committed."),
    Metric(
        "inspector_troubles_total", _C, "times", "Troubles that are waited out, counted at every new try.", ("what",)
    ),
    Metric(
        "inspector_weights_info",
        _G,
        "1",
        "Which weights serve, and which are held against them: on trial, or those that served before.",
        ("weights_version", "role"),
    ),
    Metric("inspector_rollout_stage", _G, "0 or 1", "1 for the stage that the rollout is in here.", ("stage",)),
    Metric("inspector_weights_refused_total", _C, "versions", "Published versions that this inspector refused."),
    Metric("inspector_weights_vetoes_total", _C, "versions", "Versions on trial that this inspector vetoed."),
    Metric(
        "inspector_gpu_utilization_ratio",
        _G,
        "0..1",
        "Share of the last second or less in which the GPU computed, for anyone; absent where that is not told.",
        ("device",),
    ),
    Metric("inspector_gpu_memory_used_bytes", _G, "bytes", "In use on the GPU, by anyone.", ("device",)),
    Metric("inspector_gpu_memory_total_bytes", _G, "bytes", "Memory of the GPU.", ("device",)),
    Metric("inspector_worker_up", _G, "0 or 1", "1 while the worker answers its supervisor."),
    Metric("inspector_worker_restarts_total", _C, "times", "Workers started again, by why they ended.", ("why",)),
    # A camera's producer.
    Metric(
        "inspector_produced_frames_total",
        _C,
        "frames",
        "Frames by their end: acknowledged by all in-sync replicas, or refused for good.",
        ("camera_id", "outcome"),
        parts=(Part.CAMERA,),
    ),
    Metric(
        "inspector_produced_held_up_frames_total",
        _C,
        "frames",
        "Frames that had to wait for room.",
        ("camera_id",),
        parts=(Part.CAMERA,),
    ),
    Metric(
        "inspector_window_frames",
        _G,
        "frames",
        "Frames in memory that are not acknowledged.",
        ("camera_id",),
        parts=(Part.CAMERA,),
    ),
    Metric(
        "inspector_spool_frames",
        _G,
        "frames",
        "Frames on disk that wait for Kafka.",
        ("camera_id",),
        parts=(Part.CAMERA,),
    ),
    Metric("inspector_spool_bytes", _G, "bytes", "Their images.", ("camera_id",), parts=(Part.CAMERA,)),
    Metric(
        "inspector_spool_max_bytes",
        _G,
        "bytes",
        "How much the spool takes: spool.max_bytes.",
        ("camera_id",),
        parts=(Part.CAMERA,),
    ),
    Metric(
        "inspector_last_acknowledged_timestamp_seconds",
        _G,
        "unix seconds",
        "When Kafka last acknowledged a frame.",
        ("camera_id",),
        parts=(Part.CAMERA,),
    ),
    Metric(
        "inspector_disk_free_bytes",
        _G,
        "bytes",
        "Free on the disk of a folder that is written to.",
        ("place",),
        parts=(Part.CAMERA, Part.TRAINER),
    ),
    Metric(
        "inspector_disk_size_bytes",
        _G,
        "bytes",
        "Size of that disk.",
        ("place",),
        parts=(Part.CAMERA, Part.TRAINER),
    ),
    # The trainer.
    Metric(
        "inspector_trainer_runs_total",
        _C,
        "runs",
        "Runs that ended here, by how.",
        ("run_outcome",),
        parts=(Part.TRAINER,),
    ),
    Metric(
        "inspector_trainer_last_run_timestamp_seconds",
        _G,
        "unix seconds",
        "When the last run of each outcome ended: here; of any trainer, as the watch tells it.",
        ("run_outcome",),
        parts=(Part.TRAINER, Part.WATCH),
    ),
    Metric(
        "inspector_trainer_last_run_duration_seconds",
        _G,
        "seconds",
        "How long that run took, from when it was first begun.",
        ("run_outcome",),
        parts=(Part.TRAINER, Part.WATCH),
    ),
    Metric("inspector_trainer_running", _G, "0 or 1", "1 during a run.", parts=(Part.TRAINER,)),
    Metric(
        "inspector_trainer_last_look_timestamp_seconds",
        _G,
        "unix seconds",
        "When it, or any trainer as the watch tells it, last looked for something to do and was done with it.",
        parts=(Part.TRAINER, Part.WATCH),
    ),
    # The HTTP API.
    Metric(
        "inspector_http_requests_total",
        _C,
        "requests",
        "Answered requests.",
        ("method", "route", "code"),
        parts=(Part.SERVE,),
    ),
    Metric(
        "inspector_http_request_seconds",
        _H,
        "seconds",
        "From request to the end of its answer.",
        ("route",),
        _REQUEST_S,
        (Part.SERVE,),
    ),
    # The watch over the whole line: what no single process knows.
    Metric(
        "inspector_group_lag_frames",
        _G,
        "frames",
        "Published frames that the group has not committed, also while no inspector runs.",
        ("partition",),
        parts=(Part.WATCH,),
    ),
    Metric(
        "inspector_camera_newest_result_timestamp_seconds",
        _G,
        "unix seconds",
        "When its newest kept result was stored; known also after inspectors started anew.",
        ("camera_id",),
        parts=(Part.WATCH,),
    ),
    Metric(
        "inspector_reconcile_findings",
        _G,
        "frames",
        "What the last reconcile found that does not fit.",
        ("finding",),
        parts=(Part.WATCH,),
    ),
    Metric("inspector_reconcile_frames", _G, "frames", "Committed frames that it looked at.", parts=(Part.WATCH,)),
    Metric(
        "inspector_reconcile_timestamp_seconds",
        _G,
        "unix seconds",
        "When the last reconcile ended.",
        parts=(Part.WATCH,),
    ),
    Metric(
        "inspector_camera_drift",
        _G,
        "0 or 1",
        "1: the camera's scores or pictures have drifted; absent while there is too little to tell.",
        ("camera_id",),
        parts=(Part.WATCH,),
    ),
    Metric(
        "inspector_drift_timestamp_seconds",
        _G,
        "unix seconds",
        "When all cameras were last looked at for drift.",
        parts=(Part.WATCH,),
    ),
    Metric(
        "inspector_watch_failures_total",
        _C,
        "times",
        "Looks at the line that failed: Kafka or Redis was away.",
        parts=(Part.WATCH,),
    ),
    # Every process.
    Metric("inspector_build_info", _G, "1", "Which version runs.", ("version",), parts=_ALL),
)


SUPERVISOR_METRICS = frozenset({"inspector_worker_up", "inspector_worker_restarts_total", "inspector_build_info"})
"""What an inspector's supervisor knows better than its worker, which may be dead."""


def metrics_of(part: Part) -> tuple[Metric, ...]:
    """Return what one process exports, in the list's order."""
    return tuple(metric for metric in METRICS if part in metric.parts)

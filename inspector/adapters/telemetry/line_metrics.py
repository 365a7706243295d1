"""The metrics of an inspector's worker: what its loop and its rollout tell, counted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import time
from typing import TYPE_CHECKING

from inspector.adapters.telemetry.instruments import BoundedNames, Instruments
from inspector.domain.metrics import OTHER, STAGES, SUPERVISOR_METRICS, TROUBLES, Part, metrics_of
from inspector.domain.outcome import Dropped, DropReason, Inspected, Outcome, Rejected, RejectReason
from inspector.domain.release import RolloutStage
from inspector.pipeline.loop_parts import CommitReport, LoopState

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from inspector.adapters.telemetry.gpu import GpuState

MAX_DEFECT_TYPES = 200
NO_CAMERA = "unknown"
ANY_DEFECT = "anomaly"  # of a frame that is anomalous as a whole
_VERSION_CHARS = 12
# Of a result's timings; store and commit are a batch's.
_FRAME_STAGES = frozenset(STAGES[:-2])


class LineMetrics:
    """Told by the loop's thread and the keeper's; read by the one that answers.

    ``cameras`` are configured: they have a label of their own whatever comes before them. ``gpu`` is asked once a
    second at most; None: there is no GPU.
    """

    def __init__(
        self, max_cameras: int, cameras: Collection[str] = (), gpu: Callable[[], GpuState] | None = None
    ) -> None:
        declared = [metric for metric in metrics_of(Part.INSPECTOR) if metric.name not in SUPERVISOR_METRICS]
        self._made = Instruments(declared)
        self._camera = BoundedNames(max_cameras, cameras)
        self._defect_type = BoundedNames(MAX_DEFECT_TYPES)
        self._gpu = gpu
        # Looked up once: `labels` costs as much as counting.
        self._frames: dict[tuple[str, str, str], Counter] = {}
        self._stages: dict[str, Histogram] = {}
        self._newest: dict[str, float] = {}
        self._latency = self._made.histogram("inspector_frame_latency_seconds")
        self._score = self._made.histogram("inspector_anomaly_score")
        self._partitions: set[str] = set()
        self._weights: set[tuple[str, str]] = set()
        self._begin_at_zero()

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        newest = self._made.gauge("inspector_camera_last_frame_timestamp_seconds")
        for camera_id, captured_s in tuple(self._newest.items()):
            newest.labels(camera_id).set(captured_s)
        return self._made.text()

    def committed(self, report: CommitReport) -> None:
        """Count a committed batch."""
        now_s = time()
        for outcome in report.outcomes:
            self._count(outcome, now_s)
        for _ in report.reject_alerts:
            self._made.counter("inspector_alerts_total").labels("rejects", "").inc()
        self._made.histogram("inspector_batch_frames").observe(report.counts.taken)
        self._stage("store").observe(report.store_ms / 1000)
        self._stage("commit").observe(report.commit_ms / 1000)
        self._made.counter("inspector_commits_total").inc()
        self._made.gauge("inspector_last_commit_timestamp_seconds").set(now_s)

    def trouble(self, what: str) -> None:
        """Count a trouble that the loop waits out."""
        name = what.replace(" is ", "_").replace(" ", "_")
        self._made.counter("inspector_troubles_total").labels(name if name in TROUBLES else OTHER).inc()

    def state(self, state: LoopState) -> None:
        """Show where the loop stands."""
        lag = self._made.gauge("inspector_consumer_lag_frames")
        partitions = {str(partition): frames for (_, partition), frames in state.lag.items()}
        for gone in self._partitions - partitions.keys():
            lag.remove(gone)  # its new owner tells of it
        self._partitions = set(partitions)
        for partition, frames in partitions.items():
            lag.labels(partition).set(frames)
        queue = self._made.gauge("inspector_queue_frames")
        for name, frames in (("decode", state.decoding), ("batch", state.batching), ("score", state.scoring)):
            queue.labels(name).set(frames)
        self._made.gauge("inspector_queue_bytes").set(state.queued_bytes)
        self._made.gauge("inspector_fetch_paused").set(state.paused)
        if self._gpu is not None:
            self._show_gpu(self._gpu())

    def serving(self, version: str, beside: str | None, stage: RolloutStage) -> None:
        """Show which weights serve, and which are held against them."""
        info = self._made.gauge("inspector_weights_info")
        wanted = {(version[:_VERSION_CHARS], "serving")}
        if beside is not None:
            wanted.add((beside[:_VERSION_CHARS], "previous" if stage is RolloutStage.FULL else "candidate"))
        for gone in self._weights - wanted:
            info.remove(*gone)
        for labels in wanted:
            info.labels(*labels).set(1)
        self._weights = wanted
        for each in RolloutStage:
            self._made.gauge("inspector_rollout_stage").labels(each.value).set(each is stage)

    def refused(self) -> None:
        """Count a published version that was refused."""
        self._made.counter("inspector_weights_refused_total").inc()

    def vetoed(self) -> None:
        """Count a version on trial that was vetoed."""
        self._made.counter("inspector_weights_vetoes_total").inc()

    def _show_gpu(self, gpu: GpuState) -> None:
        self._made.gauge("inspector_gpu_memory_used_bytes").labels(gpu.device).set(gpu.memory_used_bytes)
        self._made.gauge("inspector_gpu_memory_total_bytes").labels(gpu.device).set(gpu.memory_total_bytes)
        busy = self._made.gauge("inspector_gpu_utilization_ratio")
        if gpu.utilization is None:
            busy.clear()  # the last figure would stand as if it were of now
        else:
            busy.labels(gpu.device).set(gpu.utilization)

    def _begin_at_zero(self) -> None:
        # What never happened is 0 and not absent: a query over nothing says nothing.
        for what in TROUBLES:
            self._made.counter("inspector_troubles_total").labels(what)
        for reason in (*RejectReason, *DropReason):
            self._made.counter("inspector_dead_letters_total").labels(reason.value)
        for labels in (("defect", self._defect_type(ANY_DEFECT)), ("rejects", "")):
            self._made.counter("inspector_alerts_total").labels(*labels)
        for stage in STAGES:
            self._stage(stage)

    def _count(self, outcome: Outcome, now_s: float) -> None:
        if isinstance(outcome, Inspected):
            self._count_inspected(outcome, now_s)
        elif isinstance(outcome, Rejected):
            self._count_set_aside(outcome, "rejected")
        else:
            self._count_set_aside(outcome, "dropped")

    def _count_inspected(self, outcome: Inspected, now_s: float) -> None:
        result = outcome.result
        camera = self._camera(result.camera_id)
        self._frame(camera, "inspected", result.pred_label.value).inc()
        captured_s = min(result.captured_at.timestamp(), now_s)
        self._latency.observe(now_s - captured_s)
        self._score.observe(result.anomaly_score)
        for stage, took_ms in result.timings_ms.items():
            if stage in _FRAME_STAGES:
                self._stage(stage).observe(took_ms / 1000)
        self._seen(camera, captured_s)
        if outcome.alert is not None:
            kind = self._defect_type(outcome.alert.defect_type)
            self._made.counter("inspector_alerts_total").labels("defect", kind).inc()

    def _count_set_aside(self, outcome: Rejected | Dropped, name: str) -> None:
        camera = NO_CAMERA if outcome.camera_id is None else self._camera(outcome.camera_id)
        self._frame(camera, name, outcome.reason.value).inc()
        self._made.counter("inspector_dead_letters_total").labels(outcome.reason.value).inc()

    def _frame(self, camera: str, outcome: str, reason: str) -> Counter:
        labels = (camera, outcome, reason)
        made = self._frames.get(labels)
        if made is None:
            made = self._frames[labels] = self._made.counter("inspector_frames_total").labels(*labels)
        return made

    def _stage(self, name: str) -> Histogram:
        made = self._stages.get(name)
        if made is None:
            made = self._stages[name] = self._made.histogram("inspector_stage_seconds").labels(name)
        return made

    def _seen(self, camera: str, captured_s: float) -> None:
        if captured_s > self._newest.get(camera, 0.0):
            self._newest[camera] = captured_s

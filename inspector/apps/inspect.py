"""``inspector inspect``: the consumer. A small parent (``supervise``) keeps a worker (``work``) running."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.kafka.watchdog import exit_process
from inspector.adapters.telemetry.link import WorkerLink
from inspector.apps import rollout_wiring, wiring
from inspector.apps.inspect_telemetry import WorkerTelemetry, answering
from inspector.apps.supervisor import EXIT_BUG, EXIT_OK, EXIT_TRY_AGAIN, Supervisor, stop_when_told
from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.domain.outcome import Dropped, Inspected, Outcome, Rejected
from inspector.domain.reject_alert import RejectAlert, RejectEvent
from inspector.pipeline.decode_stage import StuckError
from inspector.pipeline.drop_rule import DropLimits, DropPolicy
from inspector.pipeline.engine_ports import ServingEngine
from inspector.pipeline.loop import InspectionLoop
from inspector.pipeline.loop_parts import CommitReport, LoopEvents, LoopLimits, OutTopics
from inspector.pipeline.milestones import OnMilestone, nobody_listens
from inspector.pipeline.partition_watch import PartitionWatch
from inspector.pipeline.ports import Configuration, DecodeMarks, FencedError, FrameLog, ResultStore
from inspector.pipeline.reject_window import RejectLimits
from inspector.pipeline.rollout_keeper import RolloutKeeper
from inspector.settings import Settings

_log = structlog.get_logger()

_SUMMARY_EVERY_S = 10.0
# A dead letter carries up to 64 original headers beside the frame's bytes.
_DEAD_LETTER_ROOM_BYTES = 256 * 1024


def supervise(settings: Settings, worker_command: Sequence[str]) -> int:
    """Run a worker, restarted while it may help, and answer scrapes and probes; return the exit code.

    Raises:
        BadInputError: ``metrics.host`` and ``metrics.port`` cannot be taken.
    """
    link = WorkerLink()
    with answering(settings, link) as telemetry:

        def on_restart(code: int, delay_s: float) -> None:
            _log.warning("worker ended, starting it again", exit_code=code, delay_s=delay_s)
            if telemetry is not None:
                telemetry.worker_restarts(code)

        def on_start() -> None:
            if telemetry is not None:
                telemetry.worker_started()

        return Supervisor(worker_command, on_restart, link=link, on_start=on_start).run()


def work(settings: Settings, on_milestone: OnMilestone = nobody_listens) -> int:
    """Inspect until told to stop; return the exit code. ``on_milestone`` hears how far each batch has come.

    Raises:
        InspectorError: a problem that a restart would meet again.
    """
    telemetry = WorkerTelemetry(settings)
    stop = stop_when_told(telemetry.answer)
    try:
        return _work(settings, stop, telemetry, on_milestone)
    except ServiceUnavailableError as error:
        _log.error("waiting for a service", problem=str(error))
    except FencedError as error:
        _log.error("fenced", problem=str(error))
    except StuckError as error:
        _log.error("stuck", problem=str(error))
        os._exit(EXIT_TRY_AGAIN)  # its thread would hold up an orderly exit for ever
    except InspectorError:
        raise
    except Exception:
        _log.exception("a bug, or a device that failed: the worker starts again")
        return EXIT_BUG
    return EXIT_TRY_AGAIN


def _work(settings: Settings, stop: threading.Event, telemetry: WorkerTelemetry, on_milestone: OnMilestone) -> int:
    # The services first: one that is away should be told in a second, not after a model was loaded.
    store = wiring.result_store(settings)
    rollout = rollout_wiring.keeper(settings, listener=telemetry.rollout)
    telemetry.warmed()
    try:
        return _inspect(settings, stop, store, rollout, telemetry, on_milestone)
    finally:
        rollout.close()
        telemetry.close()


def _inspect(
    settings: Settings,
    stop: threading.Event,
    store: ResultStore,
    rollout: RolloutKeeper,
    telemetry: WorkerTelemetry,
    on_milestone: OnMilestone,
) -> int:
    engine = rollout.engines
    structlog.contextvars.bind_contextvars(weights_version=engine.weights_version[:12], replica=settings.replica)
    if not _configured(rollout, stop):
        return EXIT_OK
    rollout.start()
    marks = wiring.decode_marks(settings)
    log = frame_log(settings, on_milestone, partial(_leave, marks))
    try:
        reporter = _Reporter(log, engine)

        def committed(report: CommitReport) -> None:
            reporter.committed(report)
            telemetry.committed(report)

        def trouble(what: str, detail: str) -> None:
            _log.warning(what, problem=detail)
            telemetry.trouble(what)

        loop = InspectionLoop(
            log,
            store,
            marks,
            engine,
            rollout,
            OutTopics(settings.kafka.alerts_topic, settings.kafka.dead_letter_topic),
            _limits(settings),
            LoopEvents(committed, trouble, on_milestone, rollout.after_batch, telemetry.state),
        )
        _log.info("inspecting", topic=settings.kafka.frames_topic, group=settings.kafka.group, pid=os.getpid())
        loop.run(stop.is_set)
        reporter.summary()
        _log.info("stopped", frames=reporter.frames)
    finally:
        log.close()
    return EXIT_OK


def _leave(marks: DecodeMarks) -> None:
    """End the process when a step of Kafka's hangs; what is being decoded is not to blame for it."""
    try:
        marks.withdraw()
    finally:
        exit_process()


def frame_log(
    settings: Settings,
    on_milestone: OnMilestone = nobody_listens,
    on_watchdog: Callable[[], None] = exit_process,
) -> KafkaFrameLog:
    """Return the line's frame log, connected. Raises as ``KafkaFrameLog``."""
    return KafkaFrameLog(
        wiring.kafka_connection(settings),
        group_id=settings.kafka.group,
        replica=settings.replica,
        frames_topic=settings.kafka.frames_topic,
        max_record_bytes=settings.limits.max_frame_bytes + 2 * _DEAD_LETTER_ROOM_BYTES,
        output_topics=(settings.kafka.alerts_topic, settings.kafka.dead_letter_topic),
        on_milestone=on_milestone,
        on_watchdog=on_watchdog,
    )


def _limits(settings: Settings) -> LoopLimits:
    return LoopLimits(
        batch_max_size=settings.batch.max_size,
        batch_max_wait_s=settings.batch.max_wait_ms / 1000,
        max_queued_frames=max(settings.batch.max_queued_frames, 2 * settings.batch.max_size),
        decode_threads=settings.batch.decode_threads,
        max_frame_bytes=settings.limits.max_frame_bytes,
        max_dead_letter_bytes=settings.limits.max_frame_bytes + _DEAD_LETTER_ROOM_BYTES,
        traced=settings.tracing.endpoint is not None,
        rejects=RejectLimits(**settings.rejects.model_dump()),
        drops=DropLimits(
            DropPolicy(settings.batch.drop_policy),
            settings.batch.drop_when_lag_frames,
            settings.batch.drop_when_older_s,
            few_frames=2 * settings.batch.max_size,
        ),
    )


def _configured(config: Configuration, stop: threading.Event) -> bool:
    """Take everything announced so far before the first frame is judged; False if told to stop meanwhile."""
    while not config.apply_pending():
        _log.warning("waiting for announced banks and settings: Kafka or Redis is away")
        if stop.wait(1.0):
            return False
    return not stop.is_set()


class _Reporter:
    """Tells what was committed: one line a defect or a rejection, a summary every ten seconds."""

    def __init__(self, log: FrameLog, engine: ServingEngine) -> None:
        self.frames = 0
        self._log = log
        self._engine = engine
        self._since_s = time.monotonic()
        self._recent: Counter[str] = Counter()
        self._cameras = PartitionWatch()

    def committed(self, report: CommitReport) -> None:
        self.frames += report.counts.taken
        structlog.contextvars.bind_contextvars(weights_version=self._engine.weights_version[:12])
        for outcome in report.outcomes:
            self._tell(outcome)
        _tell_dropped([outcome for outcome in report.outcomes if isinstance(outcome, Dropped)])
        for alert in report.reject_alerts:
            _tell_rejects(alert)
        if time.monotonic() - self._since_s >= _SUMMARY_EVERY_S:
            self.summary()

    def summary(self) -> None:
        """Log the counts since the last summary."""
        seconds = max(time.monotonic() - self._since_s, 1e-9)
        frames_per_s = round(sum(self._recent.values()) / seconds, 1)
        _log.info("progress", frames_per_s=frames_per_s, lag=sum(self._log.lag().values()), **self._recent)
        self._recent.clear()
        self._since_s = time.monotonic()

    def _tell(self, outcome: Outcome) -> None:
        self._recent[type(outcome).__name__.lower()] += 1
        if isinstance(outcome, Rejected):
            _log.warning(
                "rejected",
                reason=outcome.reason.value,
                detail=outcome.detail,
                camera_id=outcome.camera_id,
                frame_id=outcome.frame_id,
                partition=outcome.source.partition,
                offset=outcome.source.offset,
            )
        elif isinstance(outcome, Inspected):
            self._tell_inspected(outcome)

    def _tell_inspected(self, outcome: Inspected) -> None:
        result = outcome.result
        if (other := self._cameras.other_partition(result.camera_id, result.source.partition)) is not None:
            _log.warning(
                "a camera on two partitions: its order is not kept; use the murmur2 partitioner on every producer",
                camera_id=result.camera_id,
                partitions=sorted((other, result.source.partition)),
            )
        if outcome.alert is not None:
            alert = outcome.alert
            _log.info(
                "defect",
                camera_id=alert.camera_id,
                frame_id=alert.frame_id,
                part_id=alert.part_id,
                defect_type=alert.defect_type,
                severity=alert.severity,
                anomaly_score=round(alert.anomaly_score, 3),
                weights_version=result.weights_version[:12],
            )


def _tell_dropped(dropped: Sequence[Dropped]) -> None:
    """One line a batch: a line that cannot keep up would drown its log in one a frame. Each has its dead letter."""
    if dropped:
        places = sorted((each.source.partition, each.source.offset) for each in dropped)
        _log.warning(
            "dropped",
            frames=len(dropped),
            cameras=dict(Counter(each.camera_id for each in dropped).most_common(8)),
            reasons=sorted({each.reason.value for each in dropped}),
            first="{}@{}".format(*places[0]),
            last="{}@{}".format(*places[-1]),
            detail=dropped[-1].detail,
        )


def _tell_rejects(alert: RejectAlert) -> None:
    started = alert.event is RejectEvent.START
    (_log.error if started else _log.info)(
        "a camera's frames are rejected" if started else "a camera's frames are no longer rejected",
        camera_id=alert.camera_id,
        detail=alert.description,
        last_reason=alert.last_reason,
        episode_id=alert.episode_id,
    )

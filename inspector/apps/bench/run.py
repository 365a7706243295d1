"""``inspector bench``: what each stage costs on this machine, and what the whole line makes of the model's speed."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from inspector.adapters.redis.scratch import ScratchCameras
from inspector.apps import console, model_wiring, wiring
from inspector.apps.bench import machine, report
from inspector.apps.bench.bare import bare_model
from inspector.apps.bench.engines import measure_engines
from inspector.apps.bench.line import AlertTimes, BenchLine, Interrupted, bench_line, scratch_settings
from inspector.apps.bench.measure import Sample, steady
from inspector.apps.bench.pool import DEFECT_EVERY, Pool, render
from inspector.apps.bench.stages import Parts, Stage, kafka_stage, redis_stage
from inspector.apps.inspect import frame_log
from inspector.apps.stopping import stop_event
from inspector.domain.errors import InspectorError
from inspector.settings import Settings
from inspector.simulator.scene import FRAME_HEIGHT_PX, FRAME_WIDTH_PX

_BATCHES_TO_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``load_s`` is the length of the half-load run, ``repeats`` those of a stage or model."""

    pool_frames: int = 48
    repeats: int = 15
    stage_frames: int = 240
    frames: int = 600
    load_s: float = 60.0


QUICK = Effort(pool_frames=12, repeats=3, stage_frames=48, frames=96, load_s=8.0)


def run(settings: Settings, config_file: Path | None, effort: Effort, out: Path | None, as_json: bool) -> None:
    """Measure and print; with ``out``, write the JSON document there as well.

    Raises:
        InspectorError: Kafka, Redis or the model cannot be used.
    """
    if not machine.require_linux():
        raise InspectorError("Linux, whose /proc tells what processes use", os.name, "run the bench on Linux")
    load_average_1min = os.getloadavg()[0]
    with stop_event() as stop, tempfile.TemporaryDirectory(prefix="inspector-bench-") as folder:
        prefix = f"bench-{uuid.uuid4().hex[:8]}-"
        own = scratch_settings(settings, prefix, Path(folder))
        try:
            made = _measure(own, config_file, render(prefix, effort.pool_frames), effort, stop, load_average_1min)
        except Interrupted:
            console.remark("interrupted; nothing of the bench is left behind")
            return
    document = json.dumps(report.to_document(made), indent=1)
    if out is not None:
        out.write_text(document + "\n", encoding="utf-8")
    if as_json:
        print(document)
    else:
        report.print_report(made)


def _measure(
    settings: Settings,
    config_file: Path | None,
    pool: Pool,
    effort: Effort,
    stop: threading.Event,
    load_average_1min: float,
) -> report.Report:
    if settings.model.threads is not None:
        torch.set_num_threads(settings.model.threads)
    stage_settings = _stage_settings(settings)
    parts = Parts(settings, replace(pool, prefix=f"{pool.prefix}stage-"), effort.repeats)
    stages = []
    with console.progress("measuring stages", 6) as meter:
        for stage in parts.stages():
            _check(stop)
            stages.append(stage)
            meter.advance()
    with console.status("measuring engines"):
        engines = measure_engines(settings, parts.pixels, effort.repeats)
    _check(stop)
    folder, batch = settings.spool.dir.parent, settings.batch.max_size
    with (
        bench_line(settings, pool, folder, stop, stage_settings.kafka.group) as line,
        bare_model(model_wiring.model_spec(settings), batch, torch.get_num_threads(), effort.repeats) as bare,
    ):
        with console.progress("publishing", effort.frames) as meter:
            line.publish(effort.frames, None, meter.advance)
        stages += _adapter_stages(stage_settings, parts, effort)
        before_fps = bare.frames_per_s()
        line.start_inspector(config_file, parts.pixel_threshold)
        with console.progress("end to end", effort.frames) as meter:
            drained = line.watch_until_done(meter.advance)
        after_fps = bare.frames_per_s()
        first, last = steady(drained, _BATCHES_TO_WARM_UP * batch)
        through = report.throughput(first, last, before_fps, after_fps, machine.cores())
        late = _half_load(line, through.end_to_end_fps / 2, effort.load_s)
        samples: list[Sample] = line.samples
    return report.Report(
        machine=machine.describe(torch.__version__, torch.get_num_threads(), load_average_1min),
        setup=_setup(settings, pool, parts.manifest.image_size_px, bare.parameters_m),
        stages=tuple(stages),
        throughput=through,
        latency=late,
        memory=report.memory(samples),
        engines=engines,
    )


def _adapter_stages(settings: Settings, parts: Parts, effort: Effort) -> list[Stage]:
    """Measure our side of Redis and Kafka on the backlog, under a group of its own."""
    results = parts.inspected(min(effort.stage_frames, effort.frames))
    batch = settings.batch.max_size
    cameras = ScratchCameras(wiring.redis_client(settings), {r.result.camera_id for r in results})
    try:
        stored = redis_stage(wiring.result_store(settings), results, batch)
    finally:
        sources = {(settings.kafka.group, r.source.topic, r.source.partition) for r in results}
        cameras.forget([r.result.frame_id for r in results], sources)
        cameras.close()
    log = frame_log(settings)
    try:
        return [stored, kafka_stage(log, settings.kafka.alerts_topic, results, batch)]
    finally:
        log.close()


def _stage_settings(settings: Settings) -> Settings:
    kafka = settings.kafka.model_copy(update={"group": f"{settings.kafka.group}-stage"})
    return settings.model_copy(update={"kafka": kafka})


def _half_load(line: BenchLine, rate_fps: float, seconds: float) -> report.Latency:
    # At least some alerts, however slow the model is.
    count = max(round(rate_fps * seconds), 3 * DEFECT_EVERY)
    with AlertTimes(line.settings).running() as alerts:
        with console.progress("half load", count) as meter:
            line.publish(count, rate_fps, lambda _: None)
            line.watch_until_done(meter.advance)
        expected = sum(number % DEFECT_EVERY == 0 for number in range(line.frames - count, line.frames))
        alerts.wait_for(expected)
    return report.latency(rate_fps, alerts.latencies_ms)


def _setup(settings: Settings, pool: Pool, image_size_px: int, parameters_m: float) -> report.Setup:
    spec = model_wiring.model_spec(settings)
    return report.Setup(
        model=settings.model.name,
        image_size_px=image_size_px,
        parameters_m=parameters_m,
        precision=spec.precision,
        engine=spec.engine,
        device=settings.model.device,
        batch_size=settings.batch.max_size,
        decode_threads=settings.batch.decode_threads,
        frame_width_px=FRAME_WIDTH_PX,
        frame_height_px=FRAME_HEIGHT_PX,
        frame_mean_kib=pool.mean_bytes / 1024,
        anomalous_share=1 / DEFECT_EVERY,
    )


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Interrupted

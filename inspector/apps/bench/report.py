"""The figures, for people as a table and for programs as one JSON document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from inspector.apps import console
from inspector.apps.bench.engines import EngineRow, verdict
from inspector.apps.bench.machine import Machine
from inspector.apps.bench.measure import Sample, percentile, rss_at
from inspector.apps.bench.stages import Stage

BENCH_SCHEMA = "inspection.bench/1"
_RSS_FROM_FRAME, _RSS_TO_FRAME = 1_000, 5_000
_MIB = 2**20
# Above this load a core there was somebody else's, and the figures are too.
_IDLE_LOAD_PER_CORE = 0.25


@dataclass(frozen=True, slots=True)
class Setup:
    """What was measured."""

    model: str
    image_size_px: int
    parameters_m: float
    precision: str
    engine: str
    device: str
    batch_size: int
    decode_threads: int
    frame_width_px: int
    frame_height_px: int
    frame_mean_kib: float
    anomalous_share: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """End to end against the bare model. CPU figures are of the whole span, by process; None where it runs elsewhere.

    ``others_cpu_share`` is the share of this machine's cores that went to processes that are no part of the line.
    """

    frames: int
    bare_before_fps: float
    bare_after_fps: float
    end_to_end_fps: float
    worker_cpu_ms_per_frame: float
    kafka_cpu_ms_per_frame: float | None
    redis_cpu_ms_per_frame: float | None
    others_cpu_share: float

    @property
    def bare_fps(self) -> float:
        """Mean of before and after, so that a drift of the machine cancels."""
        return (self.bare_before_fps + self.bare_after_fps) / 2

    @property
    def ratio(self) -> float:
        """End to end over bare."""
        return self.end_to_end_fps / self.bare_fps


@dataclass(frozen=True, slots=True)
class Latency:
    """From capture to the committed alert at a subscriber, at ``offered_fps``."""

    offered_fps: float
    alerts: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the worker; ``growth_percent`` is None where too few frames passed to tell."""

    frames: int
    rss_mib_at_1000: float | None
    rss_mib_at_5000: float | None
    growth_percent: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one run measured."""

    machine: Machine
    setup: Setup
    stages: tuple[Stage, ...]
    throughput: Throughput
    latency: Latency
    memory: Memory
    engines: tuple[EngineRow, ...] = ()


def throughput(first: Sample, last: Sample, bare_before_fps: float, bare_after_fps: float, cores: int) -> Throughput:
    """Make the end-to-end figures of what happened between two samples."""
    frames, span_s = last.frames - first.frames, last.time_s - first.time_s
    used_s = {name: last.cpu_s[name] - first.cpu_s[name] for name in last.cpu_s}
    others_s = used_s.pop("all") - sum(used_s.values())
    per_frame_ms = {name: 1e3 * seconds / frames for name, seconds in used_s.items()}
    return Throughput(
        frames=frames,
        bare_before_fps=bare_before_fps,
        bare_after_fps=bare_after_fps,
        end_to_end_fps=frames / span_s,
        worker_cpu_ms_per_frame=per_frame_ms["worker"],
        kafka_cpu_ms_per_frame=per_frame_ms.get("kafka"),
        redis_cpu_ms_per_frame=per_frame_ms.get("redis"),
        others_cpu_share=max(0.0, others_s) / (span_s * cores),
    )


def latency(offered_fps: float, latencies_ms: list[float]) -> Latency:
    """Make the latency figures."""
    p50_ms, p99_ms = (percentile(latencies_ms, percent) for percent in (50, 99))
    return Latency(offered_fps, len(latencies_ms), p50_ms, p99_ms, max(latencies_ms))


def memory(samples: list[Sample]) -> Memory:
    """Make the memory figures of a worker's whole life."""
    early, late = (rss_at(samples, frames) for frames in (_RSS_FROM_FRAME, _RSS_TO_FRAME))
    growth = None if early is None or late is None else 100 * (late / early - 1)
    return Memory(
        samples[-1].frames, None if early is None else early / _MIB, None if late is None else late / _MIB, growth
    )


def to_document(report: Report) -> dict[str, Any]:
    """Return the report as plain values; units stand in the names."""
    document = asdict(report)
    document["stages"] = [
        {"stage": s.stage, "frames": s.frames, "cpu_ms_per_frame": s.cost.cpu_ms, "wall_ms_per_frame": s.cost.wall_ms}
        for s in report.stages
    ]
    document["engines"] = [
        {
            "engine": row.engine,
            "precision": row.precision,
            "in_use": row.in_use,
            "frames_per_s": 1e3 / row.cost.wall_ms,
            "cpu_ms_per_frame": row.cost.cpu_ms,
            "ratio": row.ratio,
            "map_difference": row.map_difference,
        }
        for row in report.engines
    ]
    document["throughput"] |= {"bare_fps": report.throughput.bare_fps, "ratio": report.throughput.ratio}
    rounded: dict[str, Any] = _rounded({"schema": BENCH_SCHEMA, **document})
    return rounded


def print_report(report: Report) -> None:
    """Print the report for people: facts on stdout, doubts about them on stderr."""
    console.print_table(_stage_table(report))
    console.print_table(_engine_table(report))
    console.print_table(_line_table(report))
    for doubt in doubts(report):
        console.remark(doubt, "yellow")


def doubts(report: Report) -> list[str]:
    """Say what speaks against these figures."""
    found = []
    load, cores = report.machine.load_average_1min, report.machine.cores
    if load > _IDLE_LOAD_PER_CORE * cores:
        found.append(f"the machine was busy before the bench began (load average {load:.1f} on {cores} cores)")
    if report.throughput.others_cpu_share > 0.05:
        share = report.throughput.others_cpu_share
        found.append(f"other processes had {share:.0%} of the cores during the end-to-end run")
    slow, fast = sorted((report.throughput.bare_before_fps, report.throughput.bare_after_fps))
    if fast > 1.1 * slow:
        found.append(f"the bare model itself ran at {slow:.1f} and at {fast:.1f} frames/s: repeat on a quieter machine")
    if said := verdict(report.engines):
        found.append(said)
    return found


def _stage_table(report: Report) -> Table:
    machine, setup = report.machine, report.setup
    title = (
        f"{setup.model} ({setup.parameters_m:.1f} M) at {setup.image_size_px} px, {setup.engine} {setup.precision}, "
        f"batches of {setup.batch_size}, {setup.frame_width_px}x{setup.frame_height_px} JPEG of "
        f"{setup.frame_mean_kib:.0f} KiB; {machine.cores} cores of {machine.cpu}, torch {machine.torch} "
        f"with {machine.torch_threads} threads"
    )
    made = console.table("stage", "CPU ms/frame", "wall ms/frame", "frames", title=title)
    for stage in report.stages:
        made.add_row(stage.stage, f"{stage.cost.cpu_ms:.2f}", f"{stage.cost.wall_ms:.2f}", stage.frames)
    return made


def _engine_table(report: Report) -> Table:
    made = console.table("scoring in", "frames/s", "of torch fp32", "CPU ms/frame", "maps differ by at most", "")
    for row in report.engines:
        fps, ratio = f"{1e3 / row.cost.wall_ms:.1f}", f"{row.ratio:.2f}"
        made.add_row(
            row.name, fps, ratio, f"{row.cost.cpu_ms:.1f}", f"{row.map_difference:.4f}", "in use" if row.in_use else ""
        )
    return made


def _line_table(report: Report) -> Table:
    t, late, mem = report.throughput, report.latency, report.memory
    made = console.table("line", "value", "how")
    made.add_row(
        "bare model", f"{t.bare_fps:.1f} frames/s", f"before {t.bare_before_fps:.1f}, after {t.bare_after_fps:.1f}"
    )
    made.add_row("end to end", f"{t.end_to_end_fps:.1f} frames/s", f"{t.frames} frames of a backlog")
    made.add_row("end to end / bare", f"{t.ratio:.2f}", "")
    made.add_row("worker CPU", f"{t.worker_cpu_ms_per_frame:.1f} ms/frame", "all threads")
    for name, used_ms in (("Kafka", t.kafka_cpu_ms_per_frame), ("Redis", t.redis_cpu_ms_per_frame)):
        if used_ms is not None:
            made.add_row(f"{name} server CPU", f"{used_ms:.1f} ms/frame", "on the same cores")
    made.add_row("other processes", f"{t.others_cpu_share:.0%} of the cores", "during the end-to-end run")
    made.add_row(
        "capture to alert",
        f"p50 {late.p50_ms:.0f} ms, p99 {late.p99_ms:.0f} ms",
        f"{late.alerts} alerts at {late.offered_fps:.1f} frames/s, half of what it can; max {late.max_ms:.0f} ms",
    )
    if mem.growth_percent is None:
        made.add_row("RSS growth", "not measured", f"{mem.frames} frames passed, {_RSS_TO_FRAME} are needed")
    else:
        span = f"{mem.rss_mib_at_1000:.0f} MiB at frame 1,000, {mem.rss_mib_at_5000:.0f} MiB at frame 5,000"
        made.add_row("RSS growth", f"{mem.growth_percent:+.1f} %", span)
    return made


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value

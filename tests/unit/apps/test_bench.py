"""The bench's arithmetic, and that it stays away from what is not its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector import settings
from inspector.apps.bench import machine, report
from inspector.apps.bench.line import inspector_environment, scratch_settings
from inspector.apps.bench.machine import Machine
from inspector.apps.bench.measure import Cost, Sample, percentile, rss_at, steady
from inspector.apps.bench.pool import DEFECT_EVERY, Pool
from inspector.settings.sections import KafkaSettings


def sample(time_s: float, frames: int, rss_mib: int = 100, **cpu_s: float) -> Sample:
    return Sample(time_s, frames, rss_mib * 2**20, cpu_s)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) >= percent / 100 * len(values) - 1e-9
    assert sum(v < found for v in values) < percent / 100 * len(values)


def test_the_steady_span_leaves_out_loading_warming_up_and_the_idle_end() -> None:
    samples = [sample(0, 0), sample(30, 8), sample(31, 40), sample(32, 60), sample(33, 80), sample(34, 80)]
    first, last = steady(samples, 8)
    assert (first.time_s, last.time_s) == (31, 33)


def test_too_short_a_run_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no steady span"):
        steady([sample(0, 0), sample(1, 80)], 8)


def test_throughput_shares_out_the_cpu_time_by_process() -> None:
    first = sample(10, 100, worker=5.0, kafka=1.0, bench=2.0, all=20.0)
    last = sample(20, 200, worker=20.0, kafka=1.5, bench=2.5, all=38.0)
    made = report.throughput(first, last, bare_before_fps=15, bare_after_fps=25, cores=2)
    assert made.end_to_end_fps == 10
    assert made.bare_fps == 20
    assert made.ratio == 0.5
    assert made.worker_cpu_ms_per_frame == 150
    assert made.kafka_cpu_ms_per_frame == 5
    assert made.redis_cpu_ms_per_frame is None
    assert made.others_cpu_share == pytest.approx((18 - 16) / 20)


def test_growth_of_memory_is_told_only_of_a_run_long_enough() -> None:
    samples = [sample(1, 990, 90), sample(2, 1010, 100), sample(3, 4990, 200), sample(4, 5020, 104)]
    assert report.memory(samples).growth_percent == pytest.approx(4)
    assert report.memory(samples[:3]).growth_percent is None
    assert rss_at(samples, 6000) is None


def test_a_cost_on_top_is_never_negative() -> None:
    assert Cost(1, 2) - Cost(2, 1) == Cost(0, 1)


def test_figures_of_a_busy_machine_come_with_a_doubt() -> None:
    def made(load: float, before_fps: float, others_s: float) -> report.Report:
        span = (sample(0, 0, worker=0, all=0), sample(10, 100, worker=10, all=10 + others_s))
        return report.Report(
            machine=Machine("a cpu", 2, "3", "2", 2, load),
            setup=report.Setup("m", 256, 5.6, "fp32", "torch", "cpu", 8, 2, 1280, 1024, 250, 0.1),
            stages=(),
            throughput=report.throughput(*span, before_fps, 10, 2),
            latency=report.latency(5, [1, 2, 3]),
            memory=report.memory([span[1]]),
        )

    assert report.doubts(made(0.1, 10, 0.1)) == []
    assert len(report.doubts(made(2, 20, 10))) == 3
    document = report.to_document(made(0.1, 10, 0.1))
    assert document["throughput"]["ratio"] == 1.0
    assert document["memory"]["growth_percent"] is None


def test_the_bench_never_meets_the_real_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "inspector.yaml"
    file.write_text("{kafka: {group: real, frames_topic: real.frames}, cameras: {real: {line: l2}}}")
    monkeypatch.setenv("INSPECTOR_KAFKA__ALERTS_TOPIC", "real.alerts")
    real = settings.load(file, {"model": {"name": "ViT-B-16", "image_size_px": 224, "engine": "torch"}})
    own = scratch_settings(real, "bench-1-", tmp_path)
    pool = Pool("bench-1-", (b"a",))
    for name, value in inspector_environment(own, pool, 0.7).items():
        monkeypatch.setenv(name, value)
    seen = settings.load(file)
    topics = {name: value for name, value in seen.kafka if name.endswith("_topic") or name == "group"}
    assert topics.keys() == {"group", *KafkaSettings().topics}
    assert len(topics) >= 6
    assert all(value.startswith("bench-1-") for value in topics.values())
    assert (seen.kafka, seen.replica, seen.model) == (own.kafka, own.replica, own.model)
    cameras = seen.domain_cameras()
    assert cameras[pool.defect_camera].image_threshold == 0
    assert all(cameras[camera_id].image_threshold == 1 for camera_id in pool.good_cameras)


def test_every_tenth_frame_comes_from_the_defect_camera_under_a_fresh_id() -> None:
    pool = Pool("bench-1-", (b"a", b"b"))
    frames = [pool.meta(number) for number in range(40)]
    assert sum(frame.camera_id == pool.defect_camera for frame in frames) == 40 // DEFECT_EVERY
    assert len({frame.frame_id for frame in frames}) == 40
    assert {frame.camera_id for frame in frames} == set(pool.cameras)


def test_a_local_server_is_found_by_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert machine.local_server(f"127.0.0.1:{port}") == os.getpid()
        assert machine.local_server(f"redis://:secret@127.0.0.1:{port}/0") == os.getpid()
    for sentinels in (f"127.0.0.1:{port},127.0.0.1:{port}", f"[::1]:{port},127.0.0.1:{port}"):
        assert machine.local_server(f"redis+sentinel://{sentinels}/line/0") is None
    assert machine.local_server(f"127.0.0.1:{port}") is None
    assert machine.local_server("kafka.example:9092") is None


def test_what_a_process_uses_is_read_from_proc() -> None:
    before_s, busy_s = machine.cpu_s(os.getpid()), machine.busy_s()
    while machine.cpu_s(os.getpid()) < before_s + 0.05:
        sum(range(10_000))
    assert machine.busy_s() > busy_s
    assert machine.rss_bytes(os.getpid()) > 10 * 2**20

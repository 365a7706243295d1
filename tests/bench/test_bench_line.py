"""`inspector bench` on real Kafka and Redis: it measures every part, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from kafka.admin import KafkaAdminClient
from local_services import Services

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


def keys_of(services: Services) -> set[bytes]:
    with redis.Redis.from_url(services.redis_url) as client:
        members = client.zrange("inspection:cameras", 0, -1)
        return {*client.scan_iter("inspection:*"), *members}


def test_quick_bench_measures_every_part_and_leaves_nothing_behind(
    services: Services, tmp_path: Path, tiny_model: str
) -> None:
    config = tmp_path / "inspector.yaml"
    kafka = {"bootstrap_servers": services.kafka_bootstrap, "partitions": 3}
    config.write_text(json.dumps({"kafka": kafka, "redis": {"url": services.redis_url}}))
    out = tmp_path / "bench.json"
    before = keys_of(services)
    command = [sys.executable, "-m", "inspector", "bench", "--quick", "--json", "-c", str(config), "--out", str(out)]
    done = subprocess.run([*command, "--model", tiny_model], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr

    document = json.loads(done.stdout)
    assert document == json.loads(out.read_text())
    stages = {stage["stage"]: stage["cpu_ms_per_frame"] for stage in document["stages"]}
    assert list(stages) == ["decode", "preprocess", "score", "bank", "regions", "overlay", "redis", "kafka"]
    assert all(stages[name] > 0 for name in ("decode", "score", "overlay", "redis", "kafka"))
    engines = {f"{row['engine']} {row['precision']}": row for row in document["engines"]}
    assert list(engines) == ["torch fp32", "torch bf16", "onnx fp32", "onnx int8"]
    assert engines["torch fp32"]["ratio"] == 1
    assert [name for name, row in engines.items() if row["in_use"]] == ["onnx fp32"]
    assert document["throughput"]["end_to_end_fps"] > 0
    assert document["throughput"]["bare_fps"] > 0
    assert document["latency"]["alerts"] >= 3
    assert document["memory"]["growth_percent"] is None

    admin = KafkaAdminClient(bootstrap_servers=services.kafka_bootstrap)
    assert [name for name in admin.list_topics() if "bench-" in name] == []
    admin.close()
    assert keys_of(services) <= before  # other tests' keys may expire meanwhile

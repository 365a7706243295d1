"""The formulas of `inspector capacity` against what a real Redis uses and a real Kafka keeps."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka import KafkaProducer
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.domain.defect import Box, Defect
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.capacity import Plant, capacity

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

NOW = datetime.now(UTC)
GOOD, DEFECTS, FRAME_BYTES = 180, 20, 50_000
# 200 frames a second for one second: what is kept is bounded by count alone.
PLANT = Plant(
    cameras=1,
    camera_fps=200,
    frame_bytes=FRAME_BYTES,
    anomalous_share=DEFECTS / (GOOD + DEFECTS),
    inspector_fps=1000,
    replication_factor=1,
    frames_retention_s=1,
    good_s=1,
    defect_s=1,
    duplicate_s=1,
)
SCRATCH = Defect("scratch", 0.9, 700, 40, 0.01, Box(10, 20, 30, 5), (), "a scratch, long and thin, near the rim")


def inspected(prefix: str, number: int, anomalous: bool) -> Inspected:
    result = InspectionResult(
        str(uuid.uuid4()), f"{prefix}cam", "line-1", "plate", NOW, NOW, 0.9 if anomalous else 0.1,
        PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL, 0.5, ScoreMode.BANK, "ab" * 32, "inspector-s",
        FrameSource(f"{prefix}frames", 0, number), {"decode": 2.5, "score": 31.2}, 640, 480,
        (SCRATCH,) if anomalous else (),
    )  # fmt: skip
    evidence = Evidence(b"f" * FRAME_BYTES, b"o" * 15_000, b"m" * 1500, b"r" * 3000) if anomalous else Evidence()
    return Inspected(result.source, result, make_alert(result) if anomalous else None, evidence)


def test_redis_uses_no_more_than_told_and_not_half_of_it(services: Services) -> None:
    prefix = f"t-{uuid.uuid4().hex[:8]}-"
    client = connect(services.redis_url)
    before = set(client.scan_iter(count=1000))
    store = RedisResultStore(client, group_id=f"{prefix}group", retention=Retention())
    every = (GOOD + DEFECTS) // DEFECTS
    store.store([inspected(prefix, number, number % every == 0) for number in range(GOOD + DEFECTS)], 1)
    ours = [key for key in client.scan_iter(count=1000) if key not in before]
    used = sum(client.memory_usage(key, samples=0) or 0 for key in ours)
    client.delete(*ours)
    client.close()

    told = capacity(PLANT).redis_bytes

    assert told / 2 < used < told


def test_kafka_keeps_no_more_than_told_and_hardly_less(services: Services) -> None:
    topic, count = f"t-{uuid.uuid4().hex[:8]}-frames", GOOD + DEFECTS
    names = ("camera_id", "line_id", "product", "captured_at", "content_type", "schema", "traceparent")
    headers = [("frame_id", uuid.uuid4().bytes.hex().encode()), *((name, b"0123456789abcdef012345") for name in names)]
    with admin_client(KafkaConnection(services.kafka_bootstrap)) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        producer = KafkaProducer(bootstrap_servers=services.kafka_bootstrap, acks="all", max_request_size=2**25)
        for _ in range(count):
            producer.send(topic, key=b"camera-0001", value=b"x" * FRAME_BYTES, headers=headers)
        producer.flush(30)
        producer.close()
        kept = sum(sizes(admin.describe_log_dirs([topic])))

    told = capacity(PLANT).kafka_disk_bytes

    assert told * 0.97 < kept < told


def sizes(told: Any) -> Iterator[int]:
    """Yield the bytes of each partition in what brokers tell of their folders, however it is nested."""
    if isinstance(told, dict) and "partition_size" in told:
        yield told["partition_size"]
    elif isinstance(told, dict | list):
        for part in told.values() if isinstance(told, dict) else told:
            yield from sizes(part)

"""The truth keeper on a real broker: every frame once, whatever happens to the keeper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer
from line import wait_for
from local_services import Services
from truth import INSPECTED, REJECT_PREFIX, AckedLog, TrueFrame, keeper, read_lines, read_truth, record

from inspector import settings as settings_of
from inspector.adapters.kafka.connection import KafkaConnection, admin_client

pytestmark = pytest.mark.services


@pytest.fixture
def topic(services: Services, topic_prefix: str) -> str:
    name = f"{topic_prefix}frames"
    with admin_client(KafkaConnection(services.kafka_bootstrap)) as admin:
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    return name


@pytest.fixture
def config(services: Services, topic: str, tmp_path: Path) -> Path:
    path = tmp_path / "inspector.yaml"
    path.write_text(f"kafka: {{bootstrap_servers: {services.kafka_bootstrap}, frames_topic: {topic}}}")
    return path


@pytest.fixture
def producer(services: Services) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=services.kafka_bootstrap, acks="all")
    yield producer
    producer.close()


def catch_up(log: Path, config: Path) -> list[TrueFrame]:
    with closing(keeper(log, settings_of.load(config))) as kept:
        kept.catch_up()
    return read_truth(log)


def test_frames_are_written_down_once_with_what_their_producer_meant(
    producer: KafkaProducer, topic: str, config: Path, tmp_path: Path
) -> None:
    producer.send(topic, **record("cam1", "f1", b"image", 0)).get(10)
    producer.send(topic, **record("cam1", "f2", b"junk", 1, "rejected:undecodable")).get(10)
    producer.send(topic, key=b"cam1", value=REJECT_PREFIX + b"truncated\n", headers=[("part_id", b"2")]).get(10)
    log = tmp_path / "truth.jsonl"
    first, second, third = catch_up(log, config)
    assert (first.frame_id, first.camera_id, first.expected, first.sequence) == ("f1", "cam1", INSPECTED, 0)
    assert (second.frame_id, second.expected, second.sequence) == ("f2", "rejected:undecodable", 1)
    assert (third.expected, third.sequence, third.camera_id) == ("rejected:truncated", 2, "cam1")
    assert third.frame_id not in ("", "f1", "f2")

    with log.open("ab") as file:
        file.write(b'{"frame_id": "half a li')  # a keeper that was killed
    producer.send(topic, **record("cam1", "f4", b"image", 3)).get(10)
    assert [frame.frame_id for frame in catch_up(log, config)] == ["f1", "f2", third.frame_id, "f4"]


def test_a_keeper_that_follows_and_is_killed_goes_on_where_it_was_and_catches_up_when_told_to_stop(
    producer: KafkaProducer, topic: str, config: Path, tmp_path: Path
) -> None:
    log = tmp_path / "truth.jsonl"
    command = [sys.executable, str(Path(__file__).parent / "truth.py"), str(log), "-c", str(config), "--follow"]
    for number in range(40):
        producer.send(topic, **record(f"cam{number % 4}", f"f{number}", b"image", number // 4))
    producer.flush(10)
    with subprocess.Popen(command) as first:
        wait_for(lambda: len(read_truth(log)) == 40, 60, lambda: "the keeper wrote too little")
        os.kill(first.pid, signal.SIGKILL)
    with subprocess.Popen(command) as second:
        producer.send(topic, **record("cam0", "f40", b"image", 10)).get(10)
        wait_for(lambda: len(read_truth(log)) == 41, 60, lambda: "the keeper did not go on")
        producer.send(topic, **record("cam0", "f41", b"image", 11)).get(10)
        second.terminate()
        assert second.wait(60) == 0
    assert sorted(frame.frame_id for frame in read_truth(log)) == sorted(f"f{number}" for number in range(42))


def test_a_producers_own_log_survives_its_kill(tmp_path: Path) -> None:
    path = tmp_path / "acked.jsonl"
    with closing(AckedLog(path)) as acked:
        acked.add("f1", 0, 7)
        assert list(read_lines(path)) == [{"frame_id": "f1", "partition": 0, "offset": 7}]

"""More partitions on a real Kafka: refused while frames wait or come, and a camera's frames stay in order across it."""

from __future__ import annotations

import threading
import uuid

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.topics import TopicPlan, create_topics, grow_topics
from inspector.domain.errors import BadInputError

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]


class Log:
    """The topics of a line, a producer of the cameras, and an inspector that does nothing but commit."""

    def __init__(self, services: Services) -> None:
        prefix = f"t-{uuid.uuid4().hex[:8]}-"
        self._services = services
        self.connection = KafkaConnection(services.kafka_bootstrap)
        self.group = f"{prefix}group"
        self.names = {name: f"{prefix}{name}" for name in ("frames", "alerts", "dead_letter", "config")}
        self.seen: list[tuple[str, int, int]] = []
        create_topics(self.connection, self.plan(3))

    def plan(self, partitions: int) -> TopicPlan:
        rest = {"feedback": f"{self.group}-f", "weights": f"{self.group}-w"}
        return TopicPlan(**self.names, **rest, partitions=partitions)

    def publish(self, numbers: range) -> None:
        producer = KafkaProducer(bootstrap_servers=self._services.kafka_bootstrap, acks="all")
        for number in numbers:
            producer.send(self.names["frames"], key=f"cam{number % 20}".encode(), value=str(number).encode())
        producer.flush(30)
        producer.close()

    def inspect(self) -> None:
        """Read what is not committed yet, note (camera, number, partition), and commit."""
        consumer = KafkaConsumer(
            bootstrap_servers=self._services.kafka_bootstrap, group_id=self.group, enable_auto_commit=False
        )
        topic = self.names["frames"]
        mine = [TopicPartition(topic, index) for index in consumer.partitions_for_topic(topic)]
        consumer.assign(mine)
        for each in mine:
            consumer.seek(each, consumer.committed(each) or 0)
        ends = consumer.end_offsets(mine)
        while any(consumer.position(each) < ends[each] for each in mine):
            for batch in consumer.poll(timeout_ms=200).values():
                self.seen += [(raw.key.decode(), int(raw.value), raw.partition) for raw in batch]
        consumer.commit({each: OffsetAndMetadata(ends[each], "", -1) for each in mine})
        consumer.close()


@pytest.fixture
def log(services: Services) -> Log:
    return Log(services)


def test_frames_that_wait_or_come_are_a_reason_to_refuse(log: Log) -> None:
    log.publish(range(20))
    log.inspect()
    log.publish(range(20, 40))
    with pytest.raises(BadInputError, match="stop the producers"):
        grow_topics(log.connection, log.plan(6), log.group, still_s=0.1)
    log.inspect()
    late = threading.Timer(1.0, log.publish, args=(range(40, 60),))
    late.start()
    with pytest.raises(BadInputError, match="no frame that comes"):
        grow_topics(log.connection, log.plan(6), log.group, still_s=5)
    late.join()


def test_each_camera_stays_in_order_and_cameras_use_the_new_partitions(log: Log) -> None:
    log.publish(range(200))
    log.inspect()

    grown = grow_topics(log.connection, log.plan(12), log.group, still_s=0.1)

    assert grown == [log.names["frames"], log.names["alerts"], log.names["dead_letter"]]
    log.publish(range(200, 400))
    log.inspect()
    for camera in {camera for camera, _, _ in log.seen}:
        numbers = [number for key, number, _ in log.seen if key == camera]
        assert numbers == sorted(numbers)
        assert len(numbers) == 20
    assert max(partition for _, _, partition in log.seen) > 2
    assert grow_topics(log.connection, log.plan(12), log.group, still_s=0.1) == []


def test_partitions_cannot_be_taken_away(log: Log) -> None:
    log.publish(range(1))
    log.inspect()
    with pytest.raises(BadInputError, match="at least 3"):
        grow_topics(log.connection, log.plan(2), log.group, still_s=0.1)

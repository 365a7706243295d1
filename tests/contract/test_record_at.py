"""Single records by their place, on a real Kafka: the one that stands there, or none."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from kafka import KafkaProducer
from kafka.structs import TopicPartition
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.record_at import RecordReader
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.frame import FrameSource

# kafka-python leaves the socket of a refused connection to the garbage collector.
pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning"),
]

MAX_BYTES = 4 * 2**20


@pytest.fixture(autouse=True)
def refused_sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def topic(services: Services, topic_prefix: str) -> str:
    """A topic of three partitions; partition 1 holds ten records, the fourth of them larger than a fetch."""
    name = f"{topic_prefix}frames"
    connection = KafkaConnection(services.kafka_bootstrap)
    with admin_client(connection) as admin:
        spec = {"num_partitions": 3, "replication_factor": 1, "configs": {"max.message.bytes": str(MAX_BYTES)}}
        admin.create_topics({name: spec}, wait_for_metadata=True)
    producer = KafkaProducer(bootstrap_servers=services.kafka_bootstrap, max_request_size=MAX_BYTES)
    for number in range(10):
        value = b"record %d " % number * (200_000 if number == 3 else 1)
        producer.send(name, value, key=b"cam1", partition=1, headers=[("n", str(number).encode())]).get(30)
    producer.close()
    return name


@pytest.fixture
def reader(services: Services, topic: str) -> Iterator[RecordReader]:
    opened = RecordReader(KafkaConnection(services.kafka_bootstrap), topic, MAX_BYTES)
    yield opened
    opened.close()


def test_each_record_comes_back_in_any_order_and_again(reader: RecordReader, topic: str) -> None:
    for offset in (7, 0, 3, 9, 3, 1):
        record = reader.record_at(FrameSource(topic, 1, offset))
        assert record is not None
        assert record.source == FrameSource(topic, 1, offset)
        assert (record.value or b"").startswith(b"record %d " % offset)
        assert (record.key, record.headers) == (b"cam1", (("n", str(offset).encode()),))


@pytest.mark.parametrize(("partition", "offset"), [(1, 10), (1, 2**62), (0, 0), (3, 0), (77, 5), (1, -1)])
def test_where_nothing_stands_nothing_comes(reader: RecordReader, topic: str, partition: int, offset: int) -> None:
    assert reader.record_at(FrameSource(topic, partition, offset)) is None
    assert reader.record_at(FrameSource(topic, 1, 2)) is not None


def test_another_topic_is_not_read(reader: RecordReader) -> None:
    assert reader.record_at(FrameSource("__consumer_offsets", 1, 0)) is None


def test_what_retention_let_go_is_none_also_when_it_went_in_between(
    services: Services, reader: RecordReader, topic: str
) -> None:
    assert reader.record_at(FrameSource(topic, 1, 2)) is not None
    with admin_client(KafkaConnection(services.kafka_bootstrap)) as admin:
        admin.delete_records({TopicPartition(topic, 1): 5})
    assert reader.record_at(FrameSource(topic, 1, 4)) is None
    assert reader.record_at(FrameSource(topic, 1, 5)) is not None


def test_a_topic_that_is_not_there_and_brokers_that_are_away_are_told(services: Services) -> None:
    missing = RecordReader(KafkaConnection(services.kafka_bootstrap), "t-not-there", MAX_BYTES)
    with pytest.raises(BadInputError):
        missing.record_at(FrameSource("t-not-there", 0, 0))
    missing.close()
    away = RecordReader(KafkaConnection("127.0.0.1:9"), "frames", MAX_BYTES)
    with pytest.raises(ServiceUnavailableError):
        away.record_at(FrameSource("frames", 0, 0))
    away.close()

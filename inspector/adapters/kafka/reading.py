"""What an error means that a consumer raises, and whether it may be asked again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import errors

from inspector.adapters.kafka.connection import KafkaConnection, translate
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError


class SpentConsumerError(ServiceUnavailableError):
    """The consumer must be closed and another one made; it must not be polled again."""


@contextmanager
def reading(consumer: Any, connection: KafkaConnection, topic: str) -> Iterator[None]:
    """Turn what ``consumer`` raises inside the block into our errors.

    kafka-python 3.0.12 does not come back from a poll after one that failed while records were read, so only an error
    that certainly came from elsewhere leaves the consumer in use.

    Raises:
        SpentConsumerError: close the consumer; the message names the record if it is one that cannot be read.
        ServiceUnavailableError: the brokers are away or busy; ask the same consumer again.
        CredentialsError: the brokers refuse us.
        BadInputError: there is no such topic.
    """
    try:
        yield
    except InspectorError:
        raise
    except errors.RetriableError as error:
        raise translate(error, connection, topic) from error
    except Exception as error:
        told = translate(error, connection, topic)
        if isinstance(told, (BadInputError, CredentialsError)):
            raise told from error
        if _while_reading(error):
            raise _unreadable(consumer, topic, error) from error
        raise SpentConsumerError(told.expected, told.got, "it is connected anew; check the brokers") from error


def _while_reading(error: Exception) -> bool:
    own = isinstance(error, (errors.CorruptRecordError, errors.UnsupportedCodecError))
    return own or not isinstance(error, (errors.KafkaError, OSError))


def _unreadable(consumer: Any, topic: str, error: Exception) -> SpentConsumerError:
    # The records being read are where the error came from; the client has no public way to tell.
    read = getattr(consumer._fetcher, "_next_partition_records", None)
    place = topic if read is None else f"{topic}/{read.topic_partition.partition} at offset {read.next_fetch_offset}"
    return SpentConsumerError(
        f"records that can be read in {place}",
        repr(error),
        "it is read again; if that never helps, move the group past that offset (kafka-consumer-groups.sh "
        "--reset-offsets) or delete the record (kafka-delete-records.sh)",
    )

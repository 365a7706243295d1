"""How far a group is behind."""

from __future__ import annotations

from kafka.admin import OffsetSpec
from kafka.structs import TopicPartition

from inspector.adapters.kafka.connection import KafkaConnection, admin_client, translated_errors, unknown_topic
from inspector.adapters.kafka.group_offsets import group_offsets


def group_lag(connection: KafkaConnection, group_id: str, topic: str) -> dict[tuple[str, int], int]:
    """Return the records of each partition, as (topic, partition), that the group has not committed yet.

    A partition without a committed offset counts from its oldest record kept. Control records of transactions count.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic), admin_client(connection) as admin:
        described = admin.describe_topics([topic])[0]
        partitions = [TopicPartition(topic, partition["partition_index"]) for partition in described["partitions"]]
        if not partitions:
            raise unknown_topic(topic, connection)
        committed = group_offsets(admin, group_id, partitions)
        starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
        ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    return {
        (topic, tp.partition): max(0, ends[tp].offset - max(committed[tp].offset, starts[tp].offset))
        for tp in partitions
    }

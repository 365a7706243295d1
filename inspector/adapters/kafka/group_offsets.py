"""The offsets a group has committed, asked until its coordinator answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import errors
from kafka.structs import TopicPartition

# A cluster that has never had a group makes the topic of offsets when it is first asked for one; a coordinator that
# has just moved reads that topic first. Both say so at once, and the admin client passes it on.
_COORDINATED_WITHIN_S = 30.0
_ASK_AGAIN_S = 0.2
_NOT_YET = (
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
)


def group_offsets(admin: Any, group_id: str, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Any]:
    """Return the committed offset and metadata of each partition; the offset is -1 where the group committed none.

    Raises:
        kafka.errors.KafkaError: the brokers refuse, or have no coordinator for the group after half a minute.
    """
    until_s = time.monotonic() + _COORDINATED_WITHIN_S
    while True:
        try:
            committed: Mapping[TopicPartition, Any] = admin.list_group_offsets({group_id: list(partitions)})[group_id]
            return committed
        except _NOT_YET:
            if time.monotonic() > until_s:
                raise
            time.sleep(_ASK_AGAIN_S)

"""Keeps kafka-python from throwing away, or forgetting, a group join that completes between two polls."""

from __future__ import annotations

from typing import Any

from kafka.structs import MemberState


def keep_finished_joins(consumer: Any) -> None:
    """Let a join that completed while nobody polled be used by the next poll.

    kafka-python 3.0.12, polled briefly and often, mishandles such a join in two ways. It starts another one instead,
    which makes every other member join again: with work between the polls a group never settles (seen with two
    members: a generation every two seconds, without end). And where the join was due to new topic metadata, which the
    join itself takes note of, it sees no need to join any more and never takes the assignment up: without heartbeats,
    and without an error, the member is out of its group for good.

    A join is unused as long as the member is still rebalancing in the generation that the join gave it.
    """
    coordinator = consumer._coordinator
    join, need_rejoin = coordinator._do_join_and_sync_async, coordinator.need_rejoin
    finished: list[tuple[object, bytes]] = []

    async def use_or_join() -> bytes:
        if finished and coordinator.state == MemberState.REBALANCING:
            generation, unused = finished.pop()
            if coordinator._generation == generation:
                return unused
        finished.clear()
        assignment: bytes = await join()
        finished.append((coordinator._generation, assignment))
        return assignment

    def joining_or_in_need() -> bool:
        return coordinator._join_task is not None or bool(need_rejoin())

    coordinator._do_join_and_sync_async = use_or_join
    coordinator.need_rejoin = joining_or_in_need


def note_partitions(consumer: Any) -> None:
    """Let the first join know the subscribed topic's partitions, which are in the client's metadata already.

    Without, kafka-python joins, then learns of them, takes that for a change and joins again at once: the first batch
    of every new membership would be scored for nothing.
    """
    consumer._coordinator._handle_metadata_update(consumer._cluster)

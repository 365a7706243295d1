"""Keeps kafka-python from throwing away a group join that completes between two polls."""

from __future__ import annotations

from typing import Any

from kafka.structs import MemberState


def keep_finished_joins(consumer: Any) -> None:
    """Let a join that completed while nobody polled be used by the next poll.

    kafka-python 3.0.12 starts another join instead, which makes every other member join again: with short polls and
    work between them a group never settles (seen with two members: a generation every two seconds, without end). A
    join is unused as long as the member is still rebalancing in the generation that the join gave it.
    """
    coordinator = consumer._coordinator
    join = coordinator._do_join_and_sync_async
    finished: list[tuple[Any, bytes]] = []

    async def use_or_join() -> bytes:
        if finished and coordinator.state == MemberState.REBALANCING:
            generation, kept = finished.pop()
            if coordinator._generation == generation:
                return kept
        finished.clear()
        assignment: bytes = await join()
        finished.append((coordinator._generation, assignment))
        return assignment

    coordinator._do_join_and_sync_async = use_or_join

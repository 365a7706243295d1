"""Keeps kafka-python from forgetting records that it set aside for a paused partition."""

from __future__ import annotations

from typing import Any

from kafka.consumer.fetcher import Fetcher


def hand_out_parked_records() -> None:
    """Make kafka-python hand out what it set aside for every partition that is resumed.

    It sets aside the rest of a fetch when its partition is paused, and takes one such rest up again only while it has
    no other in hand; kafka-python 3.0.12 counts one that is used up as one in hand. Where two partitions have a rest
    (one was assigned while the other was paused) the second one is neither handed out nor fetched again, without an
    error: its frames wait until the line is paused the next time.
    """
    fetched_records = Fetcher.fetched_records
    if getattr(fetched_records, "hands_out_parked", False):
        return

    def handing_out(fetcher: Any, *arguments: Any, **named: Any) -> Any:
        if not fetcher._next_partition_records:
            fetcher._next_partition_records = None
        return fetched_records(fetcher, *arguments, **named)

    handing_out.hands_out_parked = True  # type: ignore[attr-defined]  # a mark on our own function
    Fetcher.fetched_records = handing_out

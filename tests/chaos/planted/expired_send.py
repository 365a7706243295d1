"""No bug, a circumstance: one alert waits too long to be sent, and the client gives it up (delivery_timeout_ms).

The client's own path is taken from there on: it fails the record's future and leaves the transaction as it is. The
record is made old instead of being waited for, and nothing is drained until the client has noticed.
"""

from __future__ import annotations

from typing import Any

from kafka.producer.record_accumulator import RecordAccumulator
from patching import replace

_NTH_ALERT = 12
_AGE_S = 3600.0


def plant() -> None:
    append, drain, expired_batches = (
        RecordAccumulator.append,
        RecordAccumulator.drain,
        RecordAccumulator.expired_batches,
    )
    alerts, holding = 0, False

    def appending(accumulator: Any, partition: Any, *record: Any, **rest: Any) -> Any:
        nonlocal alerts, holding
        alerts += partition.topic.endswith("alerts")
        if alerts != _NTH_ALERT:
            return append(accumulator, partition, *record, **rest)
        alerts += 1
        holding = True
        appended = append(accumulator, partition, *record, **rest)
        accumulator._batches[partition][-1].created -= _AGE_S
        return appended

    def draining(accumulator: Any, *rest: Any, **more: Any) -> Any:
        return {} if holding else drain(accumulator, *rest, **more)

    def expiring(accumulator: Any, *rest: Any, **more: Any) -> Any:
        nonlocal holding
        expired = expired_batches(accumulator, *rest, **more)
        holding = holding and not expired
        return expired

    replace(RecordAccumulator, "append", appending)
    replace(RecordAccumulator, "drain", draining)
    replace(RecordAccumulator, "expired_batches", expiring)

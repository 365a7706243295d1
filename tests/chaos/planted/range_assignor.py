"""No bug, a circumstance: the client's default assignor, under which a member that rejoins gets its old partitions."""

from __future__ import annotations

from kafka.coordinator.assignors.range import RangePartitionAssignor
from patching import replace

from inspector.adapters.kafka import clients


def plant() -> None:
    replace(clients, "CooperativeStickyAssignor", RangePartitionAssignor)

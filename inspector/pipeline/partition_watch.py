"""Notices a camera that appears on two partitions: some producer uses another partitioner, and its order is gone."""

from __future__ import annotations


class PartitionWatch:
    """Remembers where each camera was last seen; bounded, since camera ids come from outside."""

    def __init__(self, max_cameras: int = 10_000) -> None:
        self._max_cameras = max_cameras
        self._partition_of: dict[str, int] = {}
        self._reported: set[str] = set()

    def other_partition(self, camera_id: str, partition: int) -> int | None:
        """Return the partition a camera was seen on before, if it is another one; each camera is told once."""
        known = self._partition_of.get(camera_id)
        if known is None and len(self._partition_of) < self._max_cameras:
            self._partition_of[camera_id] = partition
        if known is None or known == partition or camera_id in self._reported:
            return None
        self._reported.add(camera_id)
        return known

"""Cameras that exist for the length of one measurement."""

from __future__ import annotations

from collections.abc import Collection

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated

_CHUNK = 500
_OF_A_FRAME = (keys.result, keys.frame, keys.overlay, keys.mask, keys.regions, keys.seen)
_OF_A_CAMERA = (keys.stream, keys.good_index, keys.defect_index, keys.good_arrivals, keys.defect_arrivals)


class ScratchCameras:
    """Counts what cameras were given, and takes out of Redis all that was stored for them.

    Every method raises ``ServiceUnavailableError`` while Redis is away.
    """

    def __init__(self, client: redis.Redis, camera_ids: Collection[str]) -> None:
        self._client = client
        self._camera_ids = tuple(camera_ids)

    def stored_frames(self) -> int:
        """Return how many results the cameras have been given, as far as their streams reach back."""
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            for camera_id in self._camera_ids:
                pipeline.xlen(keys.stream(camera_id))
            return sum(pipeline.execute())

    def forget(self, frame_ids: Collection[str], fences: Collection[tuple[str, str, int]]) -> None:
        """Delete everything of the cameras and of these frames, and fence and marks of (group, topic, partition)."""
        names = [key(frame_id) for frame_id in frame_ids for key in _OF_A_FRAME]
        names += [key(camera_id) for camera_id in self._camera_ids for key in _OF_A_CAMERA]
        names += [key(*fence) for fence in fences for key in (keys.fence, keys.stored, keys.decoding)]
        with translated(self._client):
            for start in range(0, len(names), _CHUNK):
                self._client.unlink(*names[start : start + _CHUNK])
            self._client.zrem(keys.CAMERAS, *self._camera_ids)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

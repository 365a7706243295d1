"""Results out of Redis: what `inspector results` and the operator page read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import redis
from redis.exceptions import NoPermissionError

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.adapters.redis.result_store import moment_ms
from inspector.domain.records import from_json
from inspector.domain.result import InspectionResult, PredLabel

_PAGE = 100

# Members of both indices whose record is gone. One script, because the frame may be stored again between look and act.
_FORGET = """
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('ZREM', KEYS[1], ARGV[i - 2])
    redis.call('ZREM', KEYS[2], ARGV[i - 2])
  end
end
"""


@dataclass(frozen=True, slots=True)
class ResultCounts:
    """How many results of a camera are kept now."""

    good: int
    defect: int


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """A frame as a camera's stream tells of it when it was first judged; ``anomaly_score`` is 0..1."""

    frame_id: str
    pred_label: PredLabel
    anomaly_score: float


class RedisResults:
    """Reads what ``RedisResultStore`` wrote.

    Every method raises ``ServiceUnavailableError`` while Redis is away, ``CredentialsError`` where it refuses us and
    ``BadInputError`` for a record that is not a result.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._forget = client.register_script(_FORGET)

    def get(self, frame_id: str) -> InspectionResult | None:
        """Return one result, or None where there is none (any more)."""
        data = self._bytes(keys.result(frame_id))
        return None if data is None else from_json(InspectionResult, data)

    def frame(self, frame_id: str) -> bytes | None:
        """Return the encoded frame as captured, where it was kept."""
        return self._bytes(keys.frame(frame_id))

    def was_taken(self, frame_id: str) -> bool:
        """Tell whether a frame of this id was taken, also where its result is gone (``retention.duplicate_hours``)."""
        return self._bytes(keys.seen(frame_id)) is not None

    def now(self) -> datetime:
        """Return the time by Redis's clock, the one that everybody who uses it shares (UTC)."""
        with translated(self._client):
            seconds, microseconds = self._client.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    def overlay(self, frame_id: str) -> bytes | None:
        """Return the overlay (JPEG), where there is one."""
        return self._bytes(keys.overlay(frame_id))

    def mask(self, frame_id: str) -> bytes | None:
        """Return the mask (PNG), where there is one."""
        return self._bytes(keys.mask(frame_id))

    def regions(self, frame_id: str) -> bytes | None:
        """Return what the listed defects look like to words, where there are any (``vision.region_embeddings``)."""
        return self._bytes(keys.regions(frame_id))

    def last(
        self, camera_id: str, n: int, defects_only: bool = False, until: datetime | None = None
    ) -> list[InspectionResult]:
        """Return up to ``n`` results of a camera, the last captured first; ``until``: none captured later."""
        newest_ms = "+inf" if until is None else moment_ms(until)
        indices = [(keys.defect_index(camera_id), keys.defect_arrivals(camera_id))]
        if not defects_only:
            indices.append((keys.good_index(camera_id), keys.good_arrivals(camera_id)))
        with translated(self._client):
            # By id: a frame that is judged anew between the two reads may stand in both.
            newest = [self._newest(camera_id, *pair, n, newest_ms) for pair in indices]
            found = {result.frame_id: result for results in newest for result in results}
        return sorted(found.values(), key=lambda r: (r.captured_at, r.frame_id), reverse=True)[:n]

    def stream(self, camera_id: str) -> list[StreamEntry]:
        """Return what a camera's stream tells of, the last judged first; the results may be gone."""
        with translated(self._client):
            entries = cast(list[tuple[bytes, dict[bytes, bytes]]], self._client.xrevrange(keys.stream(camera_id)))
        return [entry for _, fields in entries if (entry := _stream_entry(fields)) is not None]

    def cameras(self) -> dict[str, datetime]:
        """Return every camera with results kept, and when its last one was stored; the latest first."""
        with translated(self._client):
            entries = cast(
                list[tuple[bytes, float]], self._client.zrange(keys.CAMERAS, 0, -1, desc=True, withscores=True)
            )
        return {camera.decode(): datetime.fromtimestamp(seen_s, UTC) for camera, seen_s in entries}

    def counts(self, camera_id: str) -> ResultCounts:
        """Return how many results of a camera are kept."""
        with translated(self._client):
            return ResultCounts(
                good=self._count(keys.good_index(camera_id)), defect=self._count(keys.defect_index(camera_id))
            )

    def _bytes(self, key: str) -> bytes | None:
        with translated(self._client):
            return cast(bytes | None, self._client.get(key))

    def _newest(
        self, camera_id: str, index: str, arrivals: str, n: int, newest_ms: int | str
    ) -> list[InspectionResult]:
        """Return up to ``n`` live results of one index, and take what it and ``arrivals`` held in vain out of them."""
        found: list[InspectionResult] = []
        gone: list[bytes] = []
        start = 0
        while len(found) < n and (ids := self._newest_ids(index, newest_ms, start, min(n, _PAGE))):
            start += len(ids)
            for frame_id, data in zip(ids, self._client.mget(_result_keys(ids)), strict=True):
                if data is None:
                    gone.append(frame_id)
                    continue
                result = from_json(InspectionResult, data)
                if result.camera_id == camera_id:  # an expired frame's id may since be another camera's
                    found.append(result)
        # Only now: taking members out would shift the pages. Who may only read leaves them to the next inspector.
        with suppress(NoPermissionError):
            for chunk in _chunks(gone):
                self._forget([index, arrivals, *_result_keys(chunk)], chunk)
        return found

    def _newest_ids(self, index: str, newest_ms: int | str, start: int, count: int) -> list[bytes]:
        return cast(list[bytes], self._client.zrevrangebyscore(index, newest_ms, "-inf", start, count))

    def _ids(self, index: str, start: int, stop: int) -> list[bytes]:
        return cast(list[bytes], self._client.zrange(index, start, stop, desc=True))

    def _count(self, index: str) -> int:
        return sum(
            int(self._client.exists(*_result_keys(chunk)))  # redis-py types the count as a bool
            for chunk in _chunks(self._ids(index, 0, -1))
        )


def _stream_entry(fields: dict[bytes, bytes]) -> StreamEntry | None:
    try:
        label = PredLabel(fields[b"label"].decode())
        return StreamEntry(fields[b"frame_id"].decode(), label, float(fields[b"score"]))
    except (KeyError, ValueError):  # a newer release may tell more kinds of it
        return None


def _chunks(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]


def _result_keys(ids: Sequence[bytes]) -> list[str]:
    return [keys.result(frame_id.decode()) for frame_id in ids]

"""Results into Redis: one atomic, idempotent, fenced script call a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import redis
from redis.exceptions import RedisError

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import raise_translated, translated
from inspector.adapters.redis.retention import Retention
from inspector.domain.outcome import Inspected
from inspector.domain.records import to_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline.ports import StoreStatus

# A broker that forgot an idle group starts its generations at 1 again; without an end, the fence of the old count would
# lock the partition for good. No zombie outlives its session by an hour: Kafka takes its partitions after 10 s, and its
# own watchdog ends it. See deploy/decisions/0002-fencing-token-expires.md.
FENCE_TTL_S = 3600

# Steady state trims one frame for each it stores; the rest catches up, in bounded steps, after a limit was lowered.
SWEEP_LIMIT = 16

_SCRIPT = files(__package__).joinpath("store_result.lua").read_text("utf-8")
_STORED_UP_TO = files(__package__).joinpath("stored_up_to.lua").read_text("utf-8")
PartitionKey = tuple[str, int]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisResultStore:
    """``ports.ResultStore`` on one Redis server (not a cluster). ``group_id`` is the consumer group that is fenced."""

    def __init__(self, client: redis.Redis, *, group_id: str, retention: Retention) -> None:
        self._client = client
        self._group_id = group_id
        self._retention = retention
        self._script = client.register_script(_SCRIPT)
        self._stored_up_to = client.register_script(_STORED_UP_TO)

    def store(self, results: Sequence[Inspected], fencing_token: int) -> Sequence[StoreStatus]:
        """Write results with their evidence, in order; one status each.

        A result is written whole or not at all. When one fails the others of the call may have been written:
        repeating the call is safe and needed.

        Raises:
            ServiceUnavailableError: Redis is away or refuses writes for now.
            CredentialsError: Redis refuses our name, password or rights.
            BadInputError: Redis is too old, or something else holds our keys.
        """
        return self._write(results, fencing_token)

    def stored_up_to(self, partitions: Collection[PartitionKey], fencing_token: int) -> Mapping[PartitionKey, int]:
        """See ``ports.ResultStore``. Raises: as ``store``."""
        if not partitions:
            return {}
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            for place in partitions:
                wanted = [keys.fence(self._group_id, *place), keys.stored(self._group_id, *place)]
                self._stored_up_to(wanted, [fencing_token, FENCE_TTL_S], client=pipeline)
            replies = pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise_translated(reply, self._client)
        return dict(zip(partitions, map(int, replies), strict=True))

    def restore(self, results: Sequence[Inspected]) -> Sequence[StoreStatus]:
        """Write results that are not there, for frames whose offsets are committed; one that is there stays as it is.

        Raises: as ``store``.
        """
        return self._write(results, "restore")

    def reindex(self, results: Sequence[Inspected]) -> Sequence[StoreStatus]:
        """List results again that are there, in the lists of their cameras; nothing else is written.

        Raises: as ``store``.
        """
        return self._write(results, "reindex")

    def _write(self, results: Sequence[Inspected], authority: int | str) -> Sequence[StoreStatus]:
        if not results:
            return []
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            for inspected in results:
                self._script(self._keys(inspected.result), self._args(inspected, authority), client=pipeline)
            replies = pipeline.execute(raise_on_error=False)
        return [self._status(reply) for reply in replies]

    def _status(self, reply: bytes | RedisError) -> StoreStatus:
        if isinstance(reply, RedisError):
            raise_translated(reply, self._client)
        return StoreStatus(reply.decode())

    def _keys(self, result: InspectionResult) -> list[str]:
        indices = [keys.good_index(result.camera_id), keys.defect_index(result.camera_id)]
        arrivals = [keys.good_arrivals(result.camera_id), keys.defect_arrivals(result.camera_id)]
        if _is_defect(result):
            indices.reverse()
            arrivals.reverse()
        return [
            keys.fence(self._group_id, result.source.topic, result.source.partition),
            keys.result(result.frame_id),
            keys.frame(result.frame_id),
            keys.overlay(result.frame_id),
            keys.mask(result.frame_id),
            keys.regions(result.frame_id),
            keys.stream(result.camera_id),
            *indices,
            *arrivals,
            keys.seen(result.frame_id),
            keys.CAMERAS,
            keys.stored(self._group_id, result.source.topic, result.source.partition),
        ]

    def _args(self, inspected: Inspected, authority: int | str) -> list[str | bytes | int]:
        result, evidence, retention = inspected.result, inspected.evidence, self._retention
        defect = _is_defect(result)
        return [
            authority,
            FENCE_TTL_S,
            result.source.topic,
            result.source.partition,
            result.source.offset,
            result.frame_id,
            result.camera_id,
            result.pred_label.value,
            f"{result.anomaly_score:.6f}",
            moment_ms(result.captured_at),
            retention.defect_s if defect else retention.good_s,
            retention.defect_per_camera if defect else retention.good_per_camera,
            retention.longest_s,
            retention.stream_length,
            SWEEP_LIMIT,
            retention.duplicate_s,
            to_json(result),
            evidence.frame or b"",
            evidence.overlay or b"",
            evidence.mask or b"",
            evidence.regions or b"",
        ]


def moment_ms(moment: datetime) -> int:
    """Return a moment in whole milliseconds since 1970 (UTC); of capture, it is the order of the indices."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _is_defect(result: InspectionResult) -> bool:
    return result.pred_label is PredLabel.ANOMALOUS

"""What inspectors tell of versions on trial: vetoes, how each fares, what was found comparing it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.adapters.redis.replication import execute_replicated
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.pipeline.comparison import Comparison, Difference
from inspector.pipeline.rollout import Watched
from inspector.pipeline.rollout_ports import Standing

KEPT_S = 90 * 24 * 3600
"""How long figures of a version stay after the last word on it; a veto stays until a person lifts it."""

_MOST_DIFFERENCES = 1000
_PASSED = b"passed"
_FIGURES = {figure.name for figure in fields(Comparison)}


@dataclass(frozen=True, slots=True)
class Veto:
    """Why no inspector serves a version."""

    reason: str
    replica: str
    at: datetime


class RedisRolloutStore:
    """``rollout_ports.RolloutStore`` on Redis, with what people read of it.

    Raises ServiceUnavailableError while Redis is away, CredentialsError where it refuses us.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def now(self) -> datetime:
        """See ``rollout_ports.RolloutStore``."""
        with translated(self._client):
            seconds, microseconds = self._client.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    def vetoes(self, versions: Collection[str]) -> Mapping[str, str]:
        """See ``rollout_ports.RolloutStore``."""
        return {version: veto.reason for version, veto in self.vetoed(versions).items()}

    def vetoed(self, versions: Collection[str]) -> Mapping[str, Veto]:
        """Return the vetoes of these versions."""
        if not versions:
            return {}
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            for version in versions:
                pipeline.get(keys.rollout_veto(version))
            found = pipeline.execute()
        return {version: _veto(data) for version, data in zip(versions, found, strict=True) if data is not None}

    def veto(self, version: str, reason: str, replica: str) -> None:
        """See ``rollout_ports.RolloutStore``. Behind Sentinel it outlives the primary."""
        said = to_json(Veto(reason, replica, self.now()))
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(keys.rollout_veto(version), said, nx=True)
            execute_replicated(self._client, pipeline)

    def lift(self, version: str) -> None:
        """Forget what speaks against a version: a person wants it tried again."""
        with translated(self._client):
            self._client.unlink(keys.rollout_veto(version), keys.rollout_trial(version), keys.rollout_standing(version))

    def begin_trial(self, version: str, replica: str) -> int:
        """See ``rollout_ports.RolloutStore``."""
        key = keys.rollout_trial(version)
        with translated(self._client):
            if self._client.hget(key, replica) == _PASSED:
                return 0
            tries = self._client.hincrby(key, replica, 1)
            self._client.expire(key, KEPT_S)
        return tries

    def end_trial(self, version: str, replica: str, *, passed: bool) -> None:
        """See ``rollout_ports.RolloutStore``."""
        key = keys.rollout_trial(version)
        with translated(self._client):
            if passed:
                self._client.hset(key, replica, _PASSED)
                self._client.expire(key, KEPT_S)
            elif self._client.hget(key, replica) != _PASSED:
                self._client.hdel(key, replica)

    def report(self, version: str, replica: str, standing: Standing) -> None:
        """See ``rollout_ports.RolloutStore``."""
        key = keys.rollout_standing(version)
        said = replace(standing, said_at=self.now())
        with translated(self._client):
            self._client.hset(key, replica, to_json(said))
            self._client.expire(key, KEPT_S)

    def standings(self, version: str) -> Mapping[str, Standing]:
        """Return how a version fares in each inspector that has loaded or refused it."""
        with translated(self._client):
            found = cast(dict[bytes, bytes], self._client.hgetall(keys.rollout_standing(version)))
        return {replica.decode(errors="replace"): _standing(data) for replica, data in sorted(found.items())}

    def add(self, trial: Watched, comparison: Comparison, differences: Sequence[Difference]) -> None:
        """See ``rollout_ports.RolloutStore``."""
        found, told = keys.rollout_found(*_named(trial)), keys.rollout_differences(*_named(trial))
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            for name, value in asdict(comparison).items():
                if isinstance(value, float):
                    pipeline.hincrbyfloat(found, name, value)
                elif value:
                    pipeline.hincrby(found, name, value)
            for difference in differences:
                entry: dict[Any, Any] = {"difference": to_json(difference)}
                pipeline.xadd(told, entry, maxlen=_MOST_DIFFERENCES, approximate=True)
            pipeline.expire(found, KEPT_S)
            pipeline.expire(told, KEPT_S)
            pipeline.execute()

    def found(self, trial: Watched) -> Comparison:
        """Return what all inspectors together found in a trial."""
        key = keys.rollout_found(*_named(trial))
        with translated(self._client):
            kept = cast(dict[bytes, bytes], self._client.hgetall(key))
        try:
            values: dict[str, Any] = {
                name: float(text) if isinstance(getattr(Comparison(), name), float) else int(text)
                for name, text in ((name.decode(), value.decode()) for name, value in kept.items())
                if name in _FIGURES
            }
            return Comparison(**values)
        except ValueError as error:
            raise BadInputError("numbers of what was compared", str(error), f"delete {key}") from error

    def differences(self, trial: Watched, last: int) -> list[Difference]:
        """Return the last frames that the version on trial judged otherwise than the one before it, latest first."""
        with translated(self._client):
            entries = cast(Any, self._client.xrevrange(keys.rollout_differences(*_named(trial)), count=last))
        return [from_json(Difference, entry[b"difference"]) for _, entry in entries]


def _named(trial: Watched) -> tuple[str, str]:
    """Return a trial as parts of a key: the version, and when it was offered in microseconds."""
    return trial.subject, "-" if trial.since is None else f"{trial.since.timestamp() * 1e6:.0f}"


def _veto(data: bytes) -> Veto:
    try:
        return from_json(Veto, data)
    except BadInputError:  # whoever wrote it meant one
        return Veto(data[:200].decode(errors="replace"), "?", datetime.now(UTC))


def _standing(data: bytes) -> Standing:
    try:
        return from_json(Standing, data)
    except BadInputError:
        return Standing(refused=json.dumps(data[:200].decode(errors="replace")))

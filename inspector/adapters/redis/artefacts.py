"""Versioned artefacts in Redis, each under the SHA-256 of its bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import redis

from inspector.adapters.artefacts import verified, version_of
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.adapters.redis.replication import execute_replicated

RETIRED_TTL_S = 7 * 24 * 3600


class RedisArtefactStore:
    """``ports.ArtefactStore``. Artefacts stay until they are retired: an announced version must be readable.

    ``key`` tells under which key a version lies: masks of feedback have keys of their own, which operators may write,
    while they may not touch a bank.
    """

    def __init__(
        self, client: redis.Redis, key: Callable[[str], str] = keys.artefact, life_s: int | None = None
    ) -> None:
        """``life_s``: how long what is put stays; None: until it is retired."""
        self._client = client
        self._key = key
        self._life_s = life_s

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its version; repeating it changes nothing but to take a retired one back.

        Its version is announced next, in Kafka, which keeps its word: behind Sentinel a replica has it then, too.

        Raises:
            ServiceUnavailableError: Redis is away or refuses writes for now.
        """
        version = version_of(data)
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(self._key(version), data, ex=self._life_s)
            execute_replicated(self._client, pipeline)
        return version

    def retire(self, version: str) -> None:
        """Let a version that is announced no more expire in a week, in which a person may still go back to it.

        Raises:
            ServiceUnavailableError: Redis is away.
        """
        with translated(self._client):
            self._client.expire(self._key(version), RETIRED_TTL_S)

    def get(self, version: str) -> bytes:
        """Return the bytes of ``version``, verified.

        Raises:
            BadInputError: unknown version, or the bytes do not hash to it.
            ServiceUnavailableError: Redis is away.
        """
        with translated(self._client):
            data = cast(bytes | None, self._client.get(self._key(version)))
        return verified(version, data)

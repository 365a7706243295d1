"""One trainer at a time: a lock in Redis with a fencing token, kept while its holder lives."""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import dataclass, field
from importlib.resources import files
from types import TracebackType
from typing import Self, cast

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.adapters.redis.replication import execute_replicated
from inspector.domain.errors import InspectorError
from inspector.pipeline.ports import FencedError

_log = logging.getLogger(__name__)

_SCRIPT = files(__package__).joinpath("trainer_lock.lua").read_text("utf-8")
# A lock is kept well before it runs out: two tries may fail.
_KEPT_A_LIFE = 3


@dataclass(frozen=True, slots=True)
class Lease:
    """The lock as one holder has it. ``token`` is higher than that of every holder before.

    Except where Redis forgot some of its last writes, as in a failover: then two may have the same token, and the same
    name. ``nonce`` is one holder's alone.
    """

    token: int
    holder: str
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def mark(self) -> str:
        """What stands in the lock."""
        return f"{self.token} {self.nonce} {self.holder}"


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else's lock: whose, and in how many seconds it runs out if he is dead."""

    holder: str
    left_s: float


class TrainerLock:
    """The lock of all trainers on one Redis; behind Sentinel a replica has it, too.

    ``life_s``: how long it outlives a holder that was killed.

    Every method raises ``ServiceUnavailableError`` while Redis is away and ``CredentialsError`` where it refuses us.
    """

    def __init__(self, client: redis.Redis, *, life_s: float) -> None:
        self._client = client
        self._life_ms = round(life_s * 1000)
        self._script = client.register_script(_SCRIPT)

    @property
    def life_s(self) -> float:
        """How long the lock stands after it was taken or kept."""
        return self._life_ms / 1000

    def take(self, holder: str) -> Lease | Busy:
        """Take the lock, or tell who has it. ``holder``: a name for people; two processes may have the same."""
        nonce = secrets.token_hex(8)
        token, *other = self._call("take", f"{nonce} {holder}")
        if other:
            return Busy(cast(bytes, other[0]).decode(errors="replace"), int(cast(int, other[1])) / 1000)
        return Lease(int(cast(int, token)), holder, nonce)

    def keep(self, lease: Lease) -> bool:
        """Hold the lock for another life; False if somebody else has taken it since."""
        return self._call("keep", lease.mark) == [1]

    def leave(self, lease: Lease) -> bool:
        """Give the lock back; False if it was somebody else's already."""
        return self._call("leave", lease.mark) == [1]

    def _call(self, verb: str, who: str) -> list[object]:
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            arguments: list[str | int] = [verb, self._life_ms, who]
            self._script([keys.TRAINER_LOCK, keys.TRAINER_TOKEN], arguments, client=pipeline)
            return cast(list[object], execute_replicated(self._client, pipeline)[0])


class KeptLease:
    """A lease that a thread keeps while the block runs, and gives back after it.

    While Redis cannot be asked, the holder goes on: what counts is ``confirm``, right before anything is published.
    """

    def __init__(self, lock: TrainerLock, lease: Lease) -> None:
        self._lock = lock
        self._lease = lease
        self._over = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="trainer-lock", daemon=True)

    @property
    def lease(self) -> Lease:
        """Whose it is, and the token."""
        return self._lease

    @property
    def lost(self) -> bool:
        """Whether somebody else is known to have the lock."""
        return self._lost.is_set()

    def confirm(self) -> None:
        """See that the lock is still ours, now.

        Raises:
            FencedError: somebody else has it, or had it since.
            ServiceUnavailableError: Redis cannot be asked, or has no replica that could tell of it (Sentinel).
        """
        if self.lost or not self._lock.keep(self._lease):
            self._lost.set()
            raise FencedError(f"another trainer has taken the lock since token {self._lease.token} was given")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        try:
            self._lock.leave(self._lease)
        except InspectorError as problem:
            _log.warning("the trainer's lock runs out by itself in %.0f s: %s", self._lock.life_s, problem)

    def _keep(self) -> None:
        while not self._over.wait(self._lock.life_s / _KEPT_A_LIFE):
            try:
                if not self._lock.keep(self._lease):
                    self._lost.set()
                    return
            except InspectorError as problem:
                _log.warning("the trainer's lock was not kept, which is tried again: %s", problem)

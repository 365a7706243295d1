"""Which frames are being decoded, in Redis: what a process cannot tell any more when a decode has ended it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeVar

import redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import raise_translated, translated
from inspector.adapters.redis.result_store import FENCE_TTL_S
from inspector.domain.errors import InspectorError
from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import FencedError, Marked, Unmark

_log = logging.getLogger(__name__)

# Marks outlive any outage that somebody is at work on; those of frames that nobody will ever take again go by this.
MARKS_TTL_S = 7 * 24 * 3600

_MARK = files(__package__).joinpath("decode_marks.lua").read_text("utf-8")
_UNMARK = files(__package__).joinpath("decode_unmarks.lua").read_text("utf-8")

PartitionKey = tuple[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    script: Script
    keys: Sequence[str]
    args: Sequence[str | int]


class RedisDecodeMarks:
    """``ports.DecodeMarks`` on one Redis server. ``group_id`` is the consumer group; one object is one life."""

    def __init__(self, client: redis.Redis, *, group_id: str) -> None:
        self._client = client
        self._group_id = group_id
        self._life = uuid.uuid4().hex
        self._count = 0
        self._held: dict[FrameSource, str] = {}
        self._begun: dict[PartitionKey, int] = {}  # the generation under which frames of a partition were marked first
        self._mark = client.register_script(_MARK)
        self._unmark = client.register_script(_UNMARK)

    def mark(
        self, sources: Sequence[FrameSource], fencing_token: int, over: Sequence[Unmark] = (), *, alone: bool = False
    ) -> Sequence[Marked]:
        """See ``ports.DecodeMarks``. One round trip.

        Raises:
            ServiceUnavailableError: Redis is away or refuses writes for now.
            FencedError: a newer generation has marked or stored frames of a partition.
            CredentialsError: Redis refuses our name, password or rights.
        """
        self._count += 1
        tag = f"{self._life}-{self._count}"
        by_partition = _by_partition(sources, lambda source: source)
        # Before the call, whose answer may be lost: what may have been set must be known when it is withdrawn.
        self._held.update(dict.fromkeys(sources, tag))
        unmarking = self._unmarking(over)
        marking = [self._marking(place, frames, (fencing_token, tag, alone)) for place, frames in by_partition.items()]
        replies = self._run([*unmarking, *marking])
        self._let_go(over)
        self._begun.update(dict.fromkeys(by_partition, fencing_token))
        deaths = dict(_deaths(by_partition, replies[len(unmarking) :]))
        if not alone:
            # Frames that have met a death were looked up, not marked.
            self._let_go([Unmark(source, tag) for source in sources if deaths[source]])
        return [Marked(source, tag, deaths[source]) for source in sources]

    def unmark(self, over: Sequence[Unmark]) -> None:
        """See ``ports.DecodeMarks``. One round trip. Raises as ``mark``, but for FencedError."""
        if not over:
            return
        self._run(self._unmarking(over))
        self._let_go(over)

    def withdraw(self) -> None:
        """See ``ports.DecodeMarks``; takes at most as long as a call to a server that does not answer."""
        held = [Unmark(source, tag, nothing_stays=False) for source, tag in list(self._held.items())]
        try:
            self.unmark(held)
        except InspectorError as error:
            _log.warning("marks of %d frames being decoded could not be taken back: %s", len(held), error)

    def _let_go(self, over: Sequence[Unmark]) -> None:
        for each in over:
            if self._held.get(each.source) == each.tag:
                del self._held[each.source]

    def _marking(self, place: PartitionKey, frames: Sequence[FrameSource], how: tuple[int, str, bool]) -> _Call:
        fencing_token, tag, alone = how
        # An owner begins at the committed offset: what is marked below it, somebody has settled since.
        first = "first" if self._begun.get(place) != fencing_token else "later"
        together = "alone" if alone else "together"
        head: list[str | int] = [fencing_token, FENCE_TTL_S, MARKS_TTL_S, self._life, tag, together, first]
        wanted = [keys.fence(self._group_id, *place), self._marks(*place)]
        return _Call(self._mark, wanted, [*head, *(frame.offset for frame in frames)])

    def _unmarking(self, over: Sequence[Unmark]) -> list[_Call]:
        return [
            _Call(self._unmark, [self._marks(*place)], [part for each in ended for part in _ended(each)])
            for place, ended in _by_partition(over, lambda each: each.source).items()
        ]

    def _run(self, calls: Sequence[_Call]) -> list[object]:
        """Run the calls in one round trip and return their replies.

        Not as redis-py runs scripts, which asks before each pipeline whether the server still has them: that is a
        second round trip. A server that has lost them says so, and all calls may be repeated.
        """
        with translated(self._client):
            replies = self._execute(calls)
            if any(isinstance(reply, NoScriptError) for reply in replies):
                for script in (_MARK, _UNMARK):
                    self._client.script_load(script)
                replies = self._execute(calls)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise_translated(reply, self._client)
        return replies

    def _execute(self, calls: Sequence[_Call]) -> list[object]:
        with self._client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
            return pipeline.execute(raise_on_error=False)

    def _marks(self, topic: str, partition: int) -> str:
        return keys.decoding(self._group_id, topic, partition)


def _ended(each: Unmark) -> tuple[int, str, str]:
    return each.source.offset, each.tag, "over" if each.nothing_stays else "withdrawn"


def _deaths(
    by_partition: Mapping[PartitionKey, Sequence[FrameSource]], replies: Sequence[object]
) -> Iterable[tuple[FrameSource, int]]:
    for sources, reply in zip(by_partition.values(), replies, strict=True):
        if not isinstance(reply, list):
            raise FencedError("a newer owner of this partition decodes its frames: this inspector was replaced")
        yield from zip(sources, reply, strict=True)


def _by_partition(items: Iterable[T], source_of: Callable[[T], FrameSource]) -> dict[PartitionKey, list[T]]:
    found: dict[PartitionKey, list[T]] = {}
    for item in items:
        source = source_of(item)
        found.setdefault((source.topic, source.partition), []).append(item)
    return found

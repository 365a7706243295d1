"""What the pipeline asks of the outside: a frame log, a result store, a feed of configuration.

Each is a small Protocol with a real implementation in ``adapters`` and an in-memory one in ``adapters.memory``; one
contract suite runs against both. What it asks of an engine is in ``engine_ports``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from inspector.domain.artefact import Announcement
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record as it came from the frames topic: everything in it but ``source`` is untrusted."""

    source: FrameSource
    timestamp_ms: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class OutRecord:
    """One record to publish."""

    topic: str
    key: bytes | None
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Ownership:
    """The group membership under which records were polled.

    ``generation`` grows with every rebalance and serves as the fencing token. ``handle`` is the broker client's own
    group metadata, opaque here, handed back on commit.
    """

    member_id: str
    generation: int
    handle: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Polled:
    """One poll. ``reset``: membership changed, so throw away uncommitted work; positions are the committed ones.

    ``notes``, with a reset: what was committed beside each partition's offset, an empty text where nothing was.
    """

    records: tuple[LogRecord, ...]
    ownership: Ownership | None
    reset: bool = False
    notes: Mapping[tuple[str, int], str] = field(default_factory=dict)


NO_NOTES: Mapping[tuple[str, int], str] = MappingProxyType({})


class FrameLog(Protocol):
    """The transactional consumer-and-producer of one inspector. Not thread-safe: one thread owns it."""

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        """Return at most ``max_records`` records in order, each once, after re-seeking if membership changed.

        Raises:
            ServiceUnavailableError: the brokers cannot be reached.
        """
        ...

    def pause(self) -> None:
        """Stop fetching on all assigned partitions, also those assigned later, until ``resume``."""
        ...

    def resume(self) -> None:
        """Fetch again."""
        ...

    def commit(
        self,
        ownership: Ownership,
        next_offsets: Mapping[tuple[str, int], int],
        records: Sequence[OutRecord],
        notes: Mapping[tuple[str, int], str] = NO_NOTES,
    ) -> None:
        """Publish ``records`` and commit ``next_offsets`` ((topic, partition) -> next offset) in one transaction.

        ``notes`` are kept beside the offsets, and given back by the poll after which the partitions are owned anew.

        Raises:
            CommitFailedError: nothing of it is visible, or its fate is unknown; call ``rebuild`` before anything else.
            FencedError: another inspector took over under our name; the process must exit.
        """
        ...

    def rebuild(self) -> None:
        """Close consumer and producer, make new ones with the same identity, resume from the committed offsets."""
        ...

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Return how many records of each assigned partition are not yet polled, as far as known."""
        ...

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Return the offset that the next record of each assigned partition will have, as far as known."""
        ...

    def close(self) -> None:
        """Leave the group and close; never raises."""
        ...


class CommitFailedError(Exception):
    """The transaction did not commit, or may not have."""


class FencedError(Exception):
    """A newer owner of our transactional id or partition exists; the only right move is to exit."""


class StoreStatus(StrEnum):
    """What the store did with one result."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # this frame_id is held by another offset; nothing was written
    FENCED = "fenced"  # a newer generation wrote to this partition; nothing was written
    UNNEEDED = "unneeded"  # a repair found nothing to mend; nothing was written


class ResultStore(Protocol):
    """Where results go: idempotent upserts, guarded by the generation under which the partition is owned."""

    def store(self, results: Sequence[Inspected], fencing_token: int) -> Sequence[StoreStatus]:
        """Write results with their evidence, in order; one status each.

        Raises:
            ServiceUnavailableError: the store is away or refuses writes for now; retrying the same call is safe.
        """
        ...

    def stored_up_to(
        self, partitions: Collection[tuple[str, int]], fencing_token: int
    ) -> Mapping[tuple[str, int], int]:
        """Fence older owners of these partitions off; return the highest offset of each that was ever stored, or -1.

        Raises:
            ServiceUnavailableError: as ``store``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Marked:
    """What is known of a frame before it is decoded: how many processes ended while they decoded it."""

    source: FrameSource
    tag: str
    deaths: int


@dataclass(frozen=True, slots=True)
class Unmark:
    """A mark to take back. ``nothing_stays``: forget the deaths too, for the frame was decoded or is settled."""

    source: FrameSource
    tag: str
    nothing_stays: bool = True


NO_TAG = "-"
"""The tag of a frame that nobody decodes while deaths are still held against it."""


class DecodeMarks(Protocol):
    """Remembers, beyond the death of the process, which frames are being decoded. One object is one process's life."""

    def mark(
        self, sources: Sequence[FrameSource], fencing_token: int, over: Sequence[Unmark] = (), *, alone: bool = False
    ) -> Sequence[Marked]:
        """Take ``over`` back, then mark ``sources``; one ``Marked`` each, in order.

        A mark of another life that is still there counts as a death. A frame that has met one is marked only with
        ``alone``.

        Raises:
            ServiceUnavailableError: the store is away or refuses writes for now; repeat the whole call.
            FencedError: a newer owner of a partition exists.
        """
        ...

    def unmark(self, over: Sequence[Unmark]) -> None:
        """Take marks back, each only if it is still the one that was set.

        Raises:
            ServiceUnavailableError: as ``mark``.
        """
        ...

    def withdraw(self) -> None:
        """Take all marks of this life back, as far as the store can be reached: the process ends for another reason.

        Called from any thread; never raises.
        """
        ...


class ArtefactStore(Protocol):
    """Content-addressed bytes: banks, calibrations, settings, weights."""

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its version, the SHA-256 in hex."""
        ...

    def get(self, version: str) -> bytes:
        """Return the bytes of ``version``, verified.

        Raises:
            BadInputError: unknown version, or the bytes do not hash to it.
            ServiceUnavailableError: the store is away.
        """
        ...


class ConfigFeed(Protocol):
    """Announcements of ``inspection.config``, from its beginning."""

    def poll(self) -> Sequence[Announcement]:
        """Return the announcements that arrived since the last call, oldest first; never waits for more.

        The first call returns the live version of everything announced so far.

        Raises:
            ServiceUnavailableError: the brokers cannot be reached.
        """
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class Configuration(Protocol):
    """What changes in an engine while it serves."""

    def apply_pending(self) -> bool:
        """Apply what was announced; False if something may still be to come.

        The loop calls it on the thread that scores, and so between two batches.
        """
        ...

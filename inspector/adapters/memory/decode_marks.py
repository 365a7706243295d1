"""Marks of frames being decoded, in memory (ports.DecodeMarks); lives share one ``MarkBook``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from inspector.adapters.memory.faults import Outage
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import NO_TAG, FencedError, Marked, Unmark


@dataclass
class MarkBook:
    """What outlives a process: (deaths, tag) by frame, and the highest token of each partition."""

    marks: dict[FrameSource, tuple[int, str]] = field(default_factory=dict)
    fences: dict[tuple[str, int], int] = field(default_factory=dict)
    lives: int = 0


class MemoryDecodeMarks:
    """One life; make another on the same book for the process that comes after."""

    def __init__(self, book: MarkBook) -> None:
        book.lives += 1
        self.outage = Outage()
        self._book = book
        self._life = f"life{book.lives}-"
        self._count = 0
        self._begun: dict[tuple[str, int], int] = {}

    def mark(
        self, sources: Sequence[FrameSource], fencing_token: int, over: Sequence[Unmark] = (), *, alone: bool = False
    ) -> Sequence[Marked]:
        """See ``ports.DecodeMarks``."""
        self.unmark(over)
        self._count += 1
        return [self._mark(source, fencing_token, f"{self._life}{self._count}", alone) for source in sources]

    def unmark(self, over: Sequence[Unmark]) -> None:
        """See ``ports.DecodeMarks``."""
        self.outage.check()
        for each in over:
            deaths, tag = self._book.marks.get(each.source, (0, ""))
            if tag != each.tag:
                continue
            if each.nothing_stays or deaths == 0:
                del self._book.marks[each.source]
            else:
                self._book.marks[each.source] = (deaths, NO_TAG)

    def withdraw(self) -> None:
        """See ``ports.DecodeMarks``."""
        with contextlib.suppress(ServiceUnavailableError):
            own = [(source, tag) for source, (_, tag) in self._book.marks.items() if tag.startswith(self._life)]
            self.unmark([Unmark(source, tag, nothing_stays=False) for source, tag in own])

    def _mark(self, source: FrameSource, token: int, tag: str, alone: bool) -> Marked:
        partition = (source.topic, source.partition)
        if self._book.fences.get(partition, -1) > token:
            raise FencedError("a newer owner of this partition decodes its frames")
        self._book.fences[partition] = token
        if self._begun.get(partition) != token:
            self._begun[partition] = token
            self._forget_below(source)
        deaths, before = self._book.marks.get(source, (0, NO_TAG))
        if before != NO_TAG and not before.startswith(self._life):
            deaths += 1
        self._book.marks[source] = (deaths, tag if alone or deaths == 0 else NO_TAG)
        return Marked(source, tag, deaths)

    def _forget_below(self, first: FrameSource) -> None:
        """Forget what is below the committed offset, at which an owner begins."""
        place = (first.topic, first.partition)
        gone = [each for each in self._book.marks if (each.topic, each.partition) == place and each < first]
        for source in gone:
            del self._book.marks[source]

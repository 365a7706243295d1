"""Where findings are, as stretches of offsets: few, however many findings, so that they can be looked at again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from inspector.domain.frame import FrameSource

# Frames between two findings that cost less to read again than a second place to begin at.
_NEAR = 100
_MOST = 50  # of one partition; then the two nearest become one


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets from ``first`` to below ``end``; no frame with a finding in it was published before ``since``."""

    partition: int
    first: int
    end: int
    since: datetime


class Stretches:
    """Holds every place that it was given, and some between them."""

    def __init__(self) -> None:
        self._of: defaultdict[int, list[Stretch]] = defaultdict(list)

    def add(self, source: FrameSource, published_at: datetime) -> None:
        """Take down a place; those of a partition come in the order of their offsets."""
        found = self._of[source.partition]
        found.append(Stretch(source.partition, source.offset, source.offset + 1, published_at))
        if len(found) > 1 and found[-1].first - found[-2].end <= _NEAR:
            _join(found, len(found) - 2)
        elif len(found) > _MOST:
            gaps = [after.first - before.end for before, after in pairwise(found)]
            _join(found, gaps.index(min(gaps)))

    def __iter__(self) -> Iterator[Stretch]:
        for partition in sorted(self._of):
            yield from self._of[partition]


def _join(found: list[Stretch], place: int) -> None:
    """Make one of the stretch at ``place`` and the next."""
    before, after = found[place : place + 2]
    found[place : place + 2] = [replace(before, end=max(before.end, after.end), since=min(before.since, after.since))]

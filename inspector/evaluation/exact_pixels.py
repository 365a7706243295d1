"""Every pixel's score, kept in the least memory that still gives exact metrics.

4 bytes for a normal pixel (its key), 8 for a defective one (its key, and its region, packed into one integer). Both are
sorted where they lie, and read in chunks, so nothing is held twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.keys import scores_of
from inspector.evaluation.ranking import Levels, Totals
from inspector.evaluation.regions import Regions

_CHUNK = 2**20
_MOST_SPARE = 2**24
_REGION_BITS = np.uint64(32)
_REGION = np.uint64(2**32 - 1)

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Reached:
    """What lies above thresholds [T], from ``_low`` to ``_high``: normal pixels int64, mean overlap of regions 0..1."""

    fp_low: NDArray[np.int64]
    fp_high: NDArray[np.int64]
    overlap_low: NDArray[np.float64]
    overlap_high: NDArray[np.float64]


class ExactPixels:
    """Pixels by key, see ``keys.py``."""

    def __init__(self) -> None:
        self._normal = _Growing(np.dtype(np.uint32))
        self._defective = _Growing(np.dtype(np.uint64))
        self._areas: list[NDArray[np.int64]] = []
        self._regions = 0

    @property
    def cost(self) -> int:
        """Memory in pixels of 4 bytes: a defective pixel counts twice."""
        return self._normal.size + 2 * self._defective.size

    def add(self, normal: NDArray[np.uint32], defective: NDArray[np.uint32], regions: Regions) -> None:
        """Add one image: keys of its normal pixels [N] and of its defective ones [D], and their regions."""
        self._normal.append(normal)
        region = (regions.index + self._regions).astype(np.uint64)
        self._defective.append((defective.astype(np.uint64) << _REGION_BITS) | region)
        self._areas.append(regions.areas)
        self._regions += regions.areas.size

    def totals(self) -> Totals:
        """Return how many pixels there are."""
        return Totals(self._defective.size, self._normal.size, "pixel", self._regions)

    def extremes(self) -> tuple[np.uint32, np.uint32]:
        """Return the lowest and the highest key of all pixels; there has to be one."""
        normal, defective = self._normal.sorted(), self._defective.sorted()
        ends = [normal[:1], normal[-1:], _key(defective[:1]), _key(defective[-1:])]
        every = np.concatenate(ends)
        return every.min(), every.max()

    def levels(self) -> Iterator[Levels]:
        """Yield the distinct scores of defective pixels, highest first, a chunk at a time."""
        normal = self._normal.sorted()
        tp, overlap = 0, 0.0
        for groups in self._groups():
            reached = tp + np.cumsum(groups.count)
            covered = overlap + np.cumsum(groups.overlap)
            # The keys fall, and NumPy searches rising ones several times faster: their neighbours share a cache line.
            rising = groups.key[::-1]
            yield Levels(
                score=scores_of(groups.key).astype(np.float64),
                tp_above=reached - groups.count,
                tp=reached,
                fp_above=normal.size - np.searchsorted(normal, rising, "right")[::-1],
                fp=normal.size - np.searchsorted(normal, rising, "left")[::-1],
                overlap_above=covered - groups.overlap,
                overlap=covered,
            )
            tp, overlap = int(reached[-1]), float(covered[-1])

    def above(self, keys: NDArray[np.uint32]) -> Reached:
        """Return what lies strictly above each of the rising ``keys`` [T]; exact, so both bounds are the same."""
        normal = self._normal.sorted()
        fp = normal.size - np.searchsorted(normal, keys, "right")
        overlap = np.zeros(keys.size)
        for groups in self._groups():
            from_lowest = np.append(0.0, np.cumsum(groups.overlap))  # of the k highest of the chunk
            overlap += from_lowest[groups.key.size - np.searchsorted(groups.key[::-1], keys, "right")]
        return Reached(fp, fp, overlap, overlap)

    def chunks(self) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float64]]]:
        """Yield all pixels: normal keys; defective keys, and the share of its own region that each of them is."""
        shares = 1 / np.concatenate([*self._areas, np.zeros(0, np.int64)])
        none, no_share = np.zeros(0, np.uint32), np.zeros(0)
        for part in _chunks_of(self._normal.values):
            yield part, none, no_share
        for packed in _chunks_of(self._defective.values):
            yield none, _key(packed), shares[(packed & _REGION).astype(np.int64)]

    def _groups(self) -> Iterator[_Groups]:
        shares = 1 / (np.concatenate([*self._areas, np.zeros(0, np.int64)]) * float(self._regions))
        packed = self._defective.sorted()
        open_group = _Groups(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0))
        for end in range(packed.size, 0, -_CHUNK):
            falling = packed[max(0, end - _CHUNK) : end][::-1]
            part = _Groups(
                np.append(open_group.key, _key(falling)),
                np.append(open_group.count, np.ones(falling.size, np.int64)),
                np.append(open_group.overlap, shares[(falling & _REGION).astype(np.int64)]),
            ).merged()
            # The last score may go on in the next chunk.
            if part.key.size > 1:
                yield part.between(0, -1)
            open_group = part.between(-1, None)
        if open_group.key.size:
            yield open_group


@dataclass(frozen=True, slots=True)
class _Groups:
    """Defective pixels by falling key [G]: how many, and the mean overlap that they add."""

    key: NDArray[np.uint32]
    count: NDArray[np.int64]
    overlap: NDArray[np.float64]

    def merged(self) -> _Groups:
        """Return one group for each distinct key."""
        first = np.flatnonzero(np.append(True, self.key[1:] != self.key[:-1]))
        return _Groups(self.key[first], np.add.reduceat(self.count, first), np.add.reduceat(self.overlap, first))

    def between(self, start: int, stop: int | None) -> _Groups:
        return _Groups(self.key[start:stop], self.count[start:stop], self.overlap[start:stop])


class _Growing(Generic[_T]):
    """An array that grows where it lies and is sorted there."""

    def __init__(self, dtype: np.dtype[_T]) -> None:
        self._room: NDArray[_T] = np.empty(0, dtype)
        self.size = 0
        self._sorted = True

    @property
    def values(self) -> NDArray[_T]:
        return self._room[: self.size]

    def append(self, values: NDArray[_T]) -> None:
        end = self.size + values.size
        if end > self._room.size:
            # In place: a new array beside the old would need the memory of both. Nobody else keeps a view of it.
            self._room.resize(end + min(end, _MOST_SPARE), refcheck=False)
        self._room[self.size : end] = values
        self.size, self._sorted = end, False

    def sorted(self) -> NDArray[_T]:
        if not self._sorted:
            self.values.sort()
            self._sorted = True
        return self.values


def _key(packed: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return (packed >> _REGION_BITS).astype(np.uint32)


def _chunks_of(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, values.size, _CHUNK):
        yield values[start : start + _CHUNK]

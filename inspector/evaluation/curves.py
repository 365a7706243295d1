"""Curves of a report: about two hundred points out of millions, each of them on the curve."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = tuple[tuple[float, float], ...]
"""A curve as (x, y), both in 0..1, in the order of falling scores: x never falls."""

_CELLS = 100


class CurveSampler:
    """Keeps, of the vertices of a curve that never falls, the first in each cell of a grid of 100 x 100 cells.

    Such a curve passes at most 200 cells, and a line through the kept vertices is nowhere further than a cell from it.
    It starts at (0, 0). ``x_all`` and ``y_all`` say what counts as 1; the curve is cut off at ``x_end`` (of ``x_all``),
    at the interpolated point, and the cells then divide what is left of it.
    """

    def __init__(self, x_all: float, y_all: float, x_end: float = 1.0) -> None:
        self._scale = np.array([x_all, y_all], np.float64)
        self._end = x_end
        self._cells = np.array([_CELLS / x_end, _CELLS])
        self._cell = 0
        self._last = np.zeros((1, 2))
        self._kept = [self._last]

    def take(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Take the next vertices [V]."""
        points = np.column_stack((x, y)) / self._scale
        if points[-1, 0] > self._end:
            # What lies wholly beyond the end adds the point at the end once more, which is no new one.
            points = self._cut(np.vstack((self._last, points)))
        cells = (points * self._cells).astype(np.int64).sum(axis=1)
        self._kept.append(points[np.diff(cells, prepend=self._cell) != 0])
        self._cell, self._last = int(cells[-1]), points[-1:]

    def points(self) -> Points:
        """Return the curve up to (1, 1), or up to where it is cut off."""
        self.take(self._scale[:1], self._scale[1:])
        return _joined([*self._kept, self._last])

    def _cut(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        kept = int(np.searchsorted(points[:, 0], self._end, "right"))
        before, after = points[kept - 1], points[kept]
        share = (self._end - before[0]) / (after[0] - before[0])
        return np.vstack((points[:kept], [[self._end, before[1] + share * (after[1] - before[1])]]))


class PrecisionSampler:
    """Keeps the first (recall, precision) in each of 200 columns of recall, and the last.

    No point is made up: there is no precision before the first level, so the curve starts there.
    """

    def __init__(self) -> None:
        self._column = -1
        self._last = np.zeros((0, 2))
        self._kept: list[NDArray[np.float64]] = []

    def take(self, recall: NDArray[np.float64], precision: NDArray[np.float64]) -> None:
        """Take the next levels [L], recall never falling."""
        points = np.column_stack((recall, precision))
        columns = (recall * 2 * _CELLS).astype(np.int64)
        self._kept.append(points[np.diff(columns, prepend=self._column) != 0])
        self._column, self._last = int(columns[-1]), points[-1:]

    def points(self) -> Points:
        """Return the curve up to recall 1."""
        return _joined([*self._kept, self._last])


def _joined(parts: list[NDArray[np.float64]]) -> Points:
    points = np.concatenate(parts)
    new = np.ones(len(points), bool)
    new[1:] = (points[1:] != points[:-1]).any(axis=1)
    return tuple((x, y) for x, y in points[new].tolist())

"""What training learns from: images with a type for every pixel, from any source, in an order that a seed fixes."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.domain.product import Vocabulary

NORMAL = 0
UNKNOWN_TYPE = 255
"""A pixel of ``type_mask`` that is defective, nobody knows how: any defect type is right there."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One labelled image.

    ``pixels`` uint8 [S, S, 3] RGB, as the serving path decodes them; ``type_mask`` uint8 [S, S]: 0 normal, k the k-th
    (from 1) type of ``vocabulary``, 255 a defect of unknown type. Types of the vocabulary that the image does not show
    still compete for its pixels. ``segmented`` is false for a defective image whose defects nobody drew: it teaches
    the image score only.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    type_mask: NDArray[np.uint8] = field(repr=False)
    anomalous: bool
    vocabulary: Vocabulary
    segmented: bool = True


class UnreadableExampleError(Exception):
    """One example of a source cannot be read; the others can. ``name`` is printable."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")


class ExampleSource(Protocol):
    """Examples by position. The same position gives the same example whenever ``fingerprint`` is the same."""

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def __getitem__(self, index: int, /) -> TrainingExample:
        """Return one example; raises ``UnreadableExampleError``."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of all that the examples are made from."""
        ...


class JoinedExamples:
    """Several sources, one after the other."""

    def __init__(self, sources: Sequence[ExampleSource]) -> None:
        self._sources = tuple(sources)
        self._ends = list(accumulate(len(source) for source in self._sources))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int, /) -> TrainingExample:
        if not 0 <= index < len(self):
            raise IndexError(f"expected an index within 0..{len(self) - 1}, got {index}")
        which = bisect_right(self._ends, index)
        return self._sources[which][index - (self._ends[which - 1] if which else 0)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the sources' fingerprints."""
        return hashlib.sha256("\n".join(source.fingerprint for source in self._sources).encode()).hexdigest()


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of ``count`` examples in one epoch, int64 [count]: a function of its arguments alone."""
    return np.random.default_rng([seed, epoch]).permutation(count)

"""A tiny model, made-up pictures and short runs that the training tests share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip

from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary
from inspector.training.examples import TrainingExample, UnreadableExampleError

# Four layers of width 32: everything the method does, in milliseconds.
open_clip.add_model_config(Path(__file__).parents[1] / "dapo" / "model_configs")

TINY = ModelSpec("dapo-tiny")
SIDE = 32
PLATE = Vocabulary(("scratch", "dent"))
BOARD = Vocabulary(("bent lead", "scratch", "stain"), "printed board")


def example(number: int, vocabulary: Vocabulary, types: Sequence[int]) -> TrainingExample:
    """A noisy grey picture with a coloured square of 8 px for each of ``types``, which are 1-based or 255."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(100, 140, (SIDE, SIDE, 3), np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for place, kind in enumerate(types):
        rows = slice(8 * (number % 4), 8 * (number % 4) + 8)
        columns = slice(8 * place, 8 * place + 8)
        pixels[rows, columns] = (255, 0, 0) if kind % 2 else (0, 0, 255)
        mask[rows, columns] = kind
    return TrainingExample(pixels, mask, bool(types), vocabulary)


class MadeUp:
    """Pictures of two classes, half of them defective; some of unknown type, some of two types."""

    def __init__(self, count: int = 11, unreadable: Sequence[int] = ()) -> None:
        self._count = count
        self._unreadable = unreadable
        self.reads = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> TrainingExample:
        self.reads += 1
        if index in self._unreadable:
            raise UnreadableExampleError(f"picture {index}", "it is none")
        vocabulary = BOARD if index % 3 == 2 else PLATE
        types: tuple[int, ...] = ((), (1,), (), (2,), (1, 2), (255,))[index % 6]
        return example(index, vocabulary, types)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self._count} {self._unreadable}".encode()).hexdigest()

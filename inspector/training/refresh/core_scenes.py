"""The core set: rendered scenes that are the same for every run, so that what weights knew is not forgotten."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from inspector.domain.product import Vocabulary
from inspector.rendering.scenes import render_pair
from inspector.training.examples import TrainingExample
from inspector.vision.opencv import cv2

# The least that scenes are rendered at; smaller models are shown them reduced.
_LEAST_PX = 64
# Keys of the scenes that judge begin here: no number of scenes that teach comes so far.
_JUDGING = 1 << 40
_RENDERING = 1  # goes up whenever the same seed gives other pictures, so that nothing cached is taken for them


class CoreScenes:
    """Rendered pairs, the defective view and the good one by turns; an ``ExampleSource``.

    Example i depends on the constructor's arguments and i alone. ``judging``: other scenes, which are never trained on.
    """

    def __init__(self, count: int, vocabulary: Vocabulary, image_size_px: int, seed: int, *, judging: bool) -> None:
        self._count = count
        self._vocabulary = vocabulary
        self._size_px = image_size_px
        self._seed = seed
        self._first = _JUDGING if judging else 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> TrainingExample:
        if not 0 <= index < self._count:
            raise IndexError(f"expected an index within 0..{self._count - 1}, got {index}")
        key = (self._seed, self._first + index // 2)
        size_px = max(_LEAST_PX, self._size_px)
        pair = render_pair(key, size_px, types=self._vocabulary.defect_types, defective=1.0)
        shown, mask = (pair.first, pair.type_mask) if index % 2 == 0 else (pair.second, np.zeros_like(pair.type_mask))
        pixels, mask = self._at_size(shown, cv2.INTER_AREA), self._at_size(mask, cv2.INTER_NEAREST)
        rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        return TrainingExample(rgb, mask, bool(mask.any()), self._vocabulary)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that the examples are made from."""
        made_from = (_RENDERING, self._count, self._vocabulary, self._size_px, self._seed, self._first)
        return hashlib.sha256(f"core scenes {made_from!r}".encode()).hexdigest()

    def _at_size(self, picture: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
        if len(picture) == self._size_px:
            return picture
        return np.asarray(cv2.resize(picture, (self._size_px, self._size_px), interpolation=interpolation), np.uint8)

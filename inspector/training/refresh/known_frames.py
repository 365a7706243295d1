"""Frames that people spoke of, as training examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.domain.errors import FrameRejectedError
from inspector.domain.product import Vocabulary
from inspector.domain.text import shortened
from inspector.training.examples import UNKNOWN_TYPE, TrainingExample, UnreadableExampleError
from inspector.training.refresh.inputs import KnownFrame
from inspector.vision.decode import DecodedImage, DecodeLimits, decode

_COVERED = 64  # of 255: a quarter of a pixel. Half, and a hairline crack would vanish with the reduction.


class KnownFrameExamples:
    """Frames with their truth, each with the vocabulary of its product; an ``ExampleSource``.

    A frame whose defect nobody drew teaches the image score alone. A drawn defect whose type is none of the words, or
    that nobody named, is one of unknown type. ``repeats``: a correction counts as so many examples.
    """

    def __init__(
        self,
        frames: Sequence[tuple[KnownFrame, Vocabulary]],
        folder: Path,
        image_size_px: int,
        repeats: int = 1,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008  # frozen
    ) -> None:
        """``folder`` holds images and masks under their SHA-256; nothing is read yet."""
        self._frames = [pair for pair in frames for _ in range(repeats if pair[0].corrected else 1)]
        self._folder = folder
        self._size_px = image_size_px
        self._limits = limits

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> TrainingExample:
        frame, vocabulary = self._frames[index]
        decoded = self._decoded(frame, frame.image_sha256, frame.content_type)
        label = label_of(frame.defect_type, vocabulary)
        mask = np.zeros((self._size_px, self._size_px), np.uint8)
        if not frame.anomalous:
            return TrainingExample(decoded.pixels, mask, False, vocabulary)
        where = self._drawn(frame, decoded)
        if where is None:
            return TrainingExample(decoded.pixels, mask, True, vocabulary, segmented=False)
        mask[where] = label
        return TrainingExample(decoded.pixels, mask, True, vocabulary)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that the examples are made from."""
        digest = hashlib.sha256(f"known frames {self._size_px} {self._limits!r}\n".encode())
        for pair in self._frames:
            digest.update(f"{pair!r}\n".encode())
        return digest.hexdigest()

    def _drawn(self, frame: KnownFrame, decoded: DecodedImage) -> NDArray[np.bool_] | None:
        """Return where the defect is, bool [S, S]; None where nobody drew it."""
        size = (decoded.width_px, decoded.height_px)
        if frame.mask_sha256 is not None:
            mask = self._decoded(frame, frame.mask_sha256, "image/png")
            if (mask.width_px, mask.height_px) != size:
                got = f"a mask of {mask.width_px} x {mask.height_px} pixels on a frame of {size[0]} x {size[1]}"
                raise UnreadableExampleError(f"frame {frame.frame_id}", got)
            covered = mask.pixels[..., 0]
            found = covered >= min(_COVERED, int(covered.max()))
            return found if covered.any() else None
        if not frame.boxes:
            return None
        drawn = np.zeros((self._size_px, self._size_px), np.bool_)
        for box in frame.boxes:
            drawn |= _ellipse(box, self._size_px / size[0], self._size_px / size[1], self._size_px)
        return drawn

    def _decoded(self, frame: KnownFrame, sha256: str, content_type: str) -> DecodedImage:
        try:
            data = (self._folder / sha256).read_bytes()
            return decode(data, content_type, self._limits, self._size_px)
        except (OSError, FrameRejectedError) as error:
            raise UnreadableExampleError(f"frame {frame.frame_id}", shortened(str(error))) from error


def _ellipse(box: Box, x_scale: float, y_scale: float, side_px: int) -> NDArray[np.bool_]:
    """Return the ellipse in a box, bool [S, S]; at least the pixel in its middle.

    What somebody draws by hand around a defect touches it at the sides, and not in the corners.
    """
    x, y = (box.x + box.w / 2) * x_scale, (box.y + box.h / 2) * y_scale
    centres = np.arange(side_px) + 0.5
    across, down = (centres - x) / (box.w / 2 * x_scale), (centres - y) / (box.h / 2 * y_scale)
    inside = across[None, :] ** 2 + down[:, None] ** 2 <= 1
    inside[min(int(y), side_px - 1), min(int(x), side_px - 1)] = True
    return np.asarray(inside, np.bool_)


def label_of(defect_type: str | None, vocabulary: Vocabulary) -> int:
    """Return the place (from 1) of a type in a vocabulary, or that of a defect of unknown type."""
    types = vocabulary.defect_types
    return 1 + types.index(defect_type) if defect_type in types else UNKNOWN_TYPE

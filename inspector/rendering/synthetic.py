"""Synthetic defects on a picture of a good part, with the mask that says which pixels show what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.defects import (
    CONDUCTOR_TYPES,
    EDGE_TYPES,
    MOVED_EDGE_TYPES,
    PAINTERS,
    DefectShape,
    Painter,
    conductors,
    paint,
)
from inspector.rendering.pasted import pasted_from, perlin_masked, through_lens
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.rendering.visibility import JUST_NOTICEABLE, lab_difference, lab_of, texture_contrast
from inspector.rendering.words import kind_of, undrawable, words_of
from inspector.vision.line_artwork import Artwork, find_artwork, grey_of
from inspector.vision.opencv import cv2

__all__ = ["UNKNOWN_TYPE", "add_defects", "kind_of", "undrawable", "words_of"]

UNKNOWN_TYPE = 255
"""Value in a type mask where something is wrong that no word of the vocabulary names."""

_SIZES = (0.02, 0.45)  # of the part's side, drawn log-uniformly: most defects are small
_ARTWORK_SIZES = (0.08, 0.45)  # a fault of a conductor is looked for within this, and takes its size from the traces
_STRENGTHS = (0.05, 1.0)
_COUNTS = (0.6, 0.25, 0.15)  # how often a part has one, two or three defects
_UNNAMED_SHARE = 0.2  # how often a defect is of no type, where the vocabulary has types that can be drawn
_ARTWORK_SHARE = 0.7  # how often a named defect on line artwork is one of its conductors
_SMALLEST_PX = 3
_PLACES = 16  # tried for a defect of an edge, of which the one with the steepest edge is taken
_LEAST_VISIBLE = 0.25  # of the pixels a defect covers; a stain that shows on a tenth of its area is another shape
_LEAST_CONTRAST = 1.5 * JUST_NOTICEABLE  # on average over the defect
_LEAST_OVER_TEXTURE = 2.0  # the same, in units of how much the texture varies from pixel to pixel
_LENS_PX = (0.2, 0.9)  # blur: no camera draws a defect as sharply as a painter
_TRIES = 25


def add_defects(
    rng: np.random.Generator,
    image: ByteImage,
    types: Sequence[str],
    foreground: ByteImage | None = None,
    light_lines: bool | None = None,
) -> tuple[ByteImage, ByteImage]:
    """Paint one to three defects onto a good part.

    Args:
        rng: every random draw comes from it.
        image: uint8 BGR [H, W, 3], 16 px or more on each side; not changed.
        types: the vocabulary, at most 254 words. Those that ``kind_of`` knows are drawn; those of printed conductors
            only where ``image`` is line artwork, and there more often than others.
        foreground: uint8 [H, W], above 0 where the part is; nothing is painted elsewhere. None: everywhere.
        light_lines: whether the conductors of line artwork are its light tone or its dark one. None: see
            ``find_artwork``.

    Returns:
        The painted picture, and its type mask uint8 [H, W]: 0 where the picture is as it was, k where it shows the
        k-th (from 1) of ``types``, ``UNKNOWN_TYPE`` where it shows a defect of no type. At least one pixel is not 0,
        and every defect in the mask can be seen.

    Raises:
        ValueError: too many types, too small a picture, or no foreground in it.
        RuntimeError: nothing that was tried could be seen.
    """
    if len(types) >= UNKNOWN_TYPE or min(image.shape[:2]) < 16:
        raise ValueError(f"expected under 255 types and 16 x 16 pixels, got {len(types)} and {image.shape}")
    if foreground is not None and (foreground.shape != image.shape[:2] or not foreground.any()):
        raise ValueError(f"expected a foreground of {image.shape[:2]} that is not empty, got {foreground.shape}")
    # The painters' lamp stands up and to the left. Mirrored and back, it may stand on any side.
    mirror = tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], 2))
    painted = image[mirror].copy()
    part = np.full(image.shape[:2], 255, np.uint8) if foreground is None else np.ascontiguousarray(foreground[mirror])
    type_mask = np.zeros(image.shape[:2], np.uint8)
    vocabulary = _Vocabulary(types, find_artwork(image, light_lines))
    canvas = _Canvas(painted.copy(), painted, part, type_mask, float(np.sqrt(cv2.countNonZero(part))))
    for _ in range(1 + int(rng.choice(len(_COUNTS), p=_COUNTS))):
        canvas.add_visible(rng, vocabulary)
    if not type_mask.any():
        raise RuntimeError(f"none of {_TRIES} defects could be seen on a picture of {image.shape[:2]} pixels")
    return np.ascontiguousarray(painted[mirror]), np.ascontiguousarray(type_mask[mirror])


class _Vocabulary:
    """What can be drawn of a vocabulary on one picture."""

    def __init__(self, types: Sequence[str], artwork: Artwork | None) -> None:
        named = [(kind, k) for k, word in enumerate(types, start=1) if (kind := kind_of(word)) is not None]
        self._general = [(kind, k) for kind, k in named if kind not in CONDUCTOR_TYPES]
        self._etched = [(kind, k) for kind, k in named if kind in CONDUCTOR_TYPES and artwork is not None]
        # The whole picture knows better than a patch of it which tone its conductors have.
        self._painters = PAINTERS if artwork is None else {**PAINTERS, **conductors.painters(artwork.light)}

    def draw(self, rng: np.random.Generator, good: ByteImage, unnamed: float) -> tuple[Painter, str | None, int]:
        """Return a painter, the type it draws (None: no type, ``unnamed`` is the share of those), and its label."""
        if (self._general or self._etched) and rng.random() >= unnamed:
            etched = self._etched and (not self._general or rng.random() < _ARTWORK_SHARE)
            choice = self._etched if etched else self._general
            kind, label = choice[int(rng.integers(len(choice)))]
            return self._painters[kind], kind, label
        return (pasted_from(good) if rng.random() < 0.5 else perlin_masked), None, UNKNOWN_TYPE


@dataclass(frozen=True)
class _Canvas:
    """The picture as it was and as it becomes, the part in it, and what has been painted so far."""

    good: ByteImage
    painted: ByteImage
    part: ByteImage
    type_mask: ByteImage
    side_px: float

    def add_visible(self, rng: np.random.Generator, vocabulary: _Vocabulary) -> None:
        """Paint one defect that can be seen; what cannot is drawn again, stronger, with less regard to the texture."""
        for attempt in range(_TRIES):
            # What no type of the vocabulary showed on in many tries, a foreign piece may still show on.
            unnamed = _UNNAMED_SHARE if attempt < _TRIES * 0.6 else 0.9
            painter, kind, label = vocabulary.draw(rng, self.good, unnamed)
            low, high = np.log(np.multiply(_ARTWORK_SIZES if kind in CONDUCTOR_TYPES else _SIZES, self.side_px))
            size_px = max(_SMALLEST_PX, round(float(np.exp(rng.uniform(low, high)))))
            weakest = _STRENGTHS[0] + (_STRENGTHS[1] - _STRENGTHS[0]) * attempt / _TRIES
            shape = DefectShape(size_px, float(rng.uniform(weakest, _STRENGTHS[1])))
            changed = self.painted.copy()
            lens_px = float(rng.uniform(*_LENS_PX))
            seen_so = painter if kind in MOVED_EDGE_TYPES else through_lens(painter, lens_px)
            mask = paint(rng, changed, seen_so, self._place(rng, kind), shape, self.part)
            x, y, width, height = cv2.boundingRect(mask)
            window = (slice(y, y + height), slice(x, x + width))
            over_texture = _LEAST_OVER_TEXTURE * (1 - attempt / _TRIES)
            seen = _seen(self.good[window], self.painted[window], changed[window], mask[window] > 0, over_texture)
            if seen is not None:
                self.painted[window][seen] = changed[window][seen]
                self.type_mask[window][seen] = label
                return

    def _place(self, rng: np.random.Generator, kind: str | None) -> tuple[int, int]:
        """Return where (x, y) on the part a defect shall lie: anywhere, but those of an edge on one."""
        tried = rng.integers(self._inside.size, size=_PLACES if kind in EDGE_TYPES else 1)
        rows, columns = np.divmod(self._inside[tried], self.part.shape[1])
        best = int(self._steepness[rows, columns].argmax()) if kind in EDGE_TYPES else 0
        return int(columns[best]), int(rows[best])

    @cached_property
    def _inside(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.part)

    @cached_property
    def _steepness(self) -> FloatImage:
        smooth = cv2.GaussianBlur(grey_of(self.good), (0, 0), 1.5)
        steps = [cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx) for dx in (0, 1)]
        return np.asarray(np.hypot(*steps), np.float32)


def _seen(
    good: ByteImage, before: ByteImage, after: ByteImage, covered: NDArray[np.bool_], over_texture: float
) -> NDArray[np.bool_] | None:
    """Return which of the ``covered`` pixels show the defect; None if it cannot be told from what was there.

    ``before`` holds earlier defects: what does not change them, or restores ``good``, shows nothing.
    """
    if not covered.any():
        return None
    was, now = lab_of(good), lab_of(after)
    difference = lab_difference(was, now)
    if not np.array_equal(good, before):
        difference = np.minimum(difference, lab_difference(lab_of(before), now))
    visible = covered & (difference >= JUST_NOTICEABLE)
    if int(visible.sum()) < max(_SMALLEST_PX, _LEAST_VISIBLE * int(covered.sum())):
        return None
    least = max(_LEAST_CONTRAST, over_texture * texture_contrast(was[..., 0], visible))
    if float(difference[visible].mean()) < least:
        return None
    # Pixels between those that show it belong to a defect all the same, even if they happen to keep their colour.
    gap = 1 + 2 * (max(covered.shape) // 20)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap))
    closed = cv2.morphologyEx(visible.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    return covered & (closed > 0)

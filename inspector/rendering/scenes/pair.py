"""One training example: a part with defects, the same kind of part without, what it is, and where what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inspector.rendering.defects import CONDUCTOR_TYPES, DEFECT_TYPES
from inspector.rendering.scenes.camera import another_day, binarised, camera, expose
from inspector.rendering.scenes.captions import bare, caption
from inspector.rendering.scenes.photographs import Photographs
from inspector.rendering.scenes.scene import ARTWORK_SHARE, View, draw_scene
from inspector.rendering.scenes.surface import Material
from inspector.rendering.surfaces import ByteImage
from inspector.rendering.synthetic import UNKNOWN_TYPE, add_defects, kind_of
from inspector.vision.opencv import cv2

_ALIGNED_SHARE = 0.3  # how often the second view shows the same place, as a fixed camera does
_SAME_CAMERA_SHARE = 0.7
_FIT_SHARE = 0.85  # how often defects are drawn among those that the material can have
_ONLY_SOFT = {"loose thread", "tear", "wrinkle"}
_ONLY_HARD = {"rust", "burr", "pits"}
_ON_ARTWORK = {"scratch", "stain", "contamination", "missing", "fibre", "hole", "chip", "cut"}
_LEAST_LEFT_PX = 4  # of a defect in black and white; less looks like the noise at any edge


@dataclass(frozen=True, slots=True)
class Pair:
    """Two views of one kind of part.

    ``first`` uint8 BGR [S, S, 3] shows defects where ``type_mask`` uint8 [S, S] is not 0: k for the k-th (from 1) of
    the types asked for, ``UNKNOWN_TYPE`` for a defect of no type. ``second`` never shows one: another place, light and
    other marks. ``surface`` says what it is made of, ``caption`` what ``first`` shows.
    """

    first: ByteImage
    type_mask: ByteImage
    second: ByteImage
    surface: str
    caption: str


def render_pair(
    key: Sequence[int],
    size_px: int,
    photographs: Photographs | None = None,
    types: Sequence[str] = DEFECT_TYPES,
    defective: float = 0.75,
    artwork: float = ARTWORK_SHARE,
) -> Pair:
    """Render the pair that belongs to ``key``; the same arguments give the same pixels and words.

    Args:
        key: whole numbers from 0, for instance (seed, step).
        size_px: side of both pictures, 64 or more.
        photographs: real surfaces, used for about half of the pairs; None: all are rendered.
        types: the vocabulary, as ``add_defects`` takes it.
        defective: how often ``first`` has a defect, 0..1.
        artwork: how often it is of line artwork, 0..1, which alone shows defects of conductors.

    Raises:
        ValueError: ``size_px`` is too small or there are too many types.
    """
    if size_px < 64 or len(types) >= UNKNOWN_TYPE:
        raise ValueError(f"expected 64 px or more and under 255 types, got {size_px} px and {len(types)} types")
    style, damage, first_rng, second_rng = (np.random.default_rng([*key, stream]) for stream in range(4))
    unit = size_px / 192
    scene = draw_scene(style, unit, photographs, artwork)
    seen = camera(style, unit)
    later = another_day(style, seen)
    if style.random() >= _SAME_CAMERA_SHARE:
        later = replace(camera(style, unit), grey=seen.grey)
    aligned, black_and_white = style.random() < _ALIGNED_SHARE, scene.surface.binary and style.random() < 0.6
    places = [int(place) for place in style.integers(2**32, size=2)]
    first = scene.view(first_rng, size_px, places[0], None)
    second = scene.view(second_rng, size_px, places[0 if aligned else 1], first.pose if aligned else None)
    painted, type_mask = first.image, np.zeros((size_px, size_px), np.uint8)
    if damage.random() < defective:
        painted, type_mask = _damaged(damage, first, types, scene.surface.material)
    exposure = int(style.integers(2**32))
    shown = expose(np.random.default_rng(exposure), painted, seen)
    other = expose(second_rng, second.image, later)
    if black_and_white:
        good = binarised(expose(np.random.default_rng(exposure), first.image, seen))
        shown, other = binarised(shown), binarised(other)
        type_mask = _left_over(good, shown, type_mask)
    labels = [int(label) for label in np.unique(type_mask) if label]
    kinds = [None if label == UNKNOWN_TYPE else types[label - 1] for label in labels]
    return Pair(shown, type_mask, other, bare(scene.phrase), caption(style, scene.phrase, kinds))


def _damaged(
    rng: np.random.Generator, view: View, types: Sequence[str], material: Material
) -> tuple[ByteImage, ByteImage]:
    """Paint defects that fit the material, most of the time; their labels are those of ``types``."""
    unfit = _unfit(rng, material)
    allowed = [k for k, word in enumerate(types, start=1) if kind_of(word) not in unfit]
    part = view.foreground
    if part is not None and cv2.countNonZero(part) < part.size // 50:
        part = None
    try:
        painted, mask = add_defects(rng, view.image, [types[k - 1] for k in allowed], part)
    except RuntimeError:  # too busy a picture: nothing could be seen on it, so it stays good
        return view.image, np.zeros(view.image.shape[:2], np.uint8)
    labels = np.zeros(256, np.uint8)
    labels[1 : len(allowed) + 1] = allowed
    labels[UNKNOWN_TYPE] = UNKNOWN_TYPE
    return painted, labels[mask]


def _unfit(rng: np.random.Generator, material: Material) -> set[str]:
    """Return the kinds of defects that are not drawn this time."""
    if material == "artwork":
        return set(DEFECT_TYPES) - set(CONDUCTOR_TYPES) - (set() if rng.random() < _FIT_SHARE else _ON_ARTWORK)
    unlikely = _ONLY_SOFT if material == "hard" else _ONLY_HARD
    return set(CONDUCTOR_TYPES) | (unlikely if rng.random() < _FIT_SHARE else set())


def _left_over(good: ByteImage, shown: ByteImage, type_mask: ByteImage) -> ByteImage:
    """Return what is left of ``type_mask`` where a threshold has made faint defects vanish."""
    changed = (good[..., 0] != shown[..., 0]).astype(np.uint8)
    near = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    left = np.where(near > 0, type_mask, 0).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((left > 0).astype(np.uint8))
    small = np.flatnonzero(stats[:count, cv2.CC_STAT_AREA] < _LEAST_LEFT_PX)
    left[np.isin(pieces, small)] = 0
    return left

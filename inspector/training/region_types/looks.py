"""Regions of rendered scenes, and closer looks at them as training sees them: cut out, turned, lit anew each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.rendering.scenes import Pair
from inspector.rendering.synthetic import UNKNOWN_TYPE
from inspector.vision.closer_look import CloserLook, Window, look_closer, window_around
from inspector.vision.line_artwork import lines_are_light, with_light_lines
from inspector.vision.opencv import cv2

Pixels = NDArray[np.uint8]
Shape = tuple[int, int]
"""Sides of a look and of a patch, in pixels."""

_LEAST_REGION = 1e-4  # of a scene: a region of less shows nothing, however close the look
_GAP_SHARE = 0.06  # of the side: pieces of one defect, as of a scratch that fades, lie no farther apart
_SPREADS = (1.4, 3.5)
_LEAST_WINDOWS = (0.125, 0.28)  # of the scene's side: the least that is cut out
_MOVED = 0.12  # of the window's side: no map points at the middle of a defect
_GROWN_SHARE = 0.05  # of the side: nor does a map keep to its outline
_PLACES = 6  # tried for a normal region
_COARSE_SHARE, _COARSEST = 0.4, 0.4  # how often a look is as of a smaller frame, and of how small a one
_CONTRASTS, _BRIGHTNESS, _TINT = (0.75, 1.3), 25.0, 0.1
_NEGATIVE_SHARE, _GREY_SHARE, _TINTED_SHARE = 0.2, 0.2, 0.4


NORMAL = 0
"""Kind of a region where nothing is wrong: T's first row."""


@dataclass(frozen=True, slots=True)
class Region:
    """``pixels`` uint8 [S, S, 3] RGB of its scene, ``inside`` uint8 [S, S] above 0 in it.

    ``kind``: T's row, ``NORMAL`` or a type from 1. ``artwork``: it is of line artwork, and its lines are light.
    """

    pixels: Pixels = field(repr=False)
    inside: Pixels = field(repr=False)
    kind: int
    artwork: bool = False


@dataclass(frozen=True, slots=True)
class Looks:
    """``pictures`` float32 [N, 3, S, S], RGB 0..1; ``share`` float32 [N, gh, gw]; ``kinds`` int64 [N]."""

    pictures: Tensor
    share: Tensor
    kinds: Tensor


def regions_of(pairs: Sequence[Pair]) -> Iterator[Region]:
    """Yield the regions of each scene's first view whose type has a word: pieces of one type that lie close are one."""
    for pair in pairs:
        pixels, artwork = _as_served(pair.first)
        for inside, label in pieces_of(pair.type_mask):
            yield Region(pixels, inside, label, artwork)


def normal_regions(rng: np.random.Generator, pairs: Sequence[Pair]) -> Iterator[Region]:
    """Yield a region of each scene's second view, shaped as the defects before it are but where nothing is wrong.

    Half of the time it is where the picture is busiest: edges, marks and print are what a map takes for defects.
    """
    inside: Pixels | None = None
    for pair in pairs:
        for inside, _ in pieces_of(pair.type_mask):  # noqa: B007  the last one's shape is taken
            pass
        if inside is not None:
            pixels, artwork = _as_served(pair.second)
            yield Region(pixels, _moved(rng, inside, pixels), NORMAL, artwork)


def _as_served(picture: Pixels) -> tuple[Pixels, bool]:
    """Return a BGR picture as RGB the way ``RegionTypes`` sees frames, and whether it is line artwork."""
    pixels = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    light = lines_are_light(pixels)
    return with_light_lines(pixels, light), light is not None


def _moved(rng: np.random.Generator, inside: Pixels, pixels: Pixels) -> Pixels:
    """Return a region's shape elsewhere on a picture."""
    x, y, width, height = cv2.boundingRect(inside)
    side = len(inside)
    shape = inside[y : y + height, x : x + width]
    places = [(int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))) for _ in range(_PLACES)]
    tried = places if rng.random() < 0.5 else places[:1]
    top, left = max(tried, key=lambda place: float(pixels[place[0] :, place[1] :][:height, :width].std()))
    moved = np.zeros_like(inside)
    moved[top : top + height, left : left + width] = shape
    return moved


def pieces_of(type_mask: Pixels) -> Iterator[tuple[Pixels, int]]:
    """Yield each region of a type mask, uint8 [S, S] 0 or 1, with its label; what has no type is left out."""
    gap = 1 + 2 * round(_GAP_SHARE * len(type_mask) / 2)
    for label in (int(label) for label in np.unique(type_mask) if label not in (0, UNKNOWN_TYPE)):
        of_type = (type_mask == label).astype(np.uint8)
        near = cv2.morphologyEx(of_type, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        count, pieces = cv2.connectedComponents(near)
        for number in range(1, count):
            inside = of_type * (pieces == number).astype(np.uint8)
            if int(inside.sum()) >= _LEAST_REGION * inside.size:
                yield inside, label


def alike(regions: Sequence[Region]) -> NDArray[np.float64]:
    """Return how often each region is to be drawn, so that all types come alike often; the sum is 1."""
    kinds = np.array([region.kind for region in regions])
    weights: NDArray[np.float64] = 1 / np.bincount(kinds)[kinds]
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def drawn(
    rng: np.random.Generator, regions: Sequence[Region], normal: Sequence[Region], counts: tuple[int, int], shape: Shape
) -> Looks:
    """Draw looks at regions of all types alike and at normal ones, so many of each; the same for the same generator."""
    chosen = [regions[i] for i in rng.choice(len(regions), counts[0], p=alike(regions))] if regions else []
    chosen += [normal[i] for i in rng.choice(len(normal), counts[1])] if normal else []
    return looks([_drawn(rng, region, *shape) for region in chosen], [region.kind for region in chosen])


def plain(regions: Sequence[Region], shape: Shape) -> Looks:
    """Look at each region as serving does."""
    seen = [look_closer(r.pixels, r.inside, window_around(r.inside), *shape) for r in regions]
    return looks(seen, [region.kind for region in regions])


def looks(seen: Sequence[CloserLook], kinds: Sequence[int]) -> Looks:
    """Return looks as tensors."""
    pictures = torch.from_numpy(np.stack([look.pixels for look in seen]))
    share = torch.from_numpy(np.stack([look.share for look in seen]))
    return Looks(pictures.permute(0, 3, 1, 2).float() / 255, share, torch.tensor(kinds, dtype=torch.int64))


def _drawn(rng: np.random.Generator, region: Region, side_px: int, patch_px: int) -> CloserLook:
    frame_side = len(region.inside)
    grown = int(rng.integers(1 + round(_GROWN_SHARE * frame_side)))
    inside = region.inside
    if grown:
        inside = np.asarray(cv2.dilate(inside, np.ones((1 + grown, 1 + grown), np.uint8)), np.uint8)
    spread = float(np.exp(rng.uniform(*np.log(_SPREADS))))
    window = window_around(inside, spread, float(rng.uniform(*_LEAST_WINDOWS)))
    moved = [round(float(step) * window.side) for step in rng.uniform(-_MOVED, _MOVED, 2)]
    room = frame_side - window.side
    window = Window(min(max(window.left + moved[0], 0), room), min(max(window.top + moved[1], 0), room), window.side)
    look = look_closer(region.pixels, inside, window, side_px, patch_px)
    pixels, share = look.pixels, look.share
    if rng.random() < _COARSE_SHARE:
        pixels = _coarse(pixels, window.side * float(rng.uniform(_COARSEST, 1)))
    if rng.random() < 0.5:
        pixels, share = pixels[:, ::-1], share[:, ::-1]
    quarter = int(rng.integers(4))
    return CloserLook(
        _lit(rng, np.rot90(pixels, quarter), region.artwork), np.ascontiguousarray(np.rot90(share, quarter))
    )


def _coarse(pixels: Pixels, seen_px: float) -> Pixels:
    """Return a look [S, S, 3] as if its window had had so many pixels, at most S of which count."""
    side = len(pixels)
    small = max(8, min(side, round(seen_px)))
    coarse = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def _lit(rng: np.random.Generator, pixels: Pixels, artwork: bool) -> Pixels:
    """Return the picture in another light, at times in grey or as its negative: shape tells most types, not colour.

    Never the negative of line artwork, where it would be another type's picture.
    """
    lit = pixels.astype(np.float32)
    mean = lit.mean()
    lit = (lit - mean) * rng.uniform(*_CONTRASTS) + mean + rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    if rng.random() < _NEGATIVE_SHARE and not artwork:
        lit = 255 - lit
    colour = rng.random()
    if colour < _GREY_SHARE:
        lit = np.repeat(lit.mean(axis=2, keepdims=True), 3, axis=2)
    elif colour < _GREY_SHARE + _TINTED_SHARE:
        lit = lit * rng.uniform(1 - _TINT, 1 + _TINT, 3)
    return np.asarray(lit.clip(0, 255), np.uint8)

"""Which type of defect each region of a frame shows, by closer looks at them, in the words of its product."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.region_typer import RegionTyper
from inspector.domain.errors import InspectorError
from inspector.domain.product import ANY_OBJECT, Vocabulary
from inspector.vision.closer_look import Inside, Pixels, look_closer, window_around
from inspector.vision.line_artwork import with_light_lines
from inspector.vision.line_tones import LineTones
from inspector.vision.opencv import cv2
from inspector.vision.preprocess import preprocess

_AT_ONCE = 32  # looks, so that memory is bounded whatever there is to name
Encode = Callable[[Collection[Vocabulary]], Mapping[Vocabulary, Tensor]]
NameRegions = Callable[[Sequence[Inside]], NDArray[np.float32]]
"""Regions of one frame, uint8 [S, S] each and above 0 inside -> how likely each type is in each, float32 [K, R]."""


class RegionTypes:
    """A typer with T of every vocabulary in use. Not thread-safe: one thread looks."""

    def __init__(self, typer: RegionTyper, encode: Encode) -> None:
        """``encode`` makes T of vocabularies for the typer's own prompt weights."""
        self._typer = typer
        self._encode = encode
        self._text: dict[Vocabulary, Tensor] = {}
        self._tones = LineTones()

    def learn_words(self, vocabularies: Collection[Vocabulary]) -> None:
        """Encode T of the vocabularies not seen before. Raises as ``encode_vocabularies``."""
        if new := {_plain(vocabulary) for vocabulary in vocabularies} - self._text.keys():
            self._text.update(self._encode(new))

    def forget(self, camera_id: str) -> None:
        """Forget what a camera's frames looked like."""
        self._tones.forget(camera_id)

    def name(
        self, camera_id: str, frame: Pixels, sharp: Pixels, vocabulary: Vocabulary, regions: Sequence[Inside]
    ) -> NDArray[np.float32]:
        """Return how likely each type of a vocabulary is in each region, float32 [K, R]; each region's sum is 1.

        Args:
            camera_id: where the frame is from: which tone lines of artwork have, most of its frames decide.
            frame: as the engine scores it, uint8 [S, S, 3] RGB: by it line artwork is recognised.
            sharp: as ``pixels_to_look_at`` returns it.
            vocabulary: one that was learnt.
            regions: at least one, uint8 above 0 inside, of the frame's size or another, none of them empty.

        Raises:
            InspectorError: what comes out is no number.
        """
        pixels = with_light_lines(sharp, self._tones.of(camera_id, frame))
        some = [regions[start : start + _AT_ONCE] for start in range(0, len(regions), _AT_ONCE)]
        found = torch.cat([self._named(pixels, vocabulary, part) for part in some]).T.cpu()
        if not found.isfinite().all():
            raise InspectorError(
                "probabilities of types",
                "numbers that are none",
                "set model.region_types to another folder, or to none",
            )
        probabilities: NDArray[np.float32] = found.numpy()
        return probabilities

    def _named(self, pixels: Pixels, vocabulary: Vocabulary, regions: Sequence[Inside]) -> Tensor:
        typer, side = self._typer, len(pixels)
        fitted = [_fitted(region, side) for region in regions]
        looks = [look_closer(pixels, inside, window_around(inside), typer.side_px, typer.patch_px) for inside in fitted]
        pictures = preprocess([look.pixels for look in looks], typer.mean, typer.std, typer.device)
        share = torch.from_numpy(np.stack([look.share for look in looks]))
        return typer.probabilities(pictures, share, self._text[_plain(vocabulary)])


def _plain(vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary of any object, its types as plain words: ``Pin-hole`` and ``pin hole`` are one.

    A closer look shows too little of a product for its name to help.
    """
    types = (" ".join(re.sub(r"[-_]", " ", name).casefold().split()) or name for name in vocabulary.defect_types)
    return replace(vocabulary, defect_types=tuple(types), object_word=ANY_OBJECT)


def _fitted(region: Inside, side: int) -> Inside:
    """Return a region at the frame's decoded size; one of less than a pixel there keeps one."""
    if region.shape == (side, side):
        return region
    height, width = region.shape
    smaller = np.asarray(cv2.resize(region, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    if not smaller.any():
        rows, columns = np.nonzero(region)
        smaller[int(rows.mean() * side / height), int(columns.mean() * side / width)] = 1
    return smaller

"""Frames larger than the tower's square: each tile scored as an image of its own, the features stitched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.scorer import BatchScores, VisualScorer
from inspector.vision.tiling import Tiling


class TiledScorer:
    """Scores batches of images of one size, that of any number of tiles, at the patches of the whole image."""

    def __init__(self, visual: VisualScorer, max_images: int) -> None:
        """``max_images``: how many tiles go through the tower at once."""
        self._visual = visual
        self._tile = Tiling(1, visual.image_size_px, visual.image_size_px // visual.grid[0])
        self._max_images = max_images

    @property
    def tile(self) -> Tiling:
        """The tiling of one tile."""
        return self._tile

    def tiling(self, side_px: int) -> Tiling:
        """Return the tiling of images of ``side_px``. Raises ValueError as ``Tiling.of_side``."""
        return Tiling.of_side(side_px, self._tile.tile_px, self._tile.patch_px)

    def at_once(self, side_px: int, most: int) -> int:
        """Return how many images of a size are scored together, ``most`` of one tile: stitched features are larger."""
        tiles = self.tiling(side_px).tiles
        return most if tiles == 1 else max(1, min(most, self._max_images // tiles**2))

    def together(self, sides_px: Sequence[int]) -> list[list[int]]:
        """Say which images, by position, are scored together: of one size, and tiled ones as ``at_once`` says."""
        by_side: dict[int, list[int]] = {}
        for position, side_px in enumerate(sides_px):
            by_side.setdefault(side_px, []).append(position)
        groups: list[list[int]] = []
        for side_px, positions in by_side.items():
            most = self.at_once(side_px, len(positions))
            groups.extend(positions[start : start + most] for start in range(0, len(positions), most))
        return groups

    @torch.inference_mode()
    def score(self, images: Tensor, text: Tensor, text_mask: Tensor) -> BatchScores:
        """Score a batch; images of one tile exactly as ``VisualScorer.score`` does, whose arguments these are.

        Args:
            images: float32 [B, 3, side_px, side_px] of a tiling.
            text, text_mask: T of each image.

        The image score is the highest of the tiles' and of the whole view's, reduced to one tile: what one tile alone
        shows counts in full, and so does what only the whole shows. Of many views the highest is higher on good frames
        too, which calibration takes into account.
        """
        tiling = self.tiling(images.shape[-1])
        if tiling.tiles == 1:
            return self._visual.score(images, text, text_mask)
        views = [view for image in images for view in (*tiling.cut(image), _reduced(image, tiling.tile_px))]
        owners = torch.arange(len(images), device=text.device).repeat_interleave(tiling.tiles**2 + 1)
        parts = []
        for start in range(0, len(views), self._max_images):
            of = owners[start : start + self._max_images]
            batch = torch.stack(views[start : start + self._max_images])
            parts.append(self._visual.score(batch, text[of], text_mask[of]))
        return _stitched(parts, tiling, len(images))


def _reduced(image: Tensor, side_px: int) -> Tensor:
    size = (side_px, side_px)
    return functional.interpolate(image[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


def _stitched(parts: Sequence[BatchScores], tiling: Tiling, images: int) -> BatchScores:
    """Return the scores of images from those of their views: of each image the tiles, then the whole, in parts."""

    def by_image(values: Iterable[Tensor]) -> Tensor:
        views = torch.cat(tuple(values))
        return views.reshape(images, tiling.tiles**2 + 1, *views.shape[1:])

    def tokens(parts_of_taps: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(_blend_tokens(by_image(tap)[:, :-1], tiling) for tap in zip(*parts_of_taps, strict=True))

    return BatchScores(
        image_scores=by_image(part.image_scores for part in parts).amax(1),
        type_grid=tiling.blend(by_image(part.type_grid for part in parts)[:, :-1]),
        taps=tokens(part.taps for part in parts),
        adapted=tokens(part.adapted for part in parts),
    )


def _blend_tokens(tokens: Tensor, tiling: Tiling) -> Tensor:
    """Stitch tokens of patches, [B, tiles^2, P, D] -> [B, P of the image, D]."""
    size = (tiling.patches, tiling.patches)
    on_grid = tokens.float().transpose(2, 3).reshape(*tokens.shape[:2], -1, *size)
    return tiling.blend(on_grid).flatten(2).transpose(1, 2)

"""Mutual scoring: unlabelled frames are each other's reference (MuSc, Li et al., ICLR 2024, section 3.2).

A normal patch has its like in most of the other frames, a defective one in few. Its score is the mean distance to the
nearest patch of those frames that have the most like it, so that neither a few bad frames nor parts that lie
differently in some frames decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inspector.vision.bank_features import DETAIL, FINE, TEXTURE, ZERO_SHOT, finest_grid, level_shares, resize_scores
from inspector.vision.matching import InPlace, smoothed
from inspector.vision.normal_map import NormalMap
from inspector.vision.usual_places import usual_of_all, usual_of_places
from inspector.vision.whitening import Whitening, fit_whitening

# Bounds the distance matrix of one step: 16 MB.
_STEP_FLOATS = 4 * 2**20
# Bounds the distances of some frames to each of the others: 64 MB.
_NEAREST_FLOATS = 16 * 2**20
# Frames compared to find out whether the camera is fixed, and how much farther (mean square) the own place may be than
# the nearest of all. On real photographs: about 1 and 2 with a fixed camera, 15 where parts lie anywhere.
_TRIED = 8
_IN_PLACE_AT_MOST = 4.0
# Up to this a part stands still. Of boards, plates and ball screws 1.0 to 1.4, of cookies laid down by hand 1.8 to 2.0;
# of a belt, whose weave is alike everywhere, 1.8 to 2.1.
_STILL_AT_MOST = 1.5
# Keeps the quotient of identical frames' distances finite.
_LEAST_SQUARE = 1e-12


@dataclass(frozen=True, slots=True)
class Measure:
    """How the frames of one camera are compared: textures whitened, and all matched in their place or anywhere.

    ``whitenings`` by level. The level FINE is for frames that are matched in place alone.
    """

    whitenings: Mapping[str, Whitening] = field(repr=False)
    in_place: bool

    def distances(
        self, queries: Mapping[str, Tensor], frames: Mapping[str, Tensor], own: Tensor, keep: float
    ) -> dict[str, Tensor]:
        """Return each level's mutual distance [B, rows, columns] of B frames from F frames (F >= 2).

        Of zero-shot maps it is how far above the other frames' median they lie at each place.

        Args:
            queries: features [B, rows, columns, D] by level.
            frames: features [F, rows, columns, D] by level, in half precision or full.
            own: [B] int64, which of the F frames each query is (-1: none); that one does not count.
            keep: fraction of the other frames, those with the nearest patch, whose mean is taken.
        """
        found = {}
        for name, values in queries.items():
            there, here = frames[name].float(), values.float()
            if name == ZERO_SHOT:
                found[name] = NormalMap(there, torch.arange(len(there), device=there.device)).distance(here, own)
                continue
            if (whitening := self.whitenings.get(name)) is not None:
                there, here = whitening(there), whitening(here)
            if name == DETAIL and not self.in_place:
                there = there[:, ::2, ::2]  # a quarter of the comparisons, which are most of the work, tell as much
            nearest = _nearest_in_place if self.in_place else _nearest_anywhere
            at_once = max(1, _NEAREST_FLOATS // there[..., 0].numel())
            trimmed = torch.cat(
                [
                    _trimmed(nearest(some, there), which, keep)
                    for some, which in zip(torch.split(here, at_once), torch.split(own, at_once), strict=True)
                ]
            ).reshape(values.shape[:3])
            found[name] = smoothed(trimmed) if name == FINE else trimmed
        return found


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual on each level: median and spread of mutual distances; a few bad ones move neither.

    Of all patches together, or of each place, [rows, columns].
    """

    levels: Mapping[str, tuple[float, float] | tuple[Tensor, Tensor]] = field(repr=False)

    def score(self, distances: Mapping[str, Tensor]) -> Tensor:
        """Return patch scores on the finest level's grid: 0 is usual, the unit its spread."""
        grid = finest_grid(distances.values())
        parts = []
        for name, share in level_shares(distances.keys()).items():
            median, spread = self.levels[name]
            parts.append(share * resize_scores((distances[name] - median) / spread, grid))
        return torch.stack(parts).sum(0)


def usual(distances: Mapping[str, Tensor]) -> Usual:
    """Return what is usual in mutual distances [F, rows, columns] by level.

    Where the level FINE counts, parts stand still: fine texture and details are held against what is usual at each
    place, since some places of good parts differ more than others.
    """
    by_place = {DETAIL, FINE} if FINE in distances else set()
    return Usual(
        {name: (usual_of_places if name in by_place else usual_of_all)(each) for name, each in distances.items()}
    )


@torch.inference_mode()
def fit_measure(frames: Mapping[str, Tensor], in_place: bool) -> Measure:
    """Return the measure that F >= 2 frames, features [F, rows, columns, D] by level, imply."""
    return Measure({name: fit_whitening(frames[name].float()) for name in (TEXTURE, FINE) if name in frames}, in_place)


@torch.inference_mode()
def lies_in_place(frames: Mapping[str, Tensor], keep: float) -> bool:
    """Say whether every place has a look of its own, so that patches should be matched in their place: a fixed camera.

    False without the level TEXTURE.
    """
    return TEXTURE in frames and _own_place(frames, keep) <= _IN_PLACE_AT_MOST


@torch.inference_mode()
def stands_still(frames: Mapping[str, Tensor], keep: float) -> bool:
    """Say whether places look so much their own that parts stand still; of frames with the level TEXTURE."""
    return _own_place(frames, keep) <= _STILL_AT_MOST


def _own_place(frames: Mapping[str, Tensor], keep: float) -> float:
    """Return how much farther the nearest patch of about the same place is than the nearest of all.

    Matched anywhere, a patch has all of a frame to choose from and is always nearer; where parts lie anywhere, by far.
    Compared are mean square distances, as for a bank, of the median frame, which few bad ones do not move.
    """
    chosen = torch.linspace(0, len(frames[TEXTURE]) - 1, min(len(frames[TEXTURE]), _TRIED)).round().long()
    some = {TEXTURE: frames[TEXTURE][chosen]}
    own = torch.arange(len(chosen), device=some[TEXTURE].device)
    in_place, anywhere = (
        fit_measure(some, here).distances(some, some, own, keep)[TEXTURE].square().mean((1, 2)).median()
        for here in (True, False)
    )
    return float(in_place / anywhere.clamp_min(_LEAST_SQUARE))


def _trimmed(nearest: Tensor, own: Tensor, keep: float) -> Tensor:
    """Return the mean [B, P] over the frames with the nearest patches, of distances [B, F, P]."""
    number = torch.arange(nearest.shape[1], device=nearest.device)
    others = nearest.masked_fill((own[:, None] == number)[..., None], torch.inf)
    kept = max(1, round(keep * (nearest.shape[1] - 1)))
    return others.topk(kept, dim=1, largest=False).values.mean(1)


def _nearest_anywhere(queries: Tensor, frames: Tensor) -> Tensor:
    """Return the distance [B, F, P] of each patch to the nearest one of each frame."""
    patches = frames.flatten(1, 2)
    lengths = patches.square().sum(2)
    # Of one frame in tiles already, all patches against all are gigabytes.
    rows = max(1, _STEP_FLOATS // patches.shape[1])
    step = max(1, rows // patches.shape[1])
    found = []
    for query in queries.flatten(1, 2):
        blocks = []
        for some in query.split(rows):
            parts = []
            for start in range(0, len(patches), step):
                chunk = patches[start : start + step]
                # |q - r|^2 = |q|^2 + (|r|^2 - 2 q.r), and |q|^2 does not change which r is nearest.
                partial = torch.addmm(lengths[start : start + step].flatten(), some, chunk.flatten(0, 1).T, alpha=-2)
                parts.append(partial.reshape(len(some), len(chunk), -1).amin(2))
            blocks.append(torch.cat(parts, 1))
        found.append((torch.cat(blocks) + query.square().sum(1, keepdim=True)).clamp_min(0).sqrt().T)
    return torch.stack(found)


def _nearest_in_place(queries: Tensor, frames: Tensor) -> Tensor:
    """Return the distance [B, F, P] of each patch to the nearest one of its place or the eight around it."""
    return InPlace(frames, torch.arange(len(frames))).by_frame(queries)

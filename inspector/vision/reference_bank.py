"""The few-shot reference: patch features of a camera's normal frames; far from all of them is anomalous."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inspector.domain.artefact import ScoreMap
from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError
from inspector.domain.product import MAX_TILES
from inspector.domain.scoring import ScoringSettings
from inspector.vision.bank_features import (
    DETAIL,
    FINE,
    LEVELS,
    TEXTURE,
    ZERO_SHOT,
    chosen_levels,
    counting_levels,
    finest_grid,
    level_shares,
    only_in_place,
    resize_scores,
)
from inspector.vision.coreset import coreset
from inspector.vision.matching import Anywhere, FineInPlace, InPlace
from inspector.vision.mutual import fit_measure, stands_still
from inspector.vision.normal_map import NormalMap
from inspector.vision.usual_places import shows_more_finer, unusual_of_normals
from inspector.vision.whitening import Whitening, fit_whitening

# One normal frame is cut into so many blocks a side where frames are to be compared with each other.
_BLOCKS_A_SIDE = 4
_MORE_THAN_ROUNDING = 1.001
# Values of a level of the tower that are matched in place, 16 MiB in half precision; details are four times as many.
_MOST_IN_PLACE = 2**23
# Frames that the fine level is made of: fewer do not say what is usual at each place, more say no more of it.
_LEAST_FINE, _MOST_FINE = 8, 32


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a bank: references, the whitening they have been through (if any), and what is usual of it.

    ``mean`` and ``std``, float32 [], are those of the normals' own distances, left one out; on the level FINE, and on
    DETAIL beside it, those of each place, [rows, columns]; ``measured``, int64 [n], numbers the normals they are of.
    """

    matcher: Anywhere | InPlace | NormalMap
    whitening: Whitening | None = None
    mean: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    std: Tensor = field(default_factory=lambda: torch.tensor(1.0))
    measured: Tensor | None = None

    @property
    def width(self) -> int:
        """Features of a patch."""
        return self.matcher.patches.shape[-1]

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return the distance [B, rows, columns] of features [B, rows, columns, D] to the nearest reference.

        Of zero-shot maps: how far above what is usual there.
        """
        return self.matcher.distance(features if self.whitening is None else self.whitening(features), leave_out)

    def unusual(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return how unusual features are, [B, rows, columns]: 0 is usual, the unit a spread. As ``distance``."""
        distance = self.distance(features, leave_out)
        if self.measured is None:
            return (distance - self.mean) / self.std
        nobody = torch.zeros(len(distance), dtype=torch.bool, device=distance.device)
        among = nobody if leave_out is None else torch.isin(leave_out, self.measured) & (leave_out >= 0)
        return unusual_of_normals(distance, self.mean, self.std, len(self.measured), among)

    def to(self, device: torch.device) -> Level:
        """Return the level with its tensors on ``device``."""
        whitening = None if self.whitening is None else self.whitening.to(device)
        measured = None if self.measured is None else self.measured.to(device)
        return Level(self.matcher.to(device), whitening, self.mean.to(device), self.std.to(device), measured)


@dataclass(frozen=True, slots=True)
class BankInfo:
    """What a bank was made for and from. ``image`` and ``pixel`` are the score maps its own normals gave, left one out.

    ``weights_version`` binds it to the weights whose visual tokens shaped the features. ``frame_digests`` recognise
    the frames that made the bank, in order, so that they can be left out where they are scored against it. ``tiles`` is
    how many a side they were looked at through; ``variant`` is of their image scores, see ``ScoringSettings.variant``.

    Raises:
        BadInputError: a number of tiles out of range.
    """

    model: str
    image_size_px: int
    weights_version: str
    image: ScoreMap
    pixel: ScoreMap
    frame_digests: tuple[str, ...]
    tiles: int = 1
    variant: str = ""

    def __post_init__(self) -> None:
        check_number("tiles", self.tiles, 1, MAX_TILES)


@dataclass(frozen=True, slots=True)
class ReferenceBank:
    """Levels by name, in the order of ``LEVELS``; all of them, or those that were chosen.

    ``text``: the T, [1+K, D], that the zero-shot level is made with, of the normals and of every frame: later words of
    the product then change what a defect is called, and no score. None where the level is not in use.
    """

    levels: Mapping[str, Level] = field(repr=False)
    text: Tensor | None = field(default=None, repr=False)

    def score(self, features: Mapping[str, Tensor], leave_out: Tensor | None = None) -> Tensor:
        """Return raw anomaly scores on the finest level's grid, from features [B, rows, columns, D] by level.

        0 is as far from the references as normals are on average, and the unit is the spread of the normals.

        Each level's distance to its nearest reference patch is standardised by what the normals show among
        themselves, so that levels of different scale may be added up (``level_shares``). ``leave_out`` [B] int64
        names for each image the normal frame whose patches do not count for it (-1: none).
        """
        grid = finest_grid(features[name] for name in self.levels)
        parts = []
        for name, share in level_shares(self.levels).items():
            unusual = self.levels[name].unusual(features[name], leave_out)
            parts.append(share * resize_scores(unusual, grid))
        return torch.stack(parts).sum(0)

    def to(self, device: torch.device) -> ReferenceBank:
        """Return the bank with its tensors on ``device``; itself if they are there."""
        if all(level.matcher.patches.device == device for level in self.levels.values()):
            return self
        text = None if self.text is None else self.text.to(device)
        return ReferenceBank({name: level.to(device) for name, level in self.levels.items()}, text)


@torch.inference_mode()
def build_bank(
    features: Mapping[str, Tensor], scoring: ScoringSettings | None = None, text: Tensor | None = None
) -> ReferenceBank:
    """Build a bank from the features [F, rows, columns, D] by level of F normal frames.

    ``scoring`` bounds its memory and may choose its matching and its levels; ``text`` is the T that the features'
    zero-shot maps were made with, None where there are none, which leaves that level out.

    One frame has no other to be measured against: its blocks stand in for frames, so that what is usual is the distance
    to the nearest patch of another block, and features are whitened by how they vary over the frame.

    Raises:
        BadInputError: no frame.
    """
    scoring = scoring or ScoringSettings()
    if not len(features[TEXTURE]):
        raise BadInputError("at least one normal frame", "none", "give normal frames of the camera")
    fusion = "none" if text is None else scoring.bank_fusion
    chosen = chosen_levels(scoring.bank_levels, fusion)
    depends = only_in_place(chosen) | {DETAIL}
    levels = {name: build_level(name, features[name], scoring) for name in chosen if name not in depends}
    finer = FINE in chosen and FINE in features and _shows_more_finer(levels[TEXTURE], features, scoring)
    if finer:
        levels[FINE] = _fine_level(features[FINE], scoring)
        levels[DETAIL] = _still_level(features[DETAIL], scoring)
    elif DETAIL in chosen:
        levels[DETAIL] = build_level(DETAIL, features[DETAIL], scoring)
    in_place = DETAIL in levels and isinstance(levels[DETAIL].matcher, InPlace)
    counting = counting_levels(chosen, in_place=in_place, finer=finer)
    levels |= {name: build_level(name, features[name], scoring) for name in counting if name not in levels}
    in_order = {name: levels[name] for name in LEVELS if name in levels}
    return ReferenceBank(in_order, text if ZERO_SHOT in levels else None)


def _spread_out(frames: int, most: int) -> Tensor:
    """Return the numbers of ``most`` of some frames, spread over all of them; of all where they are no more."""
    return torch.linspace(0, frames - 1, min(frames, most)).round().long()


def _shows_more_finer(texture: Level, features: Mapping[str, Tensor], scoring: ScoringSettings) -> bool:
    """Say whether normals should be compared at a finer size: their parts stand still, or it differs as little there.

    Peaks of fine texture (see ``shows_more_finer``) wander where there are few frames.
    """
    if len(features[FINE]) < _LEAST_FINE or not isinstance(texture.matcher, InPlace):
        return False
    some = _spread_out(len(features[FINE]), _MOST_FINE)
    frames = {name: features[name][some] for name in (TEXTURE, FINE)}
    if stands_still(frames, scoring.mutual_keep):
        return True
    own = torch.arange(len(some), device=features[FINE].device)
    found = fit_measure(frames, in_place=True).distances(frames, frames, own, scoring.mutual_keep)
    return shows_more_finer(found[TEXTURE], found[FINE])


def _still_level(features: Tensor, scoring: ScoringSettings) -> Level:
    """Build the level DETAIL of a camera that stands still: matched in place, and held against each place."""
    frames = torch.arange(len(features))
    return _by_place(_kept_in_place(InPlace, DETAIL, features, frames, scoring), None, features, frames)


def _fine_level(features: Tensor, scoring: ScoringSettings) -> Level:
    """Build the level FINE of a camera that stands still."""
    frames = _spread_out(len(features), _MOST_FINE)
    whitening = fit_whitening(features[frames])
    white = whitening(features[frames])
    return _by_place(_kept_in_place(FineInPlace, FINE, white, frames, scoring), whitening, white, frames)


def _kept_in_place(
    kind: type[InPlace], name: str, features: Tensor, frames: Tensor, scoring: ScoringSettings
) -> InPlace:
    """Return references of about the same place: all patches of as many of the ``frames`` as may be kept."""
    chosen = _spread_out(len(features), frames_in_place(name, features.shape[1:], len(features), scoring))
    return kind(features[chosen].contiguous(), frames[chosen])


def _by_place(matcher: InPlace, whitening: Whitening | None, features: Tensor, frames: Tensor) -> Level:
    """Return a level that holds distances against those of normals, features of ``frames``, at each place."""
    left_out = matcher.distance(features, frames)
    return Level(matcher, whitening, left_out.mean(0), left_out.std(0), frames)


def build_level(name: str, features: Tensor, scoring: ScoringSettings) -> Level:
    """Build one level, matched in place or anywhere: whichever explains the left-out normals better.

    In place for a fixed camera, anywhere for parts that lie as they fell. One frame cannot tell: anywhere.
    """
    if name == ZERO_SHOT:
        return _measured(features, NormalMap(features, torch.arange(len(features))), None)
    whitening = fit_whitening(_stand_ins(features)) if name == TEXTURE else None
    white = features if whitening is None else whitening(features)
    choices = []
    if scoring.bank_matching == "in_place" or (scoring.bank_matching == "auto" and len(white) > 1):
        in_place = _kept_in_place(InPlace, name, white, torch.arange(len(white)), scoring)
        choices.append(_measured(white, in_place, whitening))
    if scoring.bank_matching != "in_place":
        choices.append(_measured(white, _anywhere(white, scoring.bank_patches), whitening))
    return min(choices, key=_unexplained)


def _unexplained(level: Level) -> float:
    """Return the mean square of the normals' distances.

    Peaks decide about a frame, and many places that match exactly must not hide a few that never do.
    Where each place has a look of its own both ways of matching find the same patches, and rounding, which differs from
    one processor to the next, would choose: in place, which asks more, is taken then.
    """
    square = float(level.mean) ** 2 + float(level.std) ** 2
    return square if isinstance(level.matcher, InPlace) else square * _MORE_THAN_ROUNDING


def frames_in_place(name: str, shape: Sequence[int], frames: int, scoring: ScoringSettings) -> int:
    """Return how many of the frames a level keeps all patches of, where they are matched in place.

    ``shape``: rows, columns, D of one frame. Of wide features in many tiles, ``bank_frames`` would be gigabytes.
    """
    values = {DETAIL: 4 * _MOST_IN_PLACE, FINE: _MOST_IN_PLACE // 2}.get(name, _MOST_IN_PLACE)
    most = scoring.bank_frames if name == TEXTURE else min(scoring.bank_frames, values // math.prod(shape))
    return min(frames, max(2, most))


def _anywhere(features: Tensor, max_patches: int) -> Anywhere:
    patches = features.flatten(0, 2)
    frames = torch.arange(len(features)).repeat_interleave(len(patches) // len(features))
    kept = coreset(patches, max_patches)
    return Anywhere(patches[kept].contiguous(), frames[kept])


def _measured(features: Tensor, matcher: Anywhere | InPlace | NormalMap, whitening: Whitening | None) -> Level:
    if isinstance(matcher, NormalMap) and len(features) == 1:
        left_out = matcher.distance(features)
    elif len(features) > 1:
        left_out = matcher.distance(features, torch.arange(len(features)))
        # A coreset, or the frames chosen for matching in place, may be of one frame alone.
        left_out = left_out[left_out.isfinite()]
    else:
        blocks = _stand_ins(features)
        left_out = _anywhere(blocks, blocks[..., 0].numel()).distance(blocks, torch.arange(len(blocks)))
    return Level(matcher, whitening, left_out.mean(), left_out.std().clamp_min(1e-6))


def _stand_ins(features: Tensor) -> Tensor:
    """Return features [F, rows, columns, D] as they are; one frame cut into blocks (rests are left out)."""
    if len(features) > 1:
        return features
    rows, columns = (max(1, size // _BLOCKS_A_SIDE) for size in features.shape[1:3])
    blocks = features[0].unfold(0, rows, rows).unfold(1, columns, columns)
    return blocks.flatten(0, 1).permute(0, 2, 3, 1).contiguous()

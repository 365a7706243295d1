"""The few-shot reference: patch features of a camera's normal frames; far from all of them is anomalous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.vision.bank_features import LEVEL_SHARES, LEVELS, TEXTURE
from inspector.vision.coreset import coreset
from inspector.vision.matching import Anywhere, InPlace
from inspector.vision.whitening import Whitening, fit_whitening

MIN_FRAMES = 2
# Matching anywhere costs 2 x P x N x D operations a level: with N = 1024, about a fifteenth of a 6 M tower at 256 px
# for both tower levels together.
MAX_PATCHES = 1024
# Matching in place reads 9 x F x P x D floats a frame, and keeps them: 17 MB at 256 px.
MAX_FRAMES_IN_PLACE = 32


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a bank: references, the whitening they have been through (if any), and what is usual.

    ``mean`` and ``std`` are those of the normals' own distances, left one out.
    """

    matcher: Anywhere | InPlace
    whitening: Whitening | None = None
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """Features of a patch."""
        return self.matcher.patches.shape[-1]

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return the distance [B, rows, columns] of features [B, rows, columns, D] to the nearest reference."""
        return self.matcher.distance(features if self.whitening is None else self.whitening(features), leave_out)

    def to(self, device: torch.device) -> Level:
        """Return the level with its tensors on ``device``."""
        whitening = None if self.whitening is None else self.whitening.to(device)
        return Level(self.matcher.to(device), whitening, self.mean, self.std)


@dataclass(frozen=True, slots=True)
class BankInfo:
    """What a bank was made for and from. ``image`` and ``pixel`` are the score maps its own normals gave, left one out.

    ``weights_version`` binds it to the weights whose visual tokens shaped the features. ``frame_digests`` recognise
    the frames that made the bank, in order, so that they can be left out where they are scored against it.
    """

    model: str
    image_size_px: int
    weights_version: str
    image: ScoreMap
    pixel: ScoreMap
    frame_digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferenceBank:
    """Levels by name, in the order of ``LEVELS``."""

    levels: Mapping[str, Level] = field(repr=False)

    def score(self, features: Mapping[str, Tensor], leave_out: Tensor | None = None) -> Tensor:
        """Return raw anomaly scores on the texture's grid, from features [B, rows, columns, D] by level.

        0 is as far from the references as normals are on average, and the unit is the spread of the normals.

        Each level's distance to its nearest reference patch is standardised by what the normals show among
        themselves, so that levels of different scale may be added up (``LEVEL_SHARES``). ``leave_out`` [B] int64
        names for each image the normal frame whose patches do not count for it (-1: none).
        """
        grid = features[TEXTURE].shape[1:3]
        shares = []
        for name, level in self.levels.items():
            unusual = (level.distance(features[name], leave_out) - level.mean) / level.std
            shares.append(LEVEL_SHARES[name] * _resize(unusual, grid))
        return torch.stack(shares).sum(0)

    def to(self, device: torch.device) -> ReferenceBank:
        """Return the bank with its tensors on ``device``; itself if they are there."""
        if all(level.matcher.patches.device == device for level in self.levels.values()):
            return self
        return ReferenceBank({name: level.to(device) for name, level in self.levels.items()})


@torch.inference_mode()
def build_bank(features: Mapping[str, Tensor], max_patches: int = MAX_PATCHES) -> ReferenceBank:
    """Build a bank from the features [F, rows, columns, D] by level of F normal frames.

    Raises:
        BadInputError: fewer than 2 frames.
    """
    frames = len(features[TEXTURE])
    if frames < MIN_FRAMES:
        raise BadInputError(f"at least {MIN_FRAMES} normal frames", str(frames), "enrol more normal frames")
    levels = {
        name: _texture_level(features[name], max_patches)
        if name == TEXTURE
        else _measured(features[name], _anywhere(features[name], max_patches), None)
        for name in LEVELS
    }
    return ReferenceBank(levels)


def _texture_level(features: Tensor, max_patches: int) -> Level:
    """Match in place or anywhere, whichever explains the left-out normals better: a fixed camera, or parts that lie."""
    whitening = fit_whitening(features)
    white = whitening(features)
    chosen = torch.linspace(0, len(white) - 1, min(len(white), MAX_FRAMES_IN_PLACE)).round().long()
    in_place = _measured(white, InPlace(white[chosen].contiguous(), chosen), whitening)
    anywhere = _measured(white, _anywhere(white, max_patches), whitening)
    # Mean square: peaks decide about a frame, and many places that match exactly must not hide a few that never do.
    return min(in_place, anywhere, key=lambda level: level.mean**2 + level.std**2)


def _anywhere(features: Tensor, max_patches: int) -> Anywhere:
    patches = features.flatten(0, 2)
    frames = torch.arange(len(features)).repeat_interleave(len(patches) // len(features))
    kept = coreset(patches, max_patches)
    return Anywhere(patches[kept].contiguous(), frames[kept])


def _measured(features: Tensor, matcher: Anywhere | InPlace, whitening: Whitening | None) -> Level:
    left_out = matcher.distance(features, torch.arange(len(features)))
    return Level(matcher, whitening, float(left_out.mean()), max(float(left_out.std()), 1e-6))


def _resize(scores: Tensor, grid: tuple[int, ...]) -> Tensor:
    return functional.interpolate(scores[:, None], grid, mode="bilinear", align_corners=False)[:, 0]
